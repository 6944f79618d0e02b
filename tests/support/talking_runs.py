"""A run that answers in words about pictures, recordings and clips: made in a second, never trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from polymodal.config import Declaration
from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.chat.chat_tokenizer import train_language_tokenizer
from polymodal.data.readers import READERS
from polymodal.language_run import LanguageRun
from polymodal.models import PolymodalForConditionalGeneration
from polymodal.models.encoders import AudioEncoder, Encoder, ImageEncoder, VideoEncoder
from tests.support.component_cases import CNN
from tests.support.llava_runs import TEXTS, at_random, language_model

KINDS = ("image", "audio", "video")


def make_talking_run(
    folder: Path, *, kinds: Sequence[str] = KINDS, system: str | None = None, **more: Any
) -> LanguageRun:
    """A run with one input of each of ``kinds``, called like it, in ``folder``.

    Args:
        folder: Holds the declaration alone.
        kinds: Of :data:`KINDS`.
        system: System message that it was trained with.
        more: Of the language model's configuration.
    """
    torch.manual_seed(0)
    made: dict[str, Encoder] = {
        "image": ImageEncoder(size=16, tokens=4, **CNN),
        "audio": AudioEncoder(rate=2000, seconds=0.5, bins=16, tokens=8, **CNN),
        "video": VideoEncoder(frames=3, size=16, tokens=8, **CNN),
    }
    encoders = {kind: made[kind] for kind in kinds}
    tokenizer = train_language_tokenizer(TEXTS, 400)
    readers = {name: READERS[name].for_encoder(encoder, []) for name, encoder in encoders.items()}
    processor = ConversationProcessor(readers, tokenizer)
    words = language_model("qwen3", len(tokenizer), **more)
    model = PolymodalForConditionalGeneration.from_parts(encoders, words, processor.placeholders).eval()
    at_random(model.connectors, 3)
    settings: Any = model.generation_config
    settings.eos_token_id = list(processor.renderer.ends)
    settings.pad_token_id, settings.max_new_tokens = tokenizer.pad_token_id, 12
    settings.suppress_tokens = [token for pair in processor.placeholders.values() for token in pair]
    declaration = Declaration.model_validate(
        {
            "inputs": {kind: {"modality": kind} for kind in kinds},
            "generation": {"messages": "messages", "system": system},
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.yaml").write_text(declaration.to_yaml())
    return LanguageRun(folder, model, processor, declaration)
