"""Fusions under equal settings: the same rows, processor, seed and epochs; nothing differs but the fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polymodal.api import default_folder
from polymodal.comparison.comparison import compare
from polymodal.config import FusionConfig
from polymodal.data.checks.rejected import left_out
from polymodal.errors import ConfigError, DataError
from polymodal.models.fusion import FUSIONS
from polymodal.pipelines.multi_fit import Fits, check_folders, fit_several
from polymodal.pipelines.pages import try_page
from polymodal.training.declaration.validation import fusion_configs
from polymodal.training.job import open_job
from polymodal.training.warm_start.start import refuse_own_start
from polymodal.utils.lock import claimed


def fit_fusions(
    source: Any,
    *,
    fusions: str | Sequence[str] = "all",
    target: str | Sequence[str] | None = None,
    inputs: Sequence[str] = (),
    output: str | Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
) -> Fits:
    """Fit a table once with each fusion; each into ``output/<fusion>``, as ``fit`` with that fusion alone.

    Every cell is checked and decoded once for all of them. Where two fits or more have test rows, and
    ``report.write`` is not false, ``compare.html`` in the folder sets them side by side (see
    :func:`polymodal.comparison.comparison.compare`). An option under ``fusion`` goes to the fusions
    that have it; the others are named in the result's warnings.

    Args:
        source: See :func:`polymodal.api.fit`, and so for what is not listed here.
        target: Column, or columns, to learn.
        inputs: The only columns to read.
        settings: Such as ``train.epochs=3``, for all fits.
        fusions: Names, or ``all`` that are registered.
        output: A folder for the runs and ``fusions.json``; ``runs/<name of the table>`` by default.
        resume: Leave finished fits as they are and go on with the others.
        overwrite: Replace the runs in ``output``.
        quiet: Show no progress.

    Raises:
        PolymodalError: One line for everything that is wrong; nothing was trained then.
    """
    names = fusion_names(fusions)
    targets = [target] if isinstance(target, str) else list(target or [])
    job = open_job(source, targets=targets, inputs=inputs, settings=settings, fusions=names)
    configs = fusion_configs(job.declaration.fusion, names)
    declared = {name: job.declaration.model_copy(update={"fusion": configs[name]}) for name in names}
    folder = Path(output) if output else default_folder(source)
    refuse_own_start(job.start, folder, several=True)
    with claimed(folder):
        check_folders(folder, declared, resume=resume, overwrite=overwrite)
        report = job.check(quiet)
        if not report.ok:
            raise DataError([*report.problems, *left_out(report.rejected)])
        jobs = {name: replace(job, declaration=declaration) for name, declaration in declared.items()}
        warnings = [*map(str, report.warnings), *unshared(job.declaration.fusion, configs)]
        fits = fit_several(jobs, folder, varied="fusion", resume=resume, quiet=quiet, warnings=warnings)
        tested = [fit.name for fit in fits.fits if fit.test]
        if len(tested) < 2 or not job.declaration.report.write:
            return fits
        missing: list[str] = []
        runs, again = [folder / name for name in tested], "polymodal compare RUN RUN …"
        page = try_page("compare.html", lambda: compare(runs).write(folder), again, missing)
        return replace(fits, page=page, warnings=[*fits.warnings, *missing])


def fusion_names(given: str | Sequence[str]) -> list[str]:
    """The fusions that ``all``, or names (in a text: with commas between), stand for.

    Raises:
        ConfigError: If there is none.
    """
    names = [part.strip() for part in given.split(",")] if isinstance(given, str) else list(given)
    names = list(dict.fromkeys(name for name in names if name))
    if not names:
        raise ConfigError(f"no fusion to fit. Name some of {', '.join(FUSIONS)}, or all")
    return list(FUSIONS) if "all" in names else names


def unshared(declared: FusionConfig, configs: Mapping[str, FusionConfig]) -> list[str]:
    """A line for each option that not all fusions have."""
    lines = []
    for option in declared.options:
        having = [name for name, config in configs.items() if option in config.options]
        if len(having) < len(configs):
            lines.append(f"fusion.{option} goes to {', '.join(having)}; the others have no such option")
    return lines
