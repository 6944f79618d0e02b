"""Learning rate of what another run trained from scratch: fine-tuning on 100 labels of several tables.

    python benchmarks/continued_rate.py --store /tmp/continued_rate

A run is trained from scratch on a related target; from it (`--from`) a fit learns the target of 100 rows, for
1 and for 12 epochs, at each rate of the parts it takes over. Test accuracy is printed. Results are stored per
table and seed, and what is stored is not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from training_end import DATA, TABLES

import polymodal as pm

RATES, EPOCHS = ("5e-5", "1e-4", "3e-4", "1e-3"), (1, 12)
FEW, TEST, MOST, STEPS = 100, 200, 900, 250
SETTINGS = [
    "data.test=0",
    "data.validation=0.15",
    "report.write=false",
    "train.threads=1",
    "train.batch_size=16",
]


def tables() -> dict[str, tuple[pd.DataFrame, str, str]]:
    """By name a table of inputs and two targets: the related one, and the one to fine-tune for."""
    countries = pd.read_csv(DATA / "countries/countries.csv")
    emoji = pd.read_csv(DATA / "emoji_captions/emoji.csv")[["label_en", "subgroup", "group"]]
    cancer = TABLES["breast_cancer"][0]()
    digits = TABLES["digits"][0]()
    digits["half"] = np.where(digits["label"] < 5, "low", "high")
    digits["label"] = "d" + digits["label"].astype(str)
    countries = countries[["name", "lat", "lng", "n_borders", "subregion", "region"]]
    cancer = cancer[[column for column in cancer if column.startswith(("mean", "target"))]]
    return {
        "countries": (countries, "subregion", "region"),
        "breast_cancer": (cancer, "mean area", "target"),
        "digits": (digits, "half", "label"),
        "emoji": (emoji[emoji["subgroup"].map(emoji["subgroup"].value_counts()) > 5], "subgroup", "group"),
    }  # fmt: skip


def accuracies(name: str, seed: int, folder: Path) -> dict[str, float]:
    """Test accuracy by epochs and rate."""
    frame, related, target = tables()[name]
    inputs = [column for column in frame if column not in (related, target)]
    drawn = np.random.default_rng(seed).permutation(len(frame))[:MOST]
    large = len(drawn) > 2 * TEST
    few, test = frame.iloc[drawn[:FEW]], frame.iloc[drawn[-TEST:] if large else drawn[FEW:]]
    rest = frame.iloc[drawn[:-TEST] if large else drawn]
    settings, epochs = [*SETTINGS, f"train.seed={seed}"], max(6, round(STEPS * 16 / len(rest)))
    pm.fit(rest[[*inputs, related]], target=related, inputs=inputs, output=folder / "from", overwrite=True,
           settings=[*settings, "fusion.width=64", f"train.epochs={epochs}"], quiet=True)  # fmt: skip
    results = {}
    for count in EPOCHS:
        for rate in RATES:
            more = [f"train.epochs={count}", f"train.continued_learning_rate={rate}"]
            rows = few[[*inputs, target]]
            run = pm.fit(rows, target=target, inputs=inputs, output=folder / "fit", start=folder / "from",
                         settings=[*settings, *more], overwrite=True, quiet=True)  # fmt: skip
            results[f"{count} epochs, {rate}"] = run.evaluate(test)[target]["accuracy"]
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is not stored, and print the mean over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args(arguments)
    means: dict[str, list[dict[str, float]]] = {}
    for name in tables():
        for seed in options.seeds.split(","):
            path = options.store / f"{name}-{seed}.json"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(accuracies(name, int(seed), options.store / "work" / path.stem)))
            means.setdefault(name, []).append(json.loads(path.read_text()))
    print(
        pd.DataFrame({name: pd.DataFrame(runs).mean() for name, runs in means.items()}).round(3).to_string()
    )


if __name__ == "__main__":
    main()
