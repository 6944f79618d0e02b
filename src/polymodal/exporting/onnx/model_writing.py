"""One neural model with its readers, tokenizers and decoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polymodal.data.readers import TextReader
from polymodal.exporting.onnx.converting import convert, round_weights
from polymodal.exporting.onnx.expressible import check_tokenizer, saved_decoders
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.array_processor import ArrayProcessor
from polymodal.runtime.manifest import FP32, INT8, MODEL, InputEntry, Manifest
from polymodal.utils.records import JsonObject


def write_model(run: PredictionRun, folder: Path, int8: bool) -> None:
    """Write the model of a run, and what reads rows for it and decodes its outputs.

    Raises:
        RunError: If PyTorch cannot convert it, or a tokenizer writes otherwise than that of the run.
    """
    entries = convert(run, folder / MODEL)
    if int8:
        round_weights(folder / MODEL)
    _write_rest(run, folder, entries, INT8 if int8 else FP32)


def _write_rest(run: PredictionRun, folder: Path, entries: Sequence[InputEntry], precision: str) -> None:
    run.reading.save_pretrained(folder)
    manifest = Manifest(
        precision=precision,
        inputs=list(entries),
        decoders={name: decoder.state() for name, decoder in saved_decoders(run).items()},
        tokenizers=_tokenizers(run),
    )
    manifest.write(folder)
    written = ArrayProcessor.of_export(folder, manifest)
    for name, reader in run.reading.readers.items():
        other = written.readers[name]
        if isinstance(reader, TextReader) and isinstance(other, TextReader):
            check_tokenizer(run.folder, name, reader, other)


def _tokenizers(run: PredictionRun) -> dict[str, JsonObject]:
    """See :class:`Manifest`."""
    made: dict[str, JsonObject] = {}
    for number, name in enumerate(run.reading.firsts):
        reader = run.reading.readers[name]
        if isinstance(reader, TextReader):
            part: Any = reader.part
            side, pad = part.truncation_side, part.pad_token_id or 0
            made[f"reader_{number}"] = {"pad": pad, "most": part.model_max_length, "side": side}
    return made
