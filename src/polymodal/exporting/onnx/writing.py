"""The folder of an export to ONNX, written and compared with its run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polymodal.data.readers import TextReader
from polymodal.errors import RunError, option
from polymodal.exporting.formats import Exported
from polymodal.exporting.onnx.comparing import NEAR, Compared, compare, rows_of
from polymodal.exporting.onnx.converting import convert, round_weights
from polymodal.exporting.onnx.expressible import check_expressible, check_tokenizer, saved_decoders
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.array_processor import ArrayProcessor
from polymodal.runtime.manifest import FILE, FP32, INT8, MODEL, InputEntry, Manifest
from polymodal.runtime.onnx_run import OnnxRun
from polymodal.utils.atomic import folder_aside, write_text
from polymodal.utils.checksums import CHECKSUMS, digest_of
from polymodal.utils.records import JsonObject


def write(
    run: PredictionRun, folder: Path, inputs: Sequence[str], *, int8: bool = False, rows: Any = None
) -> Exported:
    """Write a run as ``model.onnx`` with what :mod:`polymodal.runtime` needs, and compare their answers.

    Args:
        run: With heads.
        folder: Empty.
        inputs: None: the model needs all that the run has.
        int8: Round the weights of matrix products to 8 bits.
        rows: A table to compare on; by default rows of noise.

    Raises:
        RunError: If the run cannot be expressed, or fp32 answers differ from the run's.
        DataError: If ``rows`` cannot be read.
    """
    if inputs:
        raise RunError(f"{run.folder}: onnx holds all inputs of a run. Leave out {option('inputs')}")
    check_expressible(run)
    if run.model.device.type != "cpu":
        run = type(run).load(run.folder, device="cpu")
    compared_on = rows_of(run, rows)
    with folder_aside(folder, last=FILE) as part:
        entries = convert(run, part / MODEL)
        if int8:
            round_weights(part / MODEL)
        write_rest(run, part, entries, INT8 if int8 else FP32)
        found = compare(run, OnnxRun.read(part, threads=1), *compared_on, made=rows is None)
        if not int8:
            check_near(run, found)
    return Exported(folder, _by_modality(run), usage=_usage(folder), notes=[found.summary])


def write_rest(run: PredictionRun, folder: Path, entries: Sequence[InputEntry], precision: str) -> None:
    """Write readers, tokenizers, decoders and checksums beside the model.

    Raises:
        RunError: If a tokenizer writes otherwise than that of the run.
    """
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
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    sums = {"sha256": {name: digest_of(folder / name) for name in names}}
    write_text(folder / CHECKSUMS, json.dumps(sums, indent=2) + "\n")


def check_near(run: PredictionRun, found: Compared) -> None:
    """Refuse an export whose answers are others.

    Raises:
        RunError: Saying by how much.
    """
    if not found.largest <= NEAR:
        reason = f"its answers are not those of the run: {found.summary}, expected at most {NEAR:g}"
        raise RunError(f"{run.folder}: the export is of no use, {reason}. Serve the run itself")


def _tokenizers(run: PredictionRun) -> dict[str, JsonObject]:
    """See :class:`Manifest`."""
    made: dict[str, JsonObject] = {}
    for number, name in enumerate(run.reading.firsts):
        part = run.reading.readers[name].part
        if part is not None:
            side, pad = part.truncation_side, part.pad_token_id or 0
            made[f"reader_{number}"] = {"pad": pad, "most": part.model_max_length, "side": side}
    return made


def _by_modality(run: PredictionRun) -> dict[str, str]:
    """By modality the names of its inputs, with commas between."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, reader in run.reading.readers.items():
        names[reader.modality].append(name)
    return {modality: ", ".join(each) for modality, each in names.items()}


def _usage(folder: Path) -> str:
    return f"polymodal.runtime.load({str(folder)!r}).predict(rows)"
