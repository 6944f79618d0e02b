"""One door to all exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from polymodal.data.aside import writing
from polymodal.errors import RunError
from polymodal.exporting.formats import Exported, load_writer
from polymodal.run import Run
from polymodal.training.progress import quiet_libraries, working


def export(
    run: Run | str | Path,
    *,
    to: str,
    output: str | Path,
    inputs: Sequence[str] = (),
) -> Exported:
    """Write a run, or a part of it, in the form of another library.

    Args:
        run: A run, or its folder.
        to: ``sentence-transformers``: see :mod:`polymodal.exporting.sentence_transformers`.
        output: A folder that is not there yet, or is empty.
        inputs: The inputs that are to be in it; by default all that the format can express.

    Raises:
        ConfigError: If there is no such format, or its library is not installed.
        RunError: If the run cannot be read, or not be expressed in that form, or the folder is in use.
    """
    folder = Path(output)
    check_empty(folder)
    with working("exporting"):
        writer = load_writer(to)
        loaded = run if isinstance(run, Run) else Run.load(run, device="cpu")
        with quiet_libraries(), writing(folder):
            return cast(Exported, writer.write(loaded, folder, inputs))


def check_empty(folder: Path) -> None:
    """Refuse what holds something: an export beside other files, a run's for one, would replace some of them.

    Raises:
        RunError: If ``folder`` is a file, or is not empty.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file, expected a folder to export to")
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder}: is not empty. Give another folder with -o, or empty it")
