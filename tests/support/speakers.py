"""Tiny language models, what goes before them, and conversations in tokens that hold items."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor

from polymodal.config import LanguageModelConfig
from polymodal.data.processor import PolymodalProcessor
from polymodal.models import PolymodalForConditionalGeneration, PolymodalModel
from polymodal.models.encoders import Encoder
from polymodal.models.fusion import FeatureFusion
from polymodal.models.language.base import build_language_model
from polymodal.models.language.language_modeling import LEFT_OUT
from tests.support.checkpoints import CHECKPOINTS, Checkpoint, audio, whisper
from tests.support.component_cases import ENCODER_CASES, Item, collate

INPUT = "items"
WORDS = 40
PAD, EOS = 0, 1
CONTEXT = 96
VOCABULARY = WORDS + 2
PLACEHOLDER, MISSING = VOCABULARY, VOCABULARY + 1
LEARNED = 3
"""Tokens at the end of a row on which the loss looks."""
LLAMA = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT,
}
GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": CONTEXT}
WORDS_OF = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": EOS}
LANGUAGE_MODELS: dict[str, Callable[[], hf.PreTrainedModel]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA, **WORDS_OF)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**LLAMA, **WORDS_OF, tie_word_embeddings=True)),
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2, **WORDS_OF)),
}
CONNECTORS: dict[str, dict[str, Any]] = {
    "mlp": {"type": "mlp"},
    "resampler": {"type": "resampler", "queries": 3, "layers": 1, "heads": 2},
}
SHORT_WHISPER = audio(
    lambda: whisper(max_source_positions=25),
    lambda: hf.WhisperFeatureExtractor(feature_size=16, chunk_length=1, hop_length=320),
)
READ: dict[str, Checkpoint] = {name: CHECKPOINTS[name] for name in ("siglip", "clip", "wav2vec2", "bert")}
READ["whisper"] = SHORT_WHISPER
"""Checkpoints whose encoders stand before the language models."""
SCRATCH = ("image", "audio", "video", "number", "category", "sequence")
"""Encoders from scratch that do."""

Row = Sequence[int | Item | None]
"""Words, items, and None where an item lacks."""


def make_tokenizer(words: int = WORDS, placeholders: bool = True) -> hf.PreTrainedTokenizerFast:
    """One of as many words, a number each, and the placeholders behind them."""
    known = {"<pad>": PAD, "<eos>": EOS} | {f"w{place}": place + 2 for place in range(words)}
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(known)), pad_token="<pad>", eos_token="<eos>"
    )
    if placeholders:
        tokenizer.add_tokens([f"<|{INPUT}|>", f"<|no {INPUT}|>"], special_tokens=True)
    return tokenizer


def save_language_model(name: str, folder: Path, deviation: float = 0.3) -> Path:
    """A checkpoint whose weights are large enough to have opinions, unless ``deviation`` is small."""
    torch.manual_seed(len(name))
    model = LANGUAGE_MODELS[name]()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=deviation)
    model.save_pretrained(folder)
    return folder


def read_language_model(folder: Path, **options: Any) -> hf.PreTrainedModel:
    config = LanguageModelConfig(checkpoint=str(folder), **options)
    return build_language_model(config, make_tokenizer(), VOCABULARY)


@dataclass
class Before:
    """What stands before a language model: an encoder, and three items that it reads."""

    encoder: Encoder
    items: list[Item]


def make_before(name: str, folder: Path) -> Before:
    """The encoder of a checkpoint in ``folder``, or one from scratch."""
    torch.manual_seed(0)
    if name in SCRATCH:
        case = ENCODER_CASES[name]
        return Before(case.make(), [case.item() for _ in range(3)])
    checkpoint = READ[name]
    checkpoint.save(folder)
    length = {"seconds": 0.5} if name == "wav2vec2" else {}
    encoder = checkpoint.encoder(folder, tokens=8, **length)
    model = PolymodalModel.from_parts({INPUT: encoder}, FeatureFusion("concat", width=16))
    reader = PolymodalProcessor.for_model(model).readers[INPUT]
    first, second = (reader.collate([reader.read(cell, None)]) for cell in checkpoint.cells)
    return Before(encoder, [{key: part[key][0] for key in part} for part in (first, second, first)])


ENCODERS = (*READ, *SCRATCH)


def make_speaker(
    before: Before, language_model: hf.PreTrainedModel, connector: str = "mlp"
) -> PolymodalForConditionalGeneration:
    """A model of copies of its parts."""
    torch.manual_seed(1)
    return PolymodalForConditionalGeneration.from_parts(
        {INPUT: copy.deepcopy(before.encoder)},
        copy.deepcopy(language_model),
        {INPUT: (PLACEHOLDER, MISSING)},
        {INPUT: CONNECTORS[connector]},
    )


@dataclass
class Speaker:
    """A model and rows for it: an item, text alone, one that lacks it, two items and a lack."""

    model: PolymodalForConditionalGeneration
    items: list[Item]
    rows: list[Row] = field(init=False)

    def __post_init__(self) -> None:
        first, second, third = self.items
        self.rows = [
            [5, first, 6, 7, 8],
            [9, 10, 11, 6],
            [12, None, 5, 13, 7, 8, 9],
            [second, 5, 14, third, 6, None, 7, 8],
        ]

    def length(self, item: Item) -> int:
        """How many placeholders an item takes, counted alone as a processor does."""
        return int(self.model.count_tokens(INPUT, {key: value[None] for key, value in item.items()})[0])

    def tokens(self, row: Row) -> list[int]:
        written: list[int] = []
        for part in row:
            if isinstance(part, dict):
                written += [PLACEHOLDER] * self.length(part)
            else:
                written.append(MISSING if part is None else part)
        return written

    def batch(self, rows: Sequence[Row] | None = None, *, left: bool = False, padding: int = 0) -> dict:
        """Tensors of a batch; ``padding`` goes on beyond the longest row, and behind the texts of items."""
        rows = self.rows if rows is None else rows
        written = [self.tokens(row) for row in rows]
        longest = max(map(len, written)) + padding
        batch = {
            "input_ids": [pad(ids, longest, PAD, left) for ids in written],
            "attention_mask": [pad([1] * len(ids), longest, 0, left) for ids in written],
        }
        if not left:
            learned = [[LEFT_OUT] * (len(ids) - LEARNED) + ids[-LEARNED:] for ids in written]
            batch["labels"] = [pad(labels, longest, LEFT_OUT, left) for labels in learned]
        return {name: torch.tensor(values) for name, values in batch.items()} | {
            "inputs": items_of(rows, padding)
        }

    def answers(self, rows: Sequence[Row] | None = None, **options: Any) -> Tensor:
        """The new tokens, three a row."""
        asked = self.batch(rows, left=True)
        return self.model.eval().generate(**asked, **({"max_new_tokens": 3} | options))

    def logits(self, rows: Sequence[Row] | None = None, padding: int = 0) -> Tensor:
        """``(rows, length, vocabulary)``."""
        batch = self.batch(rows, padding=padding)
        del batch["labels"]
        with torch.no_grad():
            return self.model.eval()(**batch).logits

    def train(self, steps: int) -> list[float]:
        """The loss before each step of the weights that learn, and after the last."""
        learning = [weight for weight in self.model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=5e-3)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = self.model.train()(**self.batch()).loss
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            return [*losses, self.model(**self.batch()).loss.item()]


def pad(values: list[int], length: int, filler: int, left: bool) -> list[int]:
    behind = [filler] * (length - len(values))
    return [*behind, *values] if left else [*values, *behind]


def items_of(rows: Sequence[Row], padding: int = 0) -> dict[str, dict[str, Tensor]]:
    """The items of rows by input, in the order of their placeholders."""
    held = [[part for part in row if isinstance(part, dict)] for row in rows]
    return collate([{INPUT: items} if items else {} for items in held], padding)["inputs"]


def idle(items: Sequence[Item]) -> dict[str, dict[str, Tensor]]:
    """An item of no row, as a process gives it that must step with others."""
    blank = {key: torch.zeros_like(value)[None] for key, value in items[0].items()}
    return {INPUT: {"row": torch.tensor([], dtype=torch.long), **blank}}


def assert_said(among: Tensor, alone: Tensor) -> None:
    """The answer of a row in a batch is that of the row alone; what others say longer is padding there."""
    assert torch.equal(among[: len(alone)], alone)
    assert (among[len(alone) :] == PAD).all()
