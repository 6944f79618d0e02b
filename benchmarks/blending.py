"""Plain learners and their blend against plain scripts of scikit-learn and LightGBM, on small tables.

    python benchmarks/blending.py --seeds 3 --store blending/

Each table is split anew by each seed. The members are the learners of Polymodal, judged on out-of-fold
answers of the training rows; the figures are losses on the test rows (log loss of classes, squared error of
numbers divided by their variance). Printed are each method's mean loss per table, and its mean rank over
tables and seeds. What was fitted is stored by table and seed, and not fitted again.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy.stats import rankdata
from sklearn import datasets
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR

from polymodal.evaluation.statistics.ensemble_selection import select
from polymodal.plain.blocks import Block, Blocks, Columns
from polymodal.plain.learners import LEARNERS, Goal

FOLDS = 4
SCRIPT_TREES = 100


@dataclass(frozen=True)
class Table:
    """Numbers ``(rows, columns)``, category codes ``(rows, columns)`` and answers."""

    numbers: np.ndarray
    codes: np.ndarray
    answers: np.ndarray
    classes: int  # 0: numbers

    def blocks(self, rows: np.ndarray) -> Blocks:
        """The features of some rows as blocks."""
        result = {}
        for name, values, kind in (("numbers", self.numbers, "number"), ("codes", self.codes, "category")):
            if values.shape[1]:
                columns = Columns(tuple(map(str, range(values.shape[1]))), kind, 30 * (kind == "category"))
                result[name] = Block(values[rows].astype(np.float32), np.ones(len(rows), bool), columns)
        return result

    def goal(self, rows: np.ndarray) -> Goal:
        """The answers of some rows as a goal."""
        return Goal("classes" if self.classes else "numbers", self.answers[rows], self.classes or 1)


def mixed(rows: int, seed: int, classes: int) -> Table:
    """Numbers with heavy tails and missing values, and categories with an effect of their own."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 8))
    codes = random.integers([4, 12, 30], size=(rows, 3)).astype(float)
    effects = [random.normal(size=size) for size in (4, 12, 30)]
    signal = numbers[:, 0] + np.sin(2 * numbers[:, 1]) + numbers[:, 2] * (numbers[:, 3] > 0)
    signal = signal + sum(effect[codes[:, k].astype(int)] for k, effect in enumerate(effects))
    signal = signal + random.normal(size=rows)
    numbers = np.exp(numbers)
    numbers[random.random(numbers.shape) < 0.1] = np.nan
    if not classes:
        return Table(numbers, codes, signal, 0)
    cuts = np.quantile(signal, np.arange(1, classes) / classes)
    return Table(numbers, codes, np.searchsorted(cuts, signal), classes)


def numeric(pair: tuple[np.ndarray, np.ndarray], classes: int, missing: float = 0) -> Table:
    """A table of numbers alone."""
    numbers, answers = np.array(pair[0], dtype=float), pair[1]
    numbers[np.random.default_rng(0).random(numbers.shape) < missing] = np.nan
    return Table(numbers, np.zeros((len(numbers), 0)), answers, classes)


TABLES: dict[str, Callable[[], Table]] = {
    "iris": lambda: numeric(datasets.load_iris(return_X_y=True), 3),
    "wine": lambda: numeric(datasets.load_wine(return_X_y=True), 3),
    "breast_cancer": lambda: numeric(datasets.load_breast_cancer(return_X_y=True), 2),
    "digits": lambda: numeric(datasets.load_digits(return_X_y=True), 10),
    "diabetes": lambda: numeric(datasets.load_diabetes(return_X_y=True), 0),
    "friedman": lambda: numeric(datasets.make_friedman1(700, noise=2, random_state=0), 0, 0.05),
    "noisy": lambda: numeric(
        datasets.make_classification(
            900, 20, n_informative=6, n_classes=3, flip_y=0.2, class_sep=0.8, random_state=0
        ),
        3,
        0.1,
    ),
    "sparse_truth": lambda: numeric(
        datasets.make_regression(400, 60, n_informative=8, noise=60, random_state=1), 0
    ),
    "mixed_classes": lambda: mixed(1500, 1, 3),
    "mixed_two": lambda: mixed(600, 2, 2),
    "mixed_numbers": lambda: mixed(1500, 3, 0),
}


def scripts(table: Table, seed: int) -> dict[str, object]:
    """Ten-line scripts: scikit-learn's and LightGBM's estimators by their defaults."""
    numbers = list(range(table.numbers.shape[1]))
    codes = list(range(len(numbers), len(numbers) + table.codes.shape[1]))
    dense = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), codes),
    )
    if table.classes:
        return {
            "LogisticRegression": make_pipeline(dense, LogisticRegression(max_iter=1000)),
            "SVC": make_pipeline(dense, CalibratedClassifierCV(SVC(), ensemble=False)),
            "RandomForest": make_pipeline(dense, RandomForestClassifier(SCRIPT_TREES, random_state=seed)),
            "HistGradientBoosting": HistGradientBoostingClassifier(
                random_state=seed, categorical_features=codes
            ),
            "LightGBM": LGBMClassifier(verbosity=-1, seed=seed),
        }
    return {
        "RidgeCV": make_pipeline(dense, RidgeCV(np.logspace(-3, 3, 13))),
        "SVR": make_pipeline(dense, SVR()),
        "RandomForest": make_pipeline(dense, RandomForestRegressor(SCRIPT_TREES, random_state=seed)),
        "HistGradientBoosting": HistGradientBoostingRegressor(random_state=seed, categorical_features=codes),
        "LightGBM": LGBMRegressor(verbosity=-1, seed=seed),
    }


