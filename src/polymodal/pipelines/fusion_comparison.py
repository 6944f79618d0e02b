"""Fusions under equal settings: the same rows, processor, seed and epochs; nothing differs but the fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polymodal.candidates.checks import check_candidates
from polymodal.comparison.comparison import compare
from polymodal.config import FusionConfig
from polymodal.errors import ConfigError, worded
from polymodal.models.fusion import FUSIONS
from polymodal.pipelines.multi_fit import Fits, check_folders, fit_several
from polymodal.pipelines.pages import try_page
from polymodal.pipelines.time_limits import deadline_of
from polymodal.training.declaration.validation import fusion_configs
from polymodal.training.opening import open_prediction_job
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.start import refuse_own_start
from polymodal.utils.lock import claimed


def compare_fusions(request: FitRequest) -> Fits:
    """The fits of a request for fusions, see :func:`polymodal.fit_fusions`.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    job, folder = open_prediction_job(request), request.folder
    check_candidates(job.declaration, comparing="fusions")
    job.deadline = deadline_of(request, job, folder)
    fusion, names = job.declaration.fusion, request.fusions
    configs = fusion_configs(fusion, names)
    declared = {name: job.declaration.model_copy(update={"fusion": configs[name]}) for name in names}
    refuse_own_start(job.start, folder, several=True)
    with claimed(folder):
        check_folders(folder, declared, resume=request.resume, overwrite=request.overwrite)
        job.require_sound(request.quiet)
        jobs = {name: replace(job, declaration=declaration) for name, declaration in declared.items()}
        warnings = [*job.warnings(), *unshared(fusion, configs)]
        fits = fit_several(
            jobs, folder, varied="fusion", resume=request.resume, quiet=request.quiet, warnings=warnings
        )
        return _with_page(fits) if job.declaration.report.is_written else fits


def _with_page(fits: Fits) -> Fits:
    """The fits beside the page that compares them, where two or more have test rows."""
    runs = [fits.folder / fit.name for fit in fits.fits if fit.test]
    if len(runs) < 2:
        return fits
    missing: list[str] = []
    again = worded("polymodal compare RUN RUN …", "pm.compare([run, run, …])")
    page = try_page("compare.html", lambda: compare(runs).write(fits.folder), again, missing)
    return replace(fits, page=page, warnings=[*fits.warnings, *missing])


def fusion_names(given: str | Sequence[str]) -> list[str]:
    """Parse names of fusions: ``all``, a text with commas between names, or a sequence.

    Raises:
        ConfigError: If no fusion is named.
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
