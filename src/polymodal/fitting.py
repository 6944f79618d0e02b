"""The public functions that train: each makes one request, runs its pipeline, and returns what users hold.

A request is read first (:func:`polymodal.training.opening.reading`), and the pipeline imported then: what is
wrong with a request or its table is reported without the seconds that torch takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from polymodal.config.overrides import apply_settings
from polymodal.config.parsing import parse
from polymodal.config.shorthands import SettingsLike, Shorthands, all_settings
from polymodal.data.schema.schema import complete, render_yaml
from polymodal.errors import ConfigError
from polymodal.pipelines.check import check_request
from polymodal.training.declaration.completion import reader_of
from polymodal.training.declaration.source import read_declared_table, train_source
from polymodal.training.opening import reading, table_in_memory
from polymodal.training.request import FitRequest, Target, input_names, target_names
from polymodal.utils.deadline import Deadline
from polymodal.utils.progress import obeying_quiet

if TYPE_CHECKING:
    from polymodal.data.checks.check import CheckReport
    from polymodal.language_run import LanguageRun
    from polymodal.pipelines.cross_validation import Repeats
    from polymodal.pipelines.multi_fit import Fits
    from polymodal.run import Run


@obeying_quiet
def fit(
    source: Any,
    *,
    target: Target = None,
    inputs: str | Sequence[str] = (),
    output: str | Path | None = None,
    preset: str | None = None,
    settings: SettingsLike = (),
    sample_weight: str | None = None,
    start: str | Path | None = None,
    prompt: str | None = None,
    answer: str | None = None,
    time_limit: float | str | Deadline | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **shorthands: Unpack[Shorthands],
) -> Run | LanguageRun:
    """Train, evaluate and save a model.

    Args:
        source: A table (path, DataFrame, dataset, list of dicts) or the path of a declaration (YAML).
        target: Column, or columns, to learn.
        inputs: The only columns to read; by default all that can be read.
        output: The run folder; ``runs/<name of the table>`` by default.
        preset: Which models are tried: ``fast`` (plain ones, in seconds), ``good`` (these and the neural
            model, over recommended pretrained encoders) or ``best`` (these encoders tuned). By default what
            is declared, else ``good`` where models can be blended.
        settings: Such as ``{"train.epochs": 3}`` or ``["train.epochs=3"]``, over everything else.
        sample_weight: Column of sample weights, as ``data.sample_weight``.
        start: A run to fine-tune from: its encoders, embedding and fusion; heads are new.
        prompt: Template over columns of the question, such as ``{image} {question}``.
        answer: Template over columns of the answer.
        time_limit: Seconds that the whole fit may take, report included, or a text such as ``10m``; what does
            not fit is left out, with a note each. A resumed fit counts the time of its earlier legs.
        resume: Continue an interrupted run in ``output``; one that is finished is returned unchanged.
        overwrite: Replace a finished run in ``output``.
        quiet: Print no progress, notes or warnings.
        shorthands: Settings by a shorter name, such as ``epochs=3``: see :data:`Shorthands`.

    Returns:
        The run, whose folder holds the model, ``metrics.json``, predictions of the test rows and pages; a
        :class:`polymodal.LanguageRun` with ``prompt`` and ``answer``, or a declared ``generation``.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    chosen = _chosen(settings, shorthands, fit)
    request = reading(
        FitRequest(
            source, targets=target_names(target), inputs=input_names(inputs), output=output, preset=preset,
            settings=chosen, sample_weight=sample_weight, start=start, prompt=prompt, answer=answer,
            time_limit=time_limit, resume=resume, overwrite=overwrite, quiet=quiet,
        ),
        into_folder=True,
    )  # fmt: skip
    from polymodal.pipelines.fit import run_fit
    from polymodal.run import as_public

    return as_public(run_fit(request), table_in_memory(request))


