"""The default fit against plain scripts: what `polymodal fit TABLE --target T --preset P` is worth.

    python benchmarks/defaults.py --data ../shared/data --store defaults/ [--only NAME …] [--presets fast]

The tables are in `tables.py`, with the packages that some need. Both sides get the same rows: a table's own
split, or one drawn by the seed (60 / 20 / 20). The scripts see training and validation rows, as the fit does.
They are written with scikit-learn and LightGBM alone, with the default settings of these libraries; positive
amounts are learned as they are and as logarithms. Larger tables are cut to 4,000 training rows by a fixed
seed. Each fit is stored by table, seed and preset, and not repeated; `good` has three minutes, `best` thirty.

Printed are the test scores (accuracy, or R² and the mean absolute error), and, by table, the difference of
each preset to the script whose mean over the seeds is best *on the test rows*, with the mean over the seeds
of its 95 % intervals (bootstrap over test rows), and mean ranks.
"""

from __future__ import annotations

import argparse
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from PIL import Image
from scipy.stats import rankdata
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, SVR
from tables import Source, sources, split_frame, with_whole_paths

import polymodal

SAMPLES = 2000
LIMITS = {"good": "3m", "best": "30m"}
"""Time limits by preset."""
CALENDAR = ("year", "month", "day", "dayofweek", "dayofyear")


def scripts(source: Source, is_positive: bool) -> dict[str, Any]:
    """The plain scripts that fit a table, by name; amounts above zero also by their logarithm."""
    is_class = source.task == "classification"
    words = [(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), name) for name in source.text]
    numbers = [*source.numbers, *(f"{name}_{part}" for name in source.dates for part in CALENDAR)]
    codes = list(source.categories)
    scaled = [(make_pipeline(SimpleImputer(), StandardScaler()), numbers)] if numbers else []
    one_hot = [(OneHotEncoder(handle_unknown="ignore"), codes)] if codes else []
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    ordered = [(ordinal, codes)] if codes else []
    result: dict[str, tuple[list[Any], Any]] = {}
    if words or numbers or codes:
        linear: Any = LogisticRegression(max_iter=2000) if is_class else RidgeCV(np.logspace(-3, 3, 13))
        if words and not is_class:  # the other decomposes a matrix of rows by rows
            linear = GridSearchCV(Ridge(), {"alpha": np.logspace(-2, 2, 5)})
        result["linear"] = ([*words, *scaled, *one_hot], linear)
    if numbers or codes:
        as_is = [("passthrough", numbers)] if numbers else []
        boosted = LGBMClassifier(verbose=-1) if is_class else LGBMRegressor(verbose=-1)
        result["lightgbm"] = ([*as_is, *ordered], boosted)
    if numbers:
        forest = RandomForestClassifier(random_state=0) if is_class else RandomForestRegressor(random_state=0)
        result["forest"] = ([(SimpleImputer(), numbers), *ordered], forest)
        result["svm"] = ([*scaled, *one_hot], SVC() if is_class else SVR())
    if is_positive:
        result |= {
            f"{name} of log": (
                columns,
                TransformedTargetRegressor(model, func=np.log1p, inverse_func=np.expm1),
            )
            for name, (columns, model) in result.items()
        }
    return {
        name: make_pipeline(make_column_transformer(*columns), model)
        for name, (columns, model) in result.items()
    }


