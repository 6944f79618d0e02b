"""Cross-validation and repeated seeds: fit one declaration several times and aggregate the metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polymodal.candidates.checks import check_candidates
from polymodal.config import Declaration
from polymodal.data.checks.rejected import left_out as skipped_rows
from polymodal.data.values.column_values import as_label
from polymodal.errors import DataError, Problem
from polymodal.evaluation.number_text import metric
from polymodal.pipelines.multi_fit import Fits, check_folders, fit_several, write_aside
from polymodal.pipelines.time_limits import deadline_of
from polymodal.training.opening import AnyJob, open_job
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.start import refuse_own_start
from polymodal.utils.atomic import aside, writing
from polymodal.utils.lock import claimed
from polymodal.utils.overview import Overview, Overviewed
from polymodal.utils.records import JsonObject

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Spread:
    """A metric over several fits: mean, range, and the value of each fit."""

    mean: float
    lowest: float
    highest: float
    values: list[float]


@dataclass(frozen=True, repr=False)
class Repeats(Overviewed):
    """Several fits of one declaration.

    Attributes:
        fits: Each fit, and where it lies.
        test: By target and metric, over the fits that define it.
        rows: Of the test, over all folds; each is answered once a seed.
        folds: Their number, or None.
        seeds: Those that were trained with.
    """

    fits: Fits
    test: dict[str, dict[str, Spread]]
    rows: int
    folds: int | None
    seeds: list[int]

    def overview(self) -> Overview:
        """A row per metric: its mean and range over the fits."""
        rows = [
            (
                target,
                name,
                metric(name, spread.mean),
                f"{metric(name, spread.lowest)} to {metric(name, spread.highest)}",
            )
            for target, metrics in self.test.items()
            for name, spread in metrics.items()
        ]
        what = f"{self.folds} folds × " if self.folds else ""
        title = f"{what}{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''} in {self.fits.folder}"
        return Overview(title, ("target", "metric", "mean, test rows", "range"), tuple(rows))

    def to_json(self) -> JsonObject:
        """As plain values."""
        counts = {"folds": self.folds, "seeds": self.seeds, "rows": self.rows}
        test = {name: {key: asdict(spread) for key, spread in m.items()} for name, m in self.test.items()}
        return counts | {"test": test} | self.fits.to_json()


def cross_validate(request: FitRequest) -> Repeats:
    """The fits of a request for folds or seeds, see :func:`polymodal.fit_folds`.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    folds, seeds, quiet = request.folds, request.seeds or 1, request.quiet
    first, folder = open_job(request), request.folder
    check_candidates(first.declaration)
    first.deadline = deadline_of(request, first, folder)
    varied = dict(variations(first.declaration, folds, seeds))
    refuse_own_start(first.start, folder, several=True)
    with claimed(folder):
        check_folders(folder, varied, resume=request.resume, overwrite=request.overwrite)
        jobs = make_jobs(first, varied, quiet)
        warnings = next(iter(jobs.values())).warnings()
        warnings += left_out(jobs) if folds else []
        with writing(folder):
            for path in (folder / SUMMARY, folder / "predictions.parquet"):
                path.unlink(missing_ok=True)
        fits = fit_several(jobs, folder, varied="fit", resume=request.resume, quiet=quiet, warnings=warnings)
        rows = len({row for job in jobs.values() for row in job.tested.tolist()})
        used = list(dict.fromkeys(declaration.train.seed for declaration in varied.values()))
        result = Repeats(fits, spreads(fits), rows, folds, used)
        if folds:
            write_predictions(folder, varied)
        write_aside(folder / SUMMARY, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
        return result


def variations(declaration: Declaration, folds: int | None, seeds: int) -> Iterator[tuple[str, Declaration]]:
    """Names and declarations of the fits: fold after fold (or the one declared), in each seed after seed."""
    data, train = declaration.data, declaration.train
    split = train.seed if data.seed is None else data.seed
    for fold in range(folds) if folds else [data.fold]:
        for seed in range(train.seed, train.seed + seeds):
            parts = [f"fold{fold}"] * bool(folds) + [f"seed{seed}"] * (seeds > 1 or not folds)
            changed = {
                "data": data.model_copy(update={"fold": fold, "seed": split}),
                "train": train.model_copy(update={"seed": seed}),
            }
            yield "_".join(parts), declaration.model_copy(update=changed)


def make_jobs(first: AnyJob, varied: dict[str, Declaration], quiet: bool) -> dict[str, AnyJob]:
    """A checked job a fit; those of one fold share their rows, and all share what was read.

    Raises:
        DataError: If a fold cannot be trained on.
    """
    jobs: dict[str, AnyJob] = {}
    by_fold: dict[int, AnyJob] = {}
    for name, declaration in varied.items():
        fold = declaration.data.fold
        # Of another fold's job, if there is one: it knows which files cannot be read.
        job = by_fold.get(fold, next(iter(by_fold.values()), first)).varied(declaration)
        if job.report is None:
            report = job.check(quiet, media=not by_fold)  # the first check has read every file
            job.release()
            if not report.ok:
                problems = in_fold(report.problems, fold if declaration.data.folds else None)
                raise DataError([*problems, *skipped_rows(report.rejected)])
            by_fold.setdefault(fold, job)
        jobs[name] = job
    return jobs


def in_fold(problems: Sequence[Problem], fold: int | None) -> list[Problem]:
    """Problems with the fold in which they were found, after the first: these are of the table as such."""
    if not fold:
        return list(problems)
    return [
        Problem(**{**asdict(problem), "found": f"in fold {fold}: {problem.found}"}) for problem in problems
    ]


def left_out(jobs: dict[str, AnyJob]) -> list[str]:
    """Notes on rows that are in no fold's test split, with the reason."""
    job, lines = next(iter(jobs.values())), []
    data, names = job.declaration.data, ["train", "test"]
    if not isinstance(data.validation, str):
        names.append("validation")
    every = [problem for other in jobs.values() for problem in other.rejected]
    whole, column = job.table.without(every).places, data.split
    used = np.intersect1d(np.concatenate([job.numbers[name] for name in names]), whole)
    marked = len(whole) - len(used)
    if marked:
        lines.append(f"{_count(marked)} marked test in '{column}', in no fold; data.split=null takes them in")
    tested = np.unique(np.concatenate([other.tested for other in jobs.values()]))
    alone = np.setdiff1d(used, tested)
    if len(alone):
        reason = f"{_count(len(alone))} the only one of a class"
        lines.append(f"{reason}: trained on in every fold, never tested")
    return lines


def _count(rows: int) -> str:
    return f"{rows} rows are" if rows > 1 else "1 row is"


def spreads(fits: Fits) -> dict[str, dict[str, Spread]]:
    """Mean and range over the fits of every metric, by target and name of the metric."""
    values: dict[str, dict[str, list[float]]] = {}
    for fit in fits.fits:
        for name, metrics in fit.test.items():
            for key, value in metrics.items():
                values.setdefault(name, {}).setdefault(key, []).append(value)
    return {
        name: {key: Spread(float(np.mean(v)), min(v), max(v), v) for key, v in metrics.items()}
        for name, metrics in values.items()
    }


def write_predictions(folder: Path, varied: dict[str, Declaration]) -> None:
    """``predictions.parquet``: every row's answers by models that never saw it, in the order of the rows."""
    tables = []
    for name, declaration in varied.items():
        path = folder / name / "predictions.parquet"
        if not path.exists():  # all rows of its fold were skipped
            continue
        table = pq.read_table(path).replace_schema_metadata(None)
        table = table.add_column(0, "seed", pa.array([declaration.train.seed] * len(table)))
        fold = pa.array([declaration.data.fold] * len(table), pa.int64())
        tables.append(table.add_column(0, "fold", fold))
    if not tables:  # no fit keeps the answers to its rows
        return
    whole = concat_answers(tables).sort_by([("row", "ascending"), ("seed", "ascending")])
    with writing(folder), aside(folder / "predictions.parquet") as part:
        pq.write_table(whole, part)


def concat_answers(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate the predictions of several fits; columns that a fit lacks are empty in its rows.

    Labels that are numbers in the training rows of one fit and texts in those of another become texts.
    """
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            types.setdefault(field.name, set()).add(field.type)
    mixed = [name for name, kinds in types.items() if len(kinds) > 1]
    return pa.concat_tables(
        [_with_texts(table, [name for name in mixed if name in table.column_names]) for table in tables],
        promote_options="default",
    )


def _with_texts(table: pa.Table, names: Sequence[str]) -> pa.Table:
    for name in names:
        cells = [
            [as_label(value) for value in cell] if isinstance(cell, list) else as_label(cell) or None
            for cell in table.column(name).to_pylist()
        ]
        index = table.column_names.index(name)
        table = table.set_column(index, name, pa.array(cells))
    return table