@obeying_quiet
def pretrain(
    source: Any,
    *,
    inputs: str | Sequence[str] = (),
    objectives: Sequence[str] = (),
    output: str | Path | None = None,
    settings: SettingsLike = (),
    start: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **shorthands: Unpack[Shorthands],
) -> Run:
    """Pre-train without targets: align the inputs of a row with each other, and model each in itself.

    Args:
        source: As :func:`fit` takes it; a declaration names no targets.
        inputs: The only columns to read; by default all that can be read.
        objectives: Names of the losses, beside those declared; by default ``contrastive`` where there are
            several inputs, else ``masked_text`` or ``masked_patch``.
        output: The run folder; ``runs/<name of the table>`` by default.
        settings: Such as ``{"objectives.contrastive.weight": 0.5}``, over everything else.
        start: A run to continue from: its encoders, embedding and fusion; objectives are newly initialised.
        resume: Continue an interrupted run in ``output``; one that is finished is returned unchanged.
        overwrite: Replace a finished run in ``output``.
        quiet: Print no progress, notes or warnings.
        shorthands: Settings by a shorter name, such as ``epochs=3``: see :data:`Shorthands`.

    Returns:
        The run, to fine-tune from.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    chosen = _chosen(settings, shorthands, pretrain)
    request = reading(
        FitRequest(
            source, inputs=input_names(inputs), objectives=objectives, pretraining=True, output=output,
            settings=chosen, start=start, resume=resume, overwrite=overwrite, quiet=quiet,
        ),
        into_folder=True,
    )  # fmt: skip
    from polymodal.pipelines.fit import run_fit
    from polymodal.run import Run, as_public

    run = as_public(run_fit(request))
    assert isinstance(run, Run)
    return run


@obeying_quiet
def check(
    source: Any,
    *,
    target: Target = None,
    inputs: str | Sequence[str] = (),
    preset: str | None = None,
    settings: SettingsLike = (),
    sample_weight: str | None = None,
    prompt: str | None = None,
    answer: str | None = None,
    quiet: bool = False,
    shown: Callable[[CheckReport], None] | None = None,
) -> CheckReport:
    """Check the data of a fit without training; of a pre-training where objectives have no targets.

    Every file is read. The rows are checked first, without torch; then the models that are declared.

    Args:
        source: See :func:`fit`, and so for what is not listed here.
        target: Column, or columns, to learn.
        inputs: The only columns to read.
        preset: Which models are tried.
        settings: Such as ``train.epochs=3``, over everything else.
        sample_weight: Column of sample weights.
        prompt: Template of the question, for answers in words.
        answer: Template of the answer.
        quiet: Print no progress, notes or warnings.
        shown: Called with the report on the rows, before the models are checked.

    Raises:
        PolymodalError: If there is nothing to check: no readable table, no such column.
    """
    chosen = all_settings(settings, {}, check)
    request = FitRequest(
        source, targets=target_names(target), inputs=input_names(inputs), preset=preset, settings=chosen,
        prompt=prompt, answer=answer, sample_weight=sample_weight, pretraining=None, quiet=quiet,
    )  # fmt: skip
    return check_request(request, shown)


def init(
    source: Any,
    *,
    target: Target = None,
    inputs: str | Sequence[str] = (),
    settings: SettingsLike = (),
) -> str:
    """The declaration inferred from a table, as YAML with a comment per column saying why.

    Raises:
        DataError: If the table cannot be read, or a column named is not there.
        ConfigError: If a setting is none.
    """
    values: dict[str, Any] = {}
    apply_settings(values, all_settings(settings, {}, init))
    train_source(source, values, None)
    table = read_declared_table(source, values.get("data") or {}, None)
    values, guesses = complete(
        values, table, targets=target_names(target), inputs=input_names(inputs), reads=reader_of
    )
    return render_yaml(parse(values), guesses, table.name)


@obeying_quiet
def fit_folds(
    source: Any,
    *,
    folds: int | None = None,
    seeds: int = 1,
    target: Target = None,
    inputs: str | Sequence[str] = (),
    output: str | Path | None = None,
    preset: str | None = None,
    settings: SettingsLike = (),
    sample_weight: str | None = None,
    start: str | Path | None = None,
    prompt: str | None = None,
    answer: str | None = None,
    time_limit: float | str | Deadline | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **shorthands: Unpack[Shorthands],
) -> Repeats:
    """Cross-validate, or repeat with several seeds: a fit per fold and seed, in folders like ``fold0_seed1``.

    With ``folds`` each part of the rows is the test of the models that never saw it, and their predictions
    are in one ``predictions.parquet``. Rows that a split column marks for the test are in no fold. Seeds
    change the training alone: the split stays that of the first.

    Args:
        source: See :func:`polymodal.fit`, and so for what is not listed here.
        folds: Number of folds; None for the one split of a plain fit.
        seeds: Number of seeds, counted from ``train.seed``.
        target: Column, or columns, to learn.
        inputs: The only columns to read.
        output: A folder for the runs and ``summary.json``; ``runs/<name of the table>`` by default.
        preset: Which models are tried.
        settings: Such as ``{"train.epochs": 3}`` or ``["train.epochs=3"]``, for all fits.
        time_limit: Of all fits together; each gets an equal share of what is left.
        resume: Keep finished fits and continue with the others.
        overwrite: Replace the runs in ``output``.
        quiet: Print no progress, notes or warnings.
        shorthands: Settings by a shorter name, such as ``epochs=3``: see :data:`Shorthands`.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    if seeds < 1:
        raise ConfigError(f"seeds is {seeds}, expected at least 1")
    chosen = _chosen(settings, shorthands, fit_folds)
    request = reading(
        FitRequest(
            source, folds=folds, seeds=seeds, targets=target_names(target), inputs=input_names(inputs),
            output=output, preset=preset, settings=chosen, sample_weight=sample_weight, start=start,
            prompt=prompt, answer=answer, time_limit=time_limit, resume=resume, overwrite=overwrite,
            quiet=quiet,
        )
    )  # fmt: skip
    from polymodal.pipelines.cross_validation import cross_validate
    from polymodal.run import load_run

    repeats = cross_validate(request)
    return replace(repeats, fits=replace(repeats.fits, open_run=load_run))


