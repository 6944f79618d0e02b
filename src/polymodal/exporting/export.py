"""Export of a run: format, checks, and writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from polymodal.artifact.capabilities import Kind, fit_of_words
from polymodal.errors import ConfigError, RunError, option, worded
from polymodal.exporting.formats import FORMATS, Exported, find_format, load_writer
from polymodal.runs.core import AnyRun, RunBase
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.atomic import require_folder, writing
from polymodal.utils.progress import quiet_libraries, working


def export(
    run: AnyRun | str | Path,
    *,
    to: str,
    output: str | Path,
    inputs: Sequence[str] = (),
    int8: bool = False,
    rows: Any = None,
) -> Exported:
    """Write a run, or a part of it, in the format of another library.

    Args:
        run: A run, or its folder.
        to: ``sentence-transformers``, ``llava``, ``optimum`` or ``onnx``: see
            :mod:`polymodal.exporting.sentence_transformers`, :mod:`polymodal.exporting.llava`,
            :mod:`polymodal.exporting.optimum` and :mod:`polymodal.exporting.onnx`.
        output: A folder that does not exist yet, or is empty.
        inputs: The inputs that are exported; by default all that the format can express.
        int8: For ``onnx`` and ``optimum``: round the weights of matrix products to 8 bits.
        rows: For ``onnx``: a table to compare the answers on; by default the rows that the run keeps.

    Raises:
        ConfigError: If there is no such format, it has no such option, or its library is not installed.
        RunError: If the run cannot be read or expressed in the format, or the folder is not empty.
    """
    folder = Path(output)
    check_empty(folder)
    require_folder(folder)
    options = chosen_options(to, {"int8": int8 or None, "rows": rows})
    with working("exporting"):
        writer = load_writer(to)
        loaded: AnyRun = RunBase.load(run, device="cpu") if isinstance(run, (str, Path)) else run
        loaded = loaded.fused if isinstance(loaded, PredictionRun) and not find_format(to).whole else loaded
        check_kind(loaded, to)
        with quiet_libraries(), writing(folder):
            return cast(Exported, writer.write(loaded, folder, inputs, **options))


def chosen_options(to: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given, of those that a format has.

    Raises:
        ConfigError: If there is no such format, or it does not have one.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen:
        if name not in find_format(to).options:
            have = " and ".join(each for each, known in FORMATS.items() if name in known.options)
            raise ConfigError(f"an export to {to} has no {option(name)}, which is for {have}. Leave it out")
    return chosen


def check_kind(run: AnyRun, to: str) -> None:
    """Refuse a run whose answers the format does not hold.

    Raises:
        RunError: If it is a generation run and the format does not support these, or the other way round.
    """
    words = find_format(to).words
    if words and run.kind is not Kind.words:
        fix = f"Fit one that does: {fit_of_words()}"
        raise RunError(f"{run.folder}: does not answer in words, and {to} does nothing else. {fix}")
    if not words and run.kind is Kind.words:
        again = worded("polymodal export RUN --to optimum", "pm.export(run, to='optimum')")
        fix = f"{again} takes one that does, and llava one that reads a picture alone"
        raise RunError(f"{run.folder}: answers in words, which {to} does not hold. {fix}")


def check_empty(folder: Path) -> None:
    """Check that the output folder is empty: an export could replace files of a run.

    Raises:
        RunError: If ``folder`` is a file, or is not empty.
    """
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder}: is a file, expected a folder to export to")
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder}: is not empty. Give another folder with -o, or empty it")
