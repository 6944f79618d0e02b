"""What an export to ONNX can hold: refused in one line before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from polymodal.answers.base import SavedDecoder
from polymodal.data.readers import AudioReader, ImageReader, Reader, TextReader
from polymodal.errors import RunError
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.feature_extractor import feature_extractor
from polymodal.runtime.image_processor import FileImageProcessor
from polymodal.runtime.manifest import is_saved
from polymodal.runtime.tokenizer import FILE

TRIED = ("", "A Flat, with 2 balconies; naïve ÅÜß…", "x" * 400, "ひらがな 漢字 🙂", "a b\tc\n" * 300)
"""Texts that both tokenizers must write alike."""
FORMS = ((300, 300), (640, 300), (300, 500), (40, 60))
"""Widths and heights of pictures of which both image processors must make the same."""
SHARES = (1.0, 0.3, 0.01)
"""Lengths of recordings of which both feature extractors must make the same, of the longest that is read."""
SOUND_NEAR = 1e-4
"""Largest difference of what they make of noise, as each rounds otherwise."""


def check_expressible(run: PredictionRun) -> None:
    """Refuse a run that an export to ONNX cannot hold.

    Raises:
        RunError: Naming what it cannot hold.
    """
    if not run.targets:
        fix = "Fit one that has: polymodal fit TABLE --target COLUMN"
        raise RunError(f"{run.folder}: has no targets, and onnx holds the answers to these alone. {fix}")
    if run.blend is None:
        check_readers(run)
    saved_decoders(run)


def check_readers(run: PredictionRun) -> None:
    """Refuse a neural model whose rows cannot be read without torch and Transformers.

    Raises:
        RunError: Naming the input.
    """
    for name, reader in run.reading.readers.items():
        check_reader(run.folder, name, reader)


def check_reader(folder: Path, name: str, reader: Reader) -> None:
    """Refuse an input whose reader needs torch or Transformers.

    Raises:
        RunError: Naming the input.
    """
    kind, part = type(reader), type(reader.part).__name__
    if kind.arrays is Reader.arrays:
        raise RunError(f"{folder}: the reader of '{name}' ({kind.__name__}) makes no arrays without torch")
    if reader.part is None:
        return
    fix = "Fit with an encoder from scratch for it, or serve the run itself"
    if reader.modality == TextReader.modality:
        if getattr(reader.part, "backend_tokenizer", None) is None:
            raise RunError(f"{folder}: the tokenizer of '{name}' ({part}) has no {FILE}. {fix}")
        return
    if reader.part_class not in KNOWN:
        reason = f"'{name}' is read by {part} of Transformers, which onnx does not hold"
        raise RunError(f"{folder}: {reason}. {fix}")
    noun, makes_same = KNOWN[reader.part_class]
    try:
        is_known = makes_same(reader)
    except (ValueError, LookupError, TypeError, AttributeError):
        is_known = False
    if not is_known:
        reason = f"the {noun} of '{name}' ({part}) has steps that onnx does not hold"
        raise RunError(f"{folder}: {reason}. {fix}")


def _sees_same(reader: Reader) -> bool:
    """Whether an image processor makes what its settings alone describe, for pictures of several forms."""
    random, part = np.random.default_rng(0), reader.part
    other = FileImageProcessor(part.to_dict())
    for width, height in FORMS:
        picture = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        own = np.asarray(part(picture, return_tensors="np")["pixel_values"])
        if not np.allclose(own, other(picture)["pixel_values"], rtol=0, atol=1e-5):
            return False
    return True


def _hears_same(reader: Reader) -> bool:
    """Whether a feature extractor makes what its settings alone describe, of noise of several lengths."""
    if not isinstance(reader, AudioReader):  # of another package
        return False
    written = feature_extractor(reader.part.to_dict())
    other = type(reader)(written, rate=reader.rate, seconds=reader.seconds)
    noise = np.random.default_rng(0).normal(0, 0.1, reader.samples).astype(np.float32)
    sounds = [noise[: math.ceil(share * len(noise))] for share in SHARES]
    for several in (sounds, sounds[-1:]):
        own, made = reader.arrays(several), other.arrays(several)
        if own.keys() != made.keys() or not all(_is_near(own[name], made[name]) for name in own):
            return False
    return True


def _is_near(own: np.ndarray, made: np.ndarray) -> bool:
    is_alike = own.shape == made.shape and own.dtype == made.dtype
    return is_alike and np.allclose(own, made, rtol=0, atol=SOUND_NEAR)


KNOWN: Mapping[str, tuple[str, Callable[[Reader], bool]]] = {
    ImageReader.part_class: ("image processor", _sees_same),
    AudioReader.part_class: ("feature extractor", _hears_same),
}
"""By class of Transformers that reads for pretrained encoders its noun, and whether :mod:`polymodal.runtime`
makes the same."""


def saved_decoders(run: PredictionRun) -> dict[str, SavedDecoder]:
    """By target what its outputs mean.

    Raises:
        RunError: If it is a head of another package, which is not read back without torch.
    """
    made: dict[str, SavedDecoder] = {}
    for name, decoder in run.answerer.decoders.items():
        saved = decoder.saved_decoder()
        if saved is None or not is_saved(saved.state()):
            raise RunError(
                f"{run.folder}: the head of '{name}' is of another package, which onnx does not hold"
            )
        made[name] = saved
    return made


def check_tokenizer(folder: Path, name: str, own: TextReader, written: TextReader) -> None:
    """Check that the exported tokenizer writes texts with the same tokens.

    Raises:
        RunError: If not: Transformers' class does more than its file holds.
    """
    for text in TRIED:
        ours: Any = own.read(text, None)
        if ours.tolist() != written.read(text, None).tolist():
            part = type(own.part).__name__
            reason = f"the tokenizer of '{name}' ({part}) does more than its {FILE} holds"
            raise RunError(f"{folder}: {reason}, so that answers would differ. Fit with another encoder")
