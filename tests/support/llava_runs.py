"""Tiny models that LLaVA can express, and conversations as they and LLaVA's own classes read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from PIL import Image

from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.chat.chat_tokenizer import train_language_tokenizer
from polymodal.data.chat.messages_reading import ConversationReader
from polymodal.data.readers import ImageReader
from polymodal.exporting.llava import to_llava
from polymodal.models import PolymodalForConditionalGeneration
from polymodal.models.encoders import ImageEncoder
from polymodal.runs.answering import reply_batch

PIXELS = {"image_size": 16, "patch_size": 4}
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
SMALL = {
    "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256,
}  # fmt: skip
TEXTS = ["What is it?", "a red circle on a green square", "Is there a lift? yes no", "Look at both."] * 3
NAME = "photo"


def picture(seed: int, size: tuple[int, int] = (20, 30)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def at_random(module: torch.nn.Module, seed: int) -> None:
    """Weights that make every part count: fresh ones are near zero, and norms all ones."""
    chance = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=chance)
        parameter.data = 0.2 * noise if parameter.dim() > 1 else parameter.data + 0.1 * noise


def save_tower(folder: Path, kind: str) -> str:
    """A checkpoint of CLIP or SigLIP, both towers of it, with its image processor."""
    shape = {"height": 16, "width": 16}
    text = SIZES | {"vocab_size": 50}
    if kind == "clip":
        model: Any = hf.CLIPModel(hf.CLIPConfig(text_config=text, vision_config=SIZES | PIXELS))
        part: Any = hf.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=shape)
    else:
        model = hf.SiglipModel(hf.SiglipConfig(text_config=text, vision_config=SIZES | PIXELS))
        part = hf.SiglipImageProcessor(size=shape)
    at_random(model, 1)
    model.save_pretrained(folder)
    part.save_pretrained(folder)
    return str(folder)


def language_model(kind: str, vocabulary: int, tied: bool = False, **more: Any) -> hf.PreTrainedModel:
    config: Any = hf.AutoConfig.for_model(kind)
    sizes = {name: value for name, value in SMALL.items() if hasattr(config, name)}
    sizes |= {"vocab_size": vocabulary, "tie_word_embeddings": tied, "pad_token_id": 0} | more
    model = hf.AutoModelForCausalLM.from_config(hf.AutoConfig.for_model(kind, **sizes))
    at_random(model, 2)
    return model


class Made:
    """A model with all that feeds it.

    Args:
        tower: Folder of a picture encoder.
        kind: Model type of the language model.
        layer: That is read.
        tied: Whether the language model's embeddings are its last layer.
        tokenizer: By default one trained on :data:`TEXTS`.
        lora: Of the encoder.
        more: Of the language model's configuration.
    """

    def __init__(
        self, tower: str, kind: str, *, layer: int | None = -2, tied: bool = False, tokenizer: Any = None,
        lora: Mapping[str, Any] | None = None, connector: str = "mlp", **more: Any,
    ) -> None:  # fmt: skip
        self.tokenizer = tokenizer or train_language_tokenizer(TEXTS, 400)
        self.part = hf.AutoImageProcessor.from_pretrained(tower)
        reader = ImageReader(self.part, size=16)
        self.processor = ConversationProcessor({NAME: reader}, self.tokenizer)
        encoder = ImageEncoder(tower, layer=layer, lora=lora)
        words = language_model(kind, len(self.tokenizer) + 3, tied, **more)
        self.model = PolymodalForConditionalGeneration.from_parts(
            {NAME: encoder}, words, self.processor.placeholders, {NAME: {"type": connector}}
        ).eval()
        at_random(self.model.connectors, 3)
        settings: Any = self.model.generation_config
        settings.eos_token_id, settings.pad_token_id = list(self.processor.renderer.ends), 0
        settings.suppress_tokens = list(self.processor.placeholders[NAME])
        self.processor.count = self.model.count_tokens

    @property
    def placeholder(self) -> str:
        return f"<|{NAME}|>"

    def batch(self, conversations: Sequence[Any], between: str = "\n") -> dict[str, Any]:
        """What the model itself takes."""
        reader = ConversationReader(inputs={NAME: "image"}, between=between)
        read = [reader.read({"messages": messages}) for messages in conversations]
        return reply_batch(self.processor, [self.processor.encode(entry, reply=True) for entry in read])

    def exported(self, folder: Path, **options: Any) -> tuple[hf.LlavaForConditionalGeneration, Any]:
        """As LLaVA, written and loaded by Transformers' own classes, every weight read."""
        made, processor = to_llava(self.model, self.tokenizer, self.part, self.placeholder, **options)
        made.save_pretrained(folder)
        processor.save_pretrained(folder)
        model, found = hf.LlavaForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
        assert not any(found.values()), found
        return model.eval(), hf.AutoProcessor.from_pretrained(folder)


def asked(*contents: Any) -> list[dict[str, Any]]:
    """A conversation: user and assistant in turn; pictures are parts, all else is text."""
    return [
        {"role": ("user", "assistant")[place % 2], "content": content}
        for place, content in enumerate(contents)
    ]


def image(seed: int) -> dict[str, Any]:
    return {"type": "image", "image": picture(seed)}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


TALKS = [
    asked([image(0), text("What is it?")]),
    asked([text("Look at both."), image(1), image(2)], "a red circle", "Is there a lift?"),
    asked("What is on a green square?"),
]
"""Of one picture, of two over three turns, of none."""


def read_by(processor: Any, talks: Sequence[Any] = TALKS) -> dict[str, torch.Tensor]:
    """What LLaVA's own processor makes of them."""
    return dict(
        processor.apply_chat_template(
            list(talks), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
            processor_kwargs={"padding": True},
        )
    )  # fmt: skip