def media_features(source: Source, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Pixels of pictures (16 × 16), and mean and deviation over time of log spectra of recordings."""
    result = {}
    if source.image:
        result["pixels"] = np.stack([_pixels(source.root, cell) for cell in rows[source.image]])
    if source.audio:
        result["spectrum"] = np.stack([_spectrum(source.root, cell) for cell in rows[source.audio]])
    return result


def _pixels(root: Path, cell: object) -> np.ndarray:
    if not isinstance(cell, str):
        return np.zeros(16 * 16 * 3)
    with Image.open(root / cell) as image:
        return np.asarray(image.convert("RGB").resize((16, 16)), float).reshape(-1) / 255


def _spectrum(root: Path, cell: object) -> np.ndarray:
    import soundfile
    from scipy.signal import stft

    if not isinstance(cell, str):
        return np.zeros(80)
    samples, rate = soundfile.read(root / cell, dtype="float32", always_2d=True)
    power = abs(stft(samples.mean(axis=1), rate, nperseg=min(512, len(samples)))[2]) ** 2
    bands = np.log([part.mean(axis=0) + 1e-8 for part in np.array_split(power, 40)])
    return np.concatenate([bands.mean(axis=1), bands.std(axis=1)])


def _ready(source: Source, rows: pd.DataFrame) -> pd.DataFrame:
    """Missing texts and categories as empty ones, dates as numbers of the calendar."""
    rows = rows.copy()
    for name in (*source.text, *source.categories):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), "").astype(str)
    for name in source.dates:
        for part in CALENDAR:
            rows[f"{name}_{part}"] = getattr(pd.to_datetime(rows[name]).dt, part)
    return rows


def run_scripts(source: Source, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The test predictions of every script."""
    is_class = source.task == "classification"
    train, test = frame[frame["split"] != "test"], frame[frame["split"] == "test"]
    answers = train[source.target].astype(str).to_numpy() if is_class else train[source.target].to_numpy()
    is_positive = not is_class and bool((answers >= 0).all())
    result = {
        name: np.asarray(model.fit(_ready(source, train), answers).predict(_ready(source, test)))
        for name, model in scripts(source, is_positive).items()
    }
    seen, unseen = media_features(source, train), media_features(source, test)
    for name in seen:
        for kind, model in (
            ("linear", LogisticRegression(max_iter=2000) if is_class else RidgeCV()),
            ("svm", SVC() if is_class else SVR()),
        ):
            fitted = make_pipeline(StandardScaler(), model).fit(seen[name], answers)
            result[f"{name}_{kind}"] = np.asarray(fitted.predict(unseen[name]))
    return result


def run_fit(source: Source, frame: pd.DataFrame, folder: Path, preset: str, seed: int) -> dict[str, object]:
    """The test predictions of a fit with a preset, its seconds, and the test scores of its models."""
    table = folder / "table.csv"
    with_whole_paths(source, frame).to_csv(table, index=False)
    options: dict[str, Any] = {}
    if preset in LIMITS and "time_limit" in inspect.signature(polymodal.fit).parameters:
        options["time_limit"] = LIMITS[preset]
    settings = ["report.write=false", "data.media_anywhere=true", f"train.seed={seed}"]
    began = time.perf_counter()
    polymodal.fit(
        table, target=source.target, preset=preset, output=folder / preset, overwrite=True, settings=settings,
        **options,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    kept = pd.read_parquet(folder / preset / "predictions.parquet")
    metrics = json.loads((folder / preset / "metrics.json").read_text())
    models = {
        name: {
            "weight": entry["weights"].get(source.target, 0.0),
            "test": entry["test"][source.target]["metrics"],
            "seconds": entry["seconds"],
        }
        for name, entry in metrics.get("candidates", {}).get("models", {}).items()
    }
    answers = {"rows": kept["row"].tolist(), "answers": kept[source.target].tolist()}
    return {"seconds": seconds, **answers, "models": models}


def score(truth: np.ndarray, answers: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    """By metric, the value over all rows, then that of each resample ``(1 + samples,)``."""
    draws = np.vstack([np.ones(len(truth)), draws])
    if truth.dtype.kind == "f":
        errors, spread = (answers - truth) ** 2, (truth - truth.mean()) ** 2
        return {
            "R²": 1 - (draws @ errors) / (draws @ spread),
            "MAE": (draws @ abs(answers - truth)) / draws.sum(axis=1),
        }
    return {"accuracy": draws @ (answers.astype(str) == truth.astype(str)) / draws.sum(axis=1)}


Scores = Mapping[str, Mapping[str, np.ndarray]]
"""By metric and by script or preset, the value, then resampled ones."""


def scores(source: Source, frame: pd.DataFrame, answers: Mapping[str, np.ndarray]) -> Scores:
    """Of all scripts and presets on the test rows."""
    truth = frame.loc[frame["split"] == "test", source.target].to_numpy()
    shares = np.full(len(truth), 1 / len(truth))
    draws = np.random.default_rng(0).multinomial(len(truth), shares, SAMPLES).astype(float)
    each = {key: score(truth, values, draws) for key, values in answers.items()}
    return {metric: {key: own[metric] for key, own in each.items()} for metric in next(iter(each.values()))}


def compare(name: str, seeds: Sequence[Scores], presets: Sequence[str]) -> dict[str, list[float]]:
    """Print a table's lines, one per metric and preset; returns the ranks by metric."""
    ranks = {}
    for metric in seeds[0]:
        sign = -1 if metric == "MAE" else 1
        means = {key: np.mean([own[metric][key][0] for own in seeds]) for key in seeds[0][metric]}
        plain = {key: sign * value for key, value in means.items() if not key.startswith("preset ")}
        best = max(plain, key=lambda key: plain[key])
        print(f"{name}, {metric}: " + ", ".join(f"{key} {value:.4g}" for key, value in means.items()))
        for preset in presets:
            key = f"preset {preset}"
            drawn = np.stack([own[metric][key] - own[metric][best] for own in seeds])
            low, high = np.quantile(drawn[:, 1:], [0.025, 0.975], axis=1).mean(axis=1)
            print(
                f"| {name} | {metric} | {best} {means[best]:.4g} | {preset} {means[key]:.4g} "
                f"| {drawn[:, 0].mean():+.3g} ({low:+.3g} to {high:+.3g}) "
                f"| {', '.join(f'{value:+.3g}' for value in drawn[:, 0])} |"
            )
        shared = [plain[best], *(sign * means[f"preset {preset}"] for preset in presets)]
        ranks[metric] = rankdata([-value for value in shared]).tolist()
    return ranks


def main() -> None:
    """Run what is not stored yet, and print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--presets", nargs="*", default=["fast", "good"])
    parser.add_argument(
        "--seeds", type=int, nargs="*", default=[0, 1, 2], help="of splits; 0 alone where a table has its own"
    )
    asked = parser.parse_args()
    ranks: dict[str, list[list[float]]] = {}
    for name, source in sources(asked.data).items():
        if asked.only and name not in asked.only:
            continue
        seeds = [0] if "split" in source.frame() else asked.seeds
        each = []
        for seed in seeds:
            frame = split_frame(source, seed)
            each.append(scores(source, frame, _answers(name, source, seed, frame, asked)))
        for metric, own in compare(name, each, asked.presets).items():
            ranks.setdefault(metric, []).append(own)
    for metric, own in ranks.items():
        shared = zip(["best script", *asked.presets], np.mean(own, axis=0), strict=True)
        print(f"mean rank by {metric}, {len(own)} tables: " + ", ".join(f"{k} {v:.2f}" for k, v in shared))


def _answers(
    name: str, source: Source, seed: int, frame: pd.DataFrame, asked: argparse.Namespace
) -> dict[str, np.ndarray]:
    """The test predictions of all scripts and presets, stored or made now."""
    folder = asked.store / name / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    made = _stored(
        folder / "scripts.json", lambda: {k: v.tolist() for k, v in run_scripts(source, frame).items()}
    )
    result = {key: np.array(values) for key, values in made.items()}
    tested = np.flatnonzero(frame["split"] == "test") + 1
    for preset in asked.presets:
        path = folder / f"{preset}.json"
        made = _stored(path, partial(run_fit, source, frame, folder, preset, seed))
        result[f"preset {preset}"] = pd.Series(made["answers"], index=made["rows"]).loc[tested].to_numpy()
    return result


def _stored(path: Path, make: Callable[[], Any]) -> Any:
    """What a file holds, written first where it is not there."""
    if not path.exists():
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
