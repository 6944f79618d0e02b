"""One neural model with its readers, tokenizers and decoders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from polymodal.data.readers import TextReader
from polymodal.data.row_processor import RowProcessor
from polymodal.exporting.onnx.converting import convert, round_weights
from polymodal.exporting.onnx.expressible import check_tokenizer, saved_decoders
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.array_processor import ArrayProcessor
from polymodal.runtime.manifest import FP32, INT8, MODEL, Manifest
from polymodal.utils.records import JsonObject


def write_model(run: PredictionRun, folder: Path, int8: bool) -> None:
    """Write the model of a run, and what reads rows for it and decodes its outputs.

    Raises:
        RunError: If PyTorch cannot convert it, or a tokenizer writes otherwise than that of the run.
    """
    entries = convert(run, folder / MODEL)
    if int8:
        round_weights(folder / MODEL)
    manifest = Manifest(
        precision=INT8 if int8 else FP32,
        inputs=entries,
        decoders={name: decoder.state() for name, decoder in saved_decoders(run).items()},
    )
    write_processor(run.folder, run.reading, manifest, folder)


def write_processor(source: Path, processor: RowProcessor, manifest: Manifest, folder: Path) -> None:
    """Write what reads rows for a model, and its manifest with the tokenizers.

    Args:
        source: The run, for messages.
        processor: Reads rows.
        manifest: Without tokenizers.
        folder: Of the model.

    Raises:
        RunError: If a tokenizer writes otherwise than that of the run.
    """
    processor.save_pretrained(folder)
    manifest = replace(manifest, tokenizers=_tokenizers(processor))
    manifest.write(folder)
    written = ArrayProcessor.of_export(folder, manifest)
    for name, reader in processor.readers.items():
        other = written.readers[name]
        if isinstance(reader, TextReader) and isinstance(other, TextReader):
            check_tokenizer(source, name, reader, other)


def _tokenizers(processor: RowProcessor) -> dict[str, JsonObject]:
    """See :class:`Manifest`."""
    made: dict[str, JsonObject] = {}
    for number, name in enumerate(processor.firsts):
        reader = processor.readers[name]
        if isinstance(reader, TextReader):
            part: Any = reader.part
            side, pad = part.truncation_side, part.pad_token_id or 0
            made[f"reader_{number}"] = {"pad": pad, "most": part.model_max_length, "side": side}
    return made