def losses(table: Table, rows: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """``(rows,)`` loss of each row."""
    truth = table.answers[rows]
    if not table.classes:
        return (truth - answers) ** 2 / table.answers.var()
    return -np.log(np.clip(answers[np.arange(len(rows)), truth], 1e-7, 1))


def split(table: Table, seed: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Training rows (70 %, at most ``most``) and test rows."""
    order = np.random.default_rng(seed).permutation(len(table.answers))
    count = min(int(0.7 * len(order)), most)
    return order[:count], order[count:]


def measured(table: Table, seed: int, most: int) -> dict[str, np.ndarray]:
    """Test predictions of scripts and learners, and out-of-fold predictions of the learners."""
    train, test = split(table, seed, most)
    both = np.hstack([table.numbers, table.codes])
    result: dict[str, np.ndarray] = {"train": train, "test": test}
    for name, script in scripts(table, seed).items():
        script.fit(both[train], table.answers[train])
        result[f"script/{name}"] = (script.predict_proba if table.classes else script.predict)(both[test])
    folds = np.random.default_rng(seed).permutation(len(train)) % FOLDS
    for name in LEARNERS:
        learner = LEARNERS[name]().fit(table.blocks(train), table.goal(train), seed=seed)
        result[f"test/{name}"] = learner.predict(table.blocks(test))
        out = np.zeros((len(train), table.classes) if table.classes else len(train))
        for fold in range(FOLDS):
            seen, held = train[folds != fold], train[folds == fold]
            part = LEARNERS[name]().fit(table.blocks(seen), table.goal(seen), seed=seed)
            out[folds == fold] = part.predict(table.blocks(held))
        result[f"out/{name}"] = out
    return result


def judged(table: Table, stored: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    """Test losses of scripts, learners and ways to join the learners."""
    train, test = stored["train"], stored["test"]
    out = {name[4:]: values for name, values in stored.items() if name.startswith("out/")}
    answers = {name: stored[f"test/{name}"] for name in out}
    scripted = {name[7:]: values for name, values in stored.items() if name.startswith("script/")}
    figures = {name: losses(table, test, values).mean() for name, values in {**scripted, **answers}.items()}
    selection = select(out, lambda values: losses(table, train, values), seed=seed)
    figures["blend"] = losses(table, test, sum(w * answers[n] for n, w in selection.weights.items())).mean()
    figures["uniform"] = losses(table, test, sum(answers.values()) / len(answers)).mean()
    figures["best by validation"] = figures[selection.best]
    figures["oracle"] = min(figures[name] for name in out)
    return {name: float(value) for name, value in figures.items()}


def main() -> None:
    """Measure what is not stored, and print losses and ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=10)
    parser.add_argument("--rows", type=int, default=400, help="most training rows")
    parser.add_argument("--store", type=Path, default=Path("blending"))
    parser.add_argument("--only", nargs="*", default=list(TABLES))
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    figures: dict[str, list[dict[str, float]]] = defaultdict(list)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for name in options.only:
            table, path = TABLES[name](), options.store / f"{name}-{seed}.npz"
            if not path.exists():
                np.savez_compressed(path, **measured(table, seed, options.rows))
            with np.load(path) as stored:
                figures[name].append(judged(table, dict(stored), seed))
    report(figures)


def report(figures: dict[str, list[dict[str, float]]]) -> None:
    """Print the mean loss per table, and the mean rank of each family."""
    for name, runs in figures.items():
        means = {method: np.mean([run[method] for run in runs]) for method in runs[0]}
        print(f"{name:14}", ", ".join(f"{method} {mean:.4f}" for method, mean in means.items()))
    members = (*LEARNERS, "blend", "uniform", "best by validation", "oracle")
    ranks: dict[str, list[float]] = defaultdict(list)
    for run in (run for runs in figures.values() for run in runs):
        for method, rank in zip(
            run, rankdata([run[method] for method in run if method != "oracle"]), strict=False
        ):
            linear = method in ("LogisticRegression", "RidgeCV")
            ranks["linear script" if linear else method.replace("SVR", "SVC")].append(rank)
    print("mean rank of", len(next(iter(ranks.values()))), "runs:")
    for method, values in sorted(ranks.items(), key=lambda entry: np.mean(entry[1])):
        print(f"  {method:22} {np.mean(values):.2f}{'' if method in members else '  (script)'}")


if __name__ == "__main__":
    main()
