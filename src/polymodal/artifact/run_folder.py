"""Run folders: write one, check that it is complete, and what kind it is. None of it needs the model."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from polymodal.artifact.capabilities import Kind
from polymodal.artifact.integrity import CHECKSUMS, check_run_files, write_sums
from polymodal.config import Declaration
from polymodal.config.generation import LANGUAGE_TYPE
from polymodal.errors import PolymodalError, RunError, did_you_mean, option, setting, worded
from polymodal.utils.atomic import discard, folder_aside, write_text
from polymodal.utils.json_files import read_json
from polymodal.utils.records import JsonObject
from polymodal.utils.threads import available_threads, limit_threads

FILES = ("config.json", "model.safetensors", "processor_config.json", "run.yaml")
"""Files that every complete run folder of one model holds."""
BLEND = "blend.json"
BLEND_FILES = (BLEND, "processor_config.json", "run.yaml")
"""Files that the folder of a blend of several models holds; the models lie in folders of their own."""

EXPORT, EXPORTED_WORDS = "export.json", "optimum.json"
"""By which exports are known: of ``polymodal.runtime.manifest`` and ``exporting.optimum.layout``."""


def needed_files(path: Path) -> tuple[str, ...]:
    """The files that a complete run folder holds, by its kind."""
    return BLEND_FILES if (path / BLEND).is_file() else FILES


def require_folder_of_run(path: Path) -> None:
    """Check that there is a folder where a run should be.

    Raises:
        RunError: If there is none.
    """
    if os.path.isdir(path):
        return
    if os.path.exists(path):
        raise RunError(f"{path}: is a file, expected the folder that a fit wrote. The run comes first")
    beside = path.parent.iterdir() if os.path.isdir(path.parent) else ()
    runs = sorted(entry.name for entry in beside if (entry / "run.yaml").is_file())
    fix = did_you_mean(path.name, runs)
    raise RunError(f"{path}: no such run folder" + (f". {fix}" if fix.startswith("Did") else ""))


def require_run(path: Path) -> None:
    """Check that a run folder is there and complete; no file is read.

    Raises:
        RunError: If there is no such folder, or a file is missing.
    """
    require_folder_of_run(path)
    if (path / EXPORT).is_file():
        fix = worded(f"use it by polymodal serve {path}", f"use it by polymodal.runtime.load({str(path)!r})")
        raise RunError(f"{path}: is an export to ONNX, expected a run. Name the run, or {fix}")
    if (path / EXPORTED_WORDS).is_file():
        fix = f"Name the run; {path / 'README.md'} shows how to use the export"
        raise RunError(f"{path}: is an export to optimum, expected a run. {fix}")
    lacking = [name for name in needed_files(path) if not (path / name).is_file()]
    if lacking:
        fix = f"Fit again, or with {option('resume', True)} if checkpoints/ is there"
        raise RunError(f"{path}: not a complete run, {', '.join(lacking)} missing. {fix}")


def require_files(path: Path) -> None:
    """Check that a run folder is complete, unchanged and self-contained (no links that lead out of it).

    Raises:
        RunError: As :func:`require_run`, or if :func:`polymodal.artifact.integrity.check_run_files` refuses a
            file.
    """
    require_run(path)
    check_run_files(path)


CANDIDATES = "candidates"
NEURAL = Path(CANDIDATES) / "fused"
"""Where the run of the neural model lies in the folder of a blend."""


def has_neural(path: Path) -> bool:
    """Whether a run has a neural model: all but blends that were fitted without it."""
    return not (path / BLEND).is_file() or (path / NEURAL).is_dir()


def neural_folder(path: Path) -> Path:
    """The folder of a run's neural model, which embeds, searches and is fine-tuned from.

    It is ``path`` itself, or in a blend the folder of that candidate.

    Raises:
        RunError: If the blend was fitted without it.
    """
    if not (path / BLEND).is_file():
        return path
    if not has_neural(path):
        fix = f"Fit with {setting('train.candidates', ['plain', NEURAL.name])}"
        raise RunError(f"{path}: was fitted without the neural model, which this needs. {fix}")
    return path / NEURAL


def own_candidates(folder: Path) -> list[Path]:
    """The folders of candidates that the ``run.yaml`` in a folder declares, whether they are there or not.

    A folder ``candidates`` may also be the user's own, such as one of pictures.
    """
    try:
        declared = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
        names = declared["train"]["candidates"]
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return []  # of one model, or no run
    each = names if isinstance(names, list) else []
    return [
        folder / CANDIDATES / name for name in each if isinstance(name, str) and Path(name).parts == (name,)
    ]


def discard_candidates(folder: Path) -> None:
    """Remove the candidates of the run in a folder, and nothing else."""
    for path in own_candidates(folder):
        discard(path)
    with suppress(OSError):  # other files are in it, or it is not there
        (folder / CANDIDATES).rmdir()


def kind_of(path: Path) -> Kind:
    """Kind of the run in a folder (heads, words or space), from ``config.json``; heads if unreadable."""
    config = configuration_of(path)
    if config is None:
        return Kind.heads
    if config.get("model_type") == LANGUAGE_TYPE:
        return Kind.words
    return Kind.heads if config.get("heads") else Kind.space


def configuration_of(path: Path) -> JsonObject | None:
    """Content of ``config.json``; None if it cannot be read (loading the model then raises)."""
    try:
        config = read_json(path / "config.json")
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def holds_weights(path: Path) -> bool:
    """Whether the model in a run folder has tensors of weights; a blend of plain models has none."""
    if not (path / BLEND).is_file():
        return True
    try:
        names = [str(name) for name in read_json(path / BLEND)["candidates"]]
    except (OSError, ValueError, LookupError, TypeError, PolymodalError):
        return True  # to be refused when it is loaded
    files = [path / CANDIDATES / name for name in names]
    return any(next(each.rglob(kind), None) for each in files for kind in ("*.safetensors", "shared.json"))


def trained_threads(path: Path) -> int | None:
    """CPU threads that the run was trained with, from ``metrics.json``; None if that does not record them."""
    try:
        trained = read_json(path / "metrics.json")["train"]
        threads = int(trained["threads"])
        return threads if threads > 0 else None
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        OverflowError,
        RunError,
    ):  # of an older version, or another device
        return None


def use_threads(threads: int | None, run: Path) -> None:
    """Set the number of CPU threads of this process; by default as many as the run was trained with.

    Plain models, which need no torch, then compute with at most ``threads`` threads of BLAS and OpenMP; by
    default their libraries choose.
    """
    if threads is not None and (run / BLEND).is_file():
        from polymodal.plain.learners.boosting import missing_library

        missing_library()  # LightGBM is loaded, so that its threads are limited too
        limit_threads(threads)
    if not holds_weights(run):
        return
    import torch  # whose threads they are

    available = available_threads()
    torch.set_num_threads(threads or min(available, trained_threads(run) or available))


def discard_readers(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove the files of readers that a run of more inputs left in a folder, except the folders ``kept``."""
    for path in folder.glob("reader_*"):
        if path.name not in kept:
            discard(path)


def write_run(folder: Path, model: Any, processor: Any, declaration: Declaration) -> None:
    """Write :data:`FILES`, the weights last so that a folder with weights is complete, then checksums.

    A blend that was there is removed.
    """
    for name in (CHECKSUMS, BLEND):
        (folder / name).unlink(missing_ok=True)
    discard_candidates(folder)
    with folder_aside(folder, last="model.safetensors") as part:
        model.save_pretrained(part)
        processor.save_pretrained(part)
        write_text(part / "run.yaml", declaration.to_yaml())
        names = [path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file()]
    discard_readers(folder, {Path(name).parts[0] for name in names})
    write_sums(folder, names)
