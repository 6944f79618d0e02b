"""The files of an export to Optimum's layout, and ``optimum.json``: what its graphs take and give."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from polymodal.artifact.run_folder import EXPORTED_WORDS
from polymodal.errors import RunError
from polymodal.runtime.manifest import FP32, InputEntry, SourceRun, read_description
from polymodal.utils.records import JsonObject, Record
from polymodal.utils.version import __version__

FORMAT = 1
"""Of the folder; a later one may hold what this version does not know."""
ONNX = "onnx"
"""The folder of the graphs."""
MODEL, EMBEDDING, DECODER = "model.onnx", "embed_tokens.onnx", "decoder_model_merged.onnx"
STEMS = {"image": "vision"}
"""By modality the first word of its encoder's file, where that is not the modality's name."""
IDS, EMBEDS, MASK, POSITIONS, LOGITS = (
    "input_ids",
    "inputs_embeds",
    "attention_mask",
    "position_ids",
    "logits",
)


@dataclass(frozen=True, kw_only=True)
class ItemEntry(Record):
    """An input of the run, and the graph that makes embeddings of its items.

    Attributes:
        input: The input with the tensors that the graph takes.
        modality: Of the input.
        file: The graph's, in ``onnx/``.
        features: The name of its output ``(items, tokens, width)``, beside ``mask`` ``(items, tokens)``.
        placeholder: The token that takes the place of each embedding.
        placeholder_id: Its id.
        missing: The token of an item that is missing.
        missing_id: Its id.
        settings: Of the run's reader, which makes the tensors of an item.
    """

    input: InputEntry
    modality: str
    file: str
    features: str
    placeholder: str
    placeholder_id: int
    missing: str
    missing_id: int
    settings: JsonObject


@dataclass(frozen=True, kw_only=True)
class Layout(Record):
    """What an export holds.

    Attributes:
        run: Which it is of.
        inputs: In declared order; none for a run that reads text alone.
        past: By layer twice, for keys and values, ``(heads, width)`` of what is kept of each token.
        positions: Whether the language model takes positions.
        context: The most tokens of prompt and answer; None where there is no limit.
        precision: ``fp32`` or ``int8``.
        format: See :data:`FORMAT`.
        polymodal: The version that wrote it.
    """

    run: SourceRun
    inputs: list[ItemEntry]
    past: list[list[int]]
    positions: bool
    context: int | None
    precision: str = FP32
    format: int = FORMAT
    polymodal: str = field(default=__version__)

    @property
    def decoder(self) -> str:
        """The file of the language model, in ``onnx/``."""
        return DECODER if self.inputs else MODEL

    @property
    def takes(self) -> list[str]:
        """The names of what the language model takes, in order."""
        first = EMBEDS if self.inputs else IDS
        return [first, MASK, *([POSITIONS] if self.positions else []), *self.pairs("past_key_values")]

    @property
    def gives(self) -> list[str]:
        """The names of what the language model gives, in order."""
        return [LOGITS, *self.pairs("present")]

    def pairs(self, name: str) -> list[str]:
        """The names of keys and values, layer by layer."""
        return [f"{name}.{layer}.{part}" for layer in range(len(self.past) // 2) for part in ("key", "value")]

    def write(self, folder: Path) -> None:
        """Write it into an export's folder."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (folder / EXPORTED_WORDS).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Layout:
        """Read it from an export's folder.

        Raises:
            RunError: If it is no export, of a later version, or damaged.
        """
        layout = read_description(folder, EXPORTED_WORDS, FORMAT, cls.from_dict, "optimum")
        for entry in layout.inputs:
            if os.path.basename(entry.file) != entry.file:
                raise RunError(
                    f"{folder}: {EXPORTED_WORDS} names '{entry.file}', outside of {ONNX}/. Do not trust it"
                )
        return layout


def encoder_files(modalities: Sequence[str]) -> list[str]:
    """The file of each input's encoder, by the inputs' modalities, such as ``vision_encoder.onnx``."""
    stems = [STEMS.get(each, each if each.isidentifier() else "item") for each in modalities]
    known = [stem.casefold() for stem in stems]  # some file systems do not distinguish case
    before = [known[:number].count(stem) for number, stem in enumerate(known)]
    return [
        f"{stem}_encoder{f'_{number + 1}' if number else ''}.onnx"
        for stem, number in zip(stems, before, strict=True)
    ]
