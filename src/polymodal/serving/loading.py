"""Runs and exports loaded from their folders; exports alone need no library of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from polymodal import api
from polymodal.api import ConfigError, RunError
from polymodal.serving.served_export import ServedExport
from polymodal.serving.served_heads import ServedHeads
from polymodal.serving.served_run import ServedRun
from polymodal.serving.served_words import ServedWords

if TYPE_CHECKING:
    from polymodal.serving.served_run import Loaded


def load_runs(
    folders: Sequence[Path], device: str | None, precision: str, threads: int | None
) -> dict[str, Loaded]:
    """Runs and exports by the names of their folders; see :meth:`Service.load`.

    Raises:
        RunError: If a folder holds no complete run or export, or two have the same name.
        ConfigError: If a run needs a library that is not installed, or this machine has no such device.
    """
    names = [path.resolve().name for path in folders]
    for name, path in zip(names, folders, strict=True):
        if names.count(name) > 1:
            raise RunError(f"{path}: two of the runs are called '{name}'. Rename one of the folders")
        api.require_loadable(path)
    runs = [path for path in folders if not api.is_export(path)]
    _check_options(runs, device, precision)
    if runs:
        api.use_threads(threads, runs[0])
    return {name: _load(path, device, precision, threads) for name, path in zip(names, folders, strict=True)}


def served_as(run: Loaded) -> type[ServedRun]:
    """The class that serves a run."""
    if isinstance(run, api.ExportedRun):
        return ServedExport
    return ServedWords if run.kind is api.Kind.words else ServedHeads


def _load(path: Path, device: str | None, precision: str, threads: int | None) -> Loaded:
    if api.is_export(path):
        return api.open_export(path, threads=threads or api.available_threads())
    with api.naming_library(path):
        loaded: Loaded = api.load(path, device=device, precision=precision)
        return loaded


def _check_options(runs: Sequence[Path], device: str | None, precision: str) -> None:
    """Refuse options that are of runs where none is served.

    Raises:
        ConfigError: Naming the option.
    """
    if runs:
        return
    for name, chosen in (("device", device not in (None, "cpu")), ("precision", precision != "fp32")):
        if chosen:
            reason = "an export computes on the CPU, in the precision that it was written with"
            raise ConfigError(f"{reason}. Leave out {api.option(name)}")