@obeying_quiet
def fit_fusions(
    source: Any,
    *,
    fusions: str | Sequence[str] = "all",
    target: Target = None,
    inputs: str | Sequence[str] = (),
    output: str | Path | None = None,
    settings: SettingsLike = (),
    sample_weight: str | None = None,
    start: str | Path | None = None,
    time_limit: float | str | Deadline | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **shorthands: Unpack[Shorthands],
) -> Fits:
    """Fit a table once with each fusion; each into ``output/<fusion>``, as ``fit`` with that fusion alone.

    Every cell is checked and decoded once for all of them. Where two fits or more have test rows, and
    ``report.write`` is not false, ``compare.html`` in the folder compares them (see
    :func:`polymodal.comparison.comparison.compare`). An option under ``fusion`` goes to the fusions
    that have it; the others are named in the result's warnings.

    Args:
        source: See :func:`polymodal.fit`, and so for what is not listed here.
        fusions: Names, or ``all`` that are registered.
        target: Column, or columns, to learn.
        inputs: The only columns to read.
        output: A folder for the runs and ``fusions.json``; ``runs/<name of the table>`` by default.
        settings: Such as ``{"train.epochs": 3}`` or ``["train.epochs=3"]``, for all fits.
        sample_weight: Column of row weights.
        start: A run to fine-tune from.
        time_limit: Of all fits together; each gets an equal share of what is left.
        resume: Keep finished fits and continue with the others.
        overwrite: Replace the runs in ``output``.
        quiet: Print no progress, notes or warnings.
        shorthands: Settings by a shorter name, such as ``epochs=3``: see :data:`Shorthands`.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    chosen = _chosen(settings, shorthands, fit_fusions)
    request = reading(
        FitRequest(
            source, targets=target_names(target), inputs=input_names(inputs), output=output, settings=chosen,
            sample_weight=sample_weight, start=start, time_limit=time_limit, resume=resume,
            overwrite=overwrite, quiet=quiet,
        )
    )  # fmt: skip
    from polymodal.pipelines.fusion_comparison import compare_fusions, fusion_names
    from polymodal.run import load_run

    fits = compare_fusions(replace(request, fusions=fusion_names(fusions)))
    return replace(fits, open_run=load_run)


@obeying_quiet
def fit_searched(
    source: Any,
    *,
    trials: int = 20,
    target: Target = None,
    inputs: str | Sequence[str] = (),
    output: str | Path | None = None,
    settings: SettingsLike = (),
    sample_weight: str | None = None,
    start: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **shorthands: Unpack[Shorthands],
) -> Run:
    """Search learning rate, width and fusion, then fit the best choice as :func:`polymodal.fit` would.

    Every trial is a fit from the same seed on the same rows; it is judged on the validation rows, and cut
    short if it is worse there than most were. The test rows are seen once, by the run that is kept.

    Args:
        source: See :func:`polymodal.fit`, and so for what is not listed here.
        trials: Number of trials; the first is what was declared.
        target: Column, or columns, to learn.
        inputs: The only columns to read.
        output: The run folder, which gets ``search.json`` too.
        settings: Such as ``{"train.epochs": 3}`` or ``["train.epochs=3"]``, for all trials.
        sample_weight: Column of row weights.
        start: A run to fine-tune from.
        resume: Continue an interrupted search, or the fit after it.
        overwrite: Replace the run in ``output``.
        quiet: Print no progress, notes or warnings.
        shorthands: Settings by a shorter name, such as ``epochs=3``: see :data:`Shorthands`.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    chosen = _chosen(settings, shorthands, fit_searched)
    request = reading(
        FitRequest(
            source, trials=trials, targets=target_names(target), inputs=input_names(inputs), output=output,
            settings=chosen, sample_weight=sample_weight, start=start, resume=resume, overwrite=overwrite,
            quiet=quiet,
        )
    )  # fmt: skip
    from polymodal.pipelines.hyperparameter_search import search_and_fit
    from polymodal.run import Run, as_public

    run = as_public(search_and_fit(request))
    assert isinstance(run, Run)
    return run


def _chosen(settings: SettingsLike, shorthands: Shorthands, call: Callable[..., object]) -> list[str]:
    """The settings of a call; an unknown argument is refused with the function that takes it."""
    return all_settings(settings, shorthands, call, (fit, pretrain, fit_folds, fit_fusions, fit_searched))
