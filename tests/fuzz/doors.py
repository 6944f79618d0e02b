"""The doors a user's file goes through; what may come out is a result, or one clear line a thing."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import yaml

from polymodal.config.parsing import load_yaml, parse
from polymodal.data.media import audio_info, image_size, load_audio, load_image
from polymodal.data.media.sequence import load_sequence
from polymodal.data.media.video import load_video, video_info
from polymodal.errors import DataError, PolymodalError, RunError

LONGEST = 1600
"""Characters of a line: a message shows what it found, not all of it."""
UNCLEAR = ("Traceback", " object at 0x", "<class '", "<_io.", "<PIL.", "<function", "Errno")


def open_picture(path: Path) -> None:
    """As a path and as bytes."""
    load_image(path.name, path.parent)
    image_size(path.read_bytes())


def open_recording(path: Path) -> None:
    """As a path and as bytes."""
    load_audio(path.name, path.parent, rate=8000)
    audio_info(path.read_bytes())


def open_clip(path: Path) -> None:
    """As a path and as bytes."""
    load_video(path.name, path.parent, frames=4, size=16)
    video_info(path.read_bytes())


def open_sequence(path: Path) -> None:
    """As a path and as bytes."""
    load_sequence(path.name, path.parent)
    load_sequence(path.read_bytes())


def open_table(path: Path) -> None:
    """``init``, which must give a declaration, and ``check``, with rows skipped in half of the cases."""
    from polymodal import api

    parse(yaml.safe_load(api.init(path)))
    on_error = ("refuse", "skip")[path.stat().st_size % 2]
    _checked(path, ["kind"], [f"data.on_error={on_error}"])


def open_declaration(path: Path) -> None:
    """The file alone, and all that a fit would do before its first step."""
    with contextlib.suppress(PolymodalError):  # it wants written out what the check fills in
        load_yaml(path)
    _checked(path, [], [])


def open_run(path: Path) -> None:
    """Load the run that holds the file, and answer a row; its checksums would find the damage at once."""
    import polymodal as pm

    folder = path.parent if path.parent.name == "run" else path.parent.parent
    (folder / "checksums.json").unlink(missing_ok=True)
    pm.load(folder).predict([{"photo": None, "note": "a bright flat", "bedrooms": 3}, {}])


def open_blend(path: Path) -> None:
    """Load the blend that holds the file, and answer rows; before that its checksums must tell a change."""
    import polymodal as pm
    from polymodal.artifact.integrity import CHECKSUMS, digest_of
    from polymodal.artifact.run_folder import require_files

    folder = next(parent for parent in path.parents if parent.name == "blend")
    kept = (folder / CHECKSUMS).read_bytes()
    name = path.relative_to(folder).as_posix()
    whole = path.is_file() and digest_of(path) == json.loads(kept)["sha256"][name]
    with contextlib.suppress(RunError):
        require_files(folder)
        assert whole, f"{name} is damaged, which is not told"
    (folder / CHECKSUMS).unlink()
    try:
        run = pm.load(folder)
        run.predict([{"note": "a bright flat", "bedrooms": 3}, {}, {"district": "moor"}])
    finally:
        (folder / CHECKSUMS).write_bytes(kept)


def _checked(path: Path, targets: list[str], settings: list[str]) -> None:
    from polymodal import api  # not needed for media, and it loads torch
    from polymodal.cli.checking import show_check

    report = api.check(path, target=targets, settings=settings)
    json.dumps(report.to_json())
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        show_check(report)
    assert shown.getvalue().replace("\n", "").isprintable()
    for problem in [*report.problems, *report.warnings, *report.rejected]:
        assert is_clear(str(problem)), str(problem)[:3000]


DOORS: dict[str, Callable[[Path], None]] = {
    "pictures": open_picture,
    "recordings": open_recording,
    "clips": open_clip,
    "tables": open_table,
    "declarations": open_declaration,
    "sequences": open_sequence,
    "runs": open_run,
    "blends": open_blend,
}


def try_door(kind: str, path: Path) -> str:
    """What the user is told; an empty text where the file is accepted.

    Raises:
        AssertionError: If that is not clear.
        Exception: Whatever else comes out of the door: a bug.
    """
    try:
        DOORS[kind](path)
    except PolymodalError as error:
        lines = str(error).split("\n")
        assert all(map(is_clear, lines)), str(error)[:3000]
        if isinstance(error, DataError):
            assert len(lines) == min(len(error.problems), error.SHOWN + 1), str(error)[:3000]
        return str(error)
    return ""


def is_clear(line: str) -> bool:
    """Whether a line can be read: printable, not endless, nothing of Python's inside in it."""
    return (
        bool(line.strip())
        and line.isprintable()
        and len(line) <= LONGEST
        and not any(w in line for w in UNCLEAR)
    )
