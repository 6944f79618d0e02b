"""The default fit against plain scripts: what `polymodal fit TABLE --target T --preset P` is worth.

    python benchmarks/defaults.py --data ../shared/data --store defaults/ [--only NAME …] [--presets fast]

Both sides get the same rows: a table's own split, or one drawn by the seed (60 / 20 / 20). The scripts see
training and validation rows, as the fit does. They are written with scikit-learn and LightGBM alone, with the
default settings of these libraries. Larger tables are cut to 4,000 training rows by a fixed seed. Each fit is
stored by table, seed and preset, and not repeated. Printed are the test scores (accuracy, or R²), the
difference of each preset to the script that is best *on the test rows* with its 95 % interval over these,
and mean ranks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from PIL import Image
from scipy.stats import rankdata
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, SVR

MOST_ROWS, MOST_TEST = 4000, 2000
SAMPLES = 2000


@dataclass(frozen=True)
class Source:
    """A table of the benchmark.

    Attributes:
        target: The column to learn.
        text: Columns of texts; the other attributes are columns of that kind.
        frame: The rows, with a column ``split`` where the table has one of its own.
        root: The folder of its media.
    """

    target: str
    frame: Callable[[], pd.DataFrame]
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    image: str | None = None
    audio: str | None = None
    root: Path = Path()

    @property
    def inputs(self) -> list[str]:
        """All columns that both sides read."""
        media = [name for name in (self.image, self.audio) if name]
        return [*media, *self.text, *self.categories, *self.numbers]


def sources(data: Path) -> dict[str, Source]:
    """The tables by name; those of ``data`` where the folder is there."""
    result = {name: _of_sklearn(name) for name in ("breast_cancer", "diabetes", "digits", "iris", "wine")}
    if not data.is_dir():
        return result

    def table(path: str, target: str, **columns: Any) -> Source:
        return Source(target, lambda: pd.read_csv(data / path), root=(data / path).parent, **columns)

    return result | {
        "countries": table(
            "countries/countries.csv", "region", text=("name", "capital", "languages"),
            categories=("landlocked", "independent", "un_member"),
            numbers=("lat", "lng", "n_borders", "area_km2"), image="image",
        ),
        "emoji": table("emoji_captions/emoji.csv", "group", text=("label_en",), image="image"),
        "easy_vqa": table("easy_vqa/easy_vqa.csv", "answer", text=("question",), image="image"),
        "av_digits": table("av_digits/digits.csv", "label", image="image_degraded", audio="audio"),
        "urdu_emotion": table("urdu_emotion/urdu.csv", "emotion", audio="audio"),
        "vancouver_pay": table(
            "vancouver_pay/pay.csv", "remuneration", text=("title",), categories=("department",),
            numbers=("year", "expenses"),
        ),
        "meld_text": table("meld_text/meld.csv", "Emotion", text=("Utterance",)),
    }  # fmt: skip


def _of_sklearn(name: str) -> Source:
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)

    def frame() -> pd.DataFrame:
        rows = bunch.frame.rename(columns=lambda column: str(column).replace(" ", "_"))
        names = getattr(bunch, "target_names", None)
        if names is not None and name != "digits":
            rows["target"] = [str(names[index]) for index in rows["target"]]
        elif name == "digits":
            rows["target"] = "d" + rows["target"].astype(str)
        return rows

    return Source("target", frame, numbers=tuple(column for column in frame().columns if column != "target"))


def split_frame(source: Source, seed: int) -> pd.DataFrame:
    """The rows with a column ``split``, cut to the benchmark's size."""
    frame = source.frame()
    frame = frame[[*source.inputs, source.target, *(["split"] if "split" in frame else [])]]
    frame = frame[frame[source.target].notna()].reset_index(drop=True)
    random = np.random.default_rng(seed)
    if "split" not in frame:
        order, count = random.permutation(len(frame)), len(frame)
        parts = np.repeat(["train", "val", "test"], [count - 2 * (count // 5), count // 5, count // 5])
        frame["split"] = parts[np.argsort(order)]
    fixed = np.random.default_rng(0)
    kept = []
    for part, most in (("train", MOST_ROWS), ("val", MOST_ROWS // 5), ("test", MOST_TEST)):
        rows = np.flatnonzero(frame["split"] == part)
        kept.append(np.sort(fixed.permutation(rows)[:most]))
    return frame.iloc[np.concatenate(kept)].reset_index(drop=True)


def scripts(source: Source, is_class: bool) -> dict[str, Callable[[pd.DataFrame, np.ndarray], object]]:
    """The plain scripts that fit a table, by name: training rows and answers in, a model out."""
    linear = LogisticRegression(max_iter=2000) if is_class else RidgeCV(np.logspace(-3, 3, 13))
    result = {}
    words = [(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), name) for name in source.text]
    numbers = (
        [(make_pipeline(SimpleImputer(), StandardScaler()), list(source.numbers))] if source.numbers else []
    )
    codes = [(OneHotEncoder(handle_unknown="ignore"), list(source.categories))] if source.categories else []
    if words or numbers or codes:
        result["linear"] = make_pipeline(make_column_transformer(*words, *numbers, *codes), linear)
    if numbers or codes:
        trees = [("passthrough", list(source.numbers))] if source.numbers else []
        ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        trees += [(ordinal, list(source.categories))] if source.categories else []
        boosted = LGBMClassifier(verbose=-1) if is_class else LGBMRegressor(verbose=-1)
        forest = RandomForestClassifier(random_state=0) if is_class else RandomForestRegressor(random_state=0)
        filled = make_column_transformer((SimpleImputer(), list(source.numbers)), *trees[1:])
        result["lightgbm"] = make_pipeline(make_column_transformer(*trees), boosted)
        if source.numbers:
            result["forest"] = make_pipeline(filled, forest)
            result["svm"] = make_pipeline(
                make_column_transformer(*numbers, *codes), SVC() if is_class else SVR()
            )
    return {
        name: lambda rows, answers, model=model: model.fit(rows, answers) for name, model in result.items()
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


def run_scripts(source: Source, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The test predictions of every script."""
    train, test = frame[frame["split"] != "test"], frame[frame["split"] == "test"]
    is_class = not pd.api.types.is_float_dtype(frame[source.target])
    answers = train[source.target].astype(str).to_numpy() if is_class else train[source.target].to_numpy()

    def ready(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.copy()
        for name in (*source.text, *source.categories):
            rows[name] = rows[name].astype(object).where(rows[name].notna(), "").astype(str)
        return rows

    result = {
        name: np.asarray(fit(ready(train), answers).predict(ready(test)))
        for name, fit in scripts(source, is_class).items()
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


def run_fit(
    source: Source, frame: pd.DataFrame, folder: Path, preset: str, seed: int, limit: float
) -> dict[str, object]:
    """The test predictions of a fit with a preset, and its seconds."""
    table = folder / "table.csv"
    rows = frame.copy()
    for name in (source.image, source.audio):
        if name:
            rows[name] = [
                str((source.root / cell).resolve()) if isinstance(cell, str) else None for cell in rows[name]
            ]
    rows.to_csv(table, index=False)
    command = [
        sys.executable, "-m", "polymodal", "fit", str(table), "--target", source.target, "--preset", preset,
        "--overwrite", "-o", str(folder / preset), "--set", "report.write=false",
        "--set", "data.media_anywhere=true", "--set", f"train.seed={seed}",
    ]  # fmt: skip
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    if done.returncode:
        raise SystemExit(f"{folder.name}: {done.stderr.strip().splitlines()[-1:]}")
    kept = pd.read_parquet(folder / preset / "predictions.parquet")
    return {
        "seconds": time.perf_counter() - began,
        "rows": kept["row"].tolist(),
        "answers": kept[source.target].tolist(),
    }


def score(truth: np.ndarray, answers: np.ndarray, draws: np.ndarray) -> tuple[float, np.ndarray]:
    """Accuracy or R² of the rows, and of each resample."""
    if truth.dtype.kind in "fc":
        errors, spread = (answers - truth) ** 2, (truth - truth.mean()) ** 2
        return 1 - errors.sum() / spread.sum(), 1 - (draws @ errors) / (draws @ spread)
    right = (answers.astype(str) == truth.astype(str)).astype(float)
    return float(right.mean()), draws @ right / draws.sum(axis=1)


def compare(name: str, seed: int, truth: np.ndarray, answers: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Print a table's scores, and each preset's difference to the best script; returns the scores."""
    draws = (
        np.random.default_rng(0)
        .multinomial(len(truth), np.full(len(truth), 1 / len(truth)), SAMPLES)
        .astype(float)
    )
    scored = {key: score(truth, values, draws) for key, values in answers.items()}
    plain = {key: value for key, (value, _) in scored.items() if not key.startswith("preset ")}
    best = max(plain, key=lambda key: plain[key])
    print(
        f"{name}, seed {seed}, {len(truth)} test rows: " + ", ".join(f"{k} {v:.3f}" for k, v in plain.items())
    )
    for key, (value, drawn) in scored.items():
        if key.startswith("preset "):
            low, high = np.quantile(drawn - scored[best][1], [0.025, 0.975])
            print(f"    {key}: {value:.3f}, to {best} {value - plain[best]:+.3f} ({low:+.3f} to {high:+.3f})")
    return {key: value for key, (value, _) in scored.items()}


def main() -> None:
    """Run what is not stored yet, and print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--presets", nargs="*", default=["fast", "good"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=1800, help="seconds of a fit")
    asked = parser.parse_args()
    ranks: dict[str, list[float]] = {}
    for name, source in sources(asked.data).items():
        if asked.only and name not in asked.only:
            continue
        for seed in range(asked.seeds):
            frame = split_frame(source, seed)
            truth = frame.loc[frame["split"] == "test", source.target].to_numpy()
            answers = _answers(name, source, seed, frame, asked)
            scores = compare(name, seed, truth, answers)
            shared = ["best script", *(f"preset {preset}" for preset in asked.presets)]
            plain = max(value for key, value in scores.items() if not key.startswith("preset "))
            values = [plain, *(scores[key] for key in shared[1:])]
            for key, rank in zip(shared, rankdata([-value for value in values]), strict=True):
                ranks.setdefault(key, []).append(float(rank))
    print("mean rank: " + ", ".join(f"{key} {np.mean(values):.2f}" for key, values in ranks.items()))


def _answers(
    name: str, source: Source, seed: int, frame: pd.DataFrame, asked: argparse.Namespace
) -> dict[str, np.ndarray]:
    """The test predictions of all scripts and presets, stored or made now."""
    folder = asked.store / name / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scripts.json"
    if not path.exists():
        path.write_text(
            json.dumps({key: values.tolist() for key, values in run_scripts(source, frame).items()})
        )
    result = {key: np.array(values) for key, values in json.loads(path.read_text()).items()}
    tested = np.flatnonzero(frame["split"] == "test") + 1
    for preset in asked.presets:
        path = folder / f"{preset}.json"
        if not path.exists():
            path.write_text(json.dumps(run_fit(source, frame, folder, preset, seed, asked.limit)))
        made = json.loads(path.read_text())
        result[f"preset {preset}"] = pd.Series(made["answers"], index=made["rows"]).loc[tested].to_numpy()
    return result


if __name__ == "__main__":
    main()
