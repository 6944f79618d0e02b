"""What pre-training is worth on real input: few labels after it, and pictures found by their names.

    python benchmarks/pretrained.py digits
    python benchmarks/pretrained.py emoji

Finished runs in ``--output`` are kept, as in ``real_input.py``, whose data and folders these are.

- digits: pre-train on the 6,000 pairs of av_digits without labels, then fit with 100; the same fit without
  the pre-training; a linear probe of the fused vector on the same labels, and on all.
- emoji: picture and English name of emoji_captions, in training with the name's tags beside them. The same
  model is asked in both directions, by German, French and Chinese names, and with the second drawing style.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from real_input import DATA, ROOT, SEEDS, made_once, minilm, paired, right

import polymodal as pm
from polymodal.data.splits.label_budget import choose_labelled

LABELS = 100
DIGITS, EMOJI = DATA / "av_digits" / "digits.csv", DATA / "emoji_captions" / "emoji.csv"
ASKED = {
    "English": {}, "German": {"label_en": "label_de"}, "French": {"label_en": "label_fr"},
    "Chinese": {"label_en": "label_zh"}, "second drawing style": {"image": "image_fxemoji"},
}  # fmt: skip


TOLD = ("recall_at_1", "recall_at_5", "recall_at_10", "median_rank", "map")


def pretrained(recipe: str, folder: Path, seed: int) -> Any:
    """The run of a recipe without targets."""
    settings = [f"train.seed={seed}"]
    made_once(folder, recipe, settings, lambda: pm.pretrain(ROOT / "recipes" / recipe, output=folder,
                                                            settings=settings))  # fmt: skip
    return pm.load(folder)


def tuned(folder: Path, seed: int, start: Path | None) -> pd.DataFrame:
    """The test answers of a fit with few labels."""
    settings = [f"train.seed={seed}"]
    recipe = "av_digits_few.yaml"
    made_once(folder, recipe, [*settings, str(start)], lambda: pm.fit(
        ROOT / "recipes" / recipe, output=folder, settings=settings, start=start
    ))  # fmt: skip
    return pd.read_parquet(folder / "predictions.parquet").assign(fold=0, seed=seed)


def digits(output: Path) -> None:
    """Few labels, with and without a pre-training."""
    few, scratch, probes = [], [], []
    for seed in SEEDS:
        folder = output / f"digits_pre/seed{seed}"
        run = pretrained("av_digits_pretrain.yaml", folder, seed)
        few.append(tuned(output / f"digits_few/seed{seed}", seed, folder))
        scratch.append(tuned(output / f"digits_scratch/seed{seed}", seed, None))
        probes.append([probe(run, seed, LABELS), probe(run, seed, None)])
    scores = {
        "pre-trained": right(pd.concat(few), "label"),
        "from scratch": right(pd.concat(scratch), "label"),
    }
    for name, score in scores.items():
        each = score.groupby(level="seed").mean()
        print(
            f"av_digits, {LABELS} labels, {name}: {score.mean():.4f} ({each.min():.4f} to {each.max():.4f})"
        )
    print(f"  pre-training adds {paired(scores['pre-trained'], scores['from scratch'])}", flush=True)
    means = np.mean(probes, axis=0)
    print(f"  linear probe of the fused vector: {LABELS} labels {means[0]:.4f}, all labels {means[1]:.4f}")


def probe(run: Any, seed: int, labels: int | None) -> float:
    """Test accuracy of a linear probe of the fused vector, on the labels that the fit was given or on all."""
    choose = (lambda answers: choose_labelled(answers, labels, seed)) if labels else None
    return run.linear_probe(DIGITS, "label", choose=choose)["metrics"]["accuracy"]["value"]


def emoji(output: Path) -> None:
    """Pictures by names, and names by pictures."""
    os.environ["MINILM"] = minilm()
    found = []
    for seed in SEEDS:
        run = pretrained("emoji_names.yaml", output / f"emoji_names/seed{seed}", seed)
        found.append(
            {name: run.retrieval(EMOJI, split="test", instead=columns) for name, columns in ASKED.items()}
        )
    for name in ASKED:
        for way in (way for way in found[0][name] if "tags_en" not in way):
            told = [f"{key} {mean(found, name, way, key)}" for key in TOLD]
            queries = found[0][name][way]["queries"]
            print(f"emoji, {name}, {way} ({queries} queries): {', '.join(told)}", flush=True)


def mean(found: Sequence[Any], name: str, way: str, key: str) -> str:
    """The mean over the seeds, and their range."""
    values = [one[name][way][key]["value"] for one in found]
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that are named."""
    parts = {"digits": digits, "emoji": emoji}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=[*parts, "all"])
    parser.add_argument("--output", type=Path, default=Path("runs/real"))
    options = parser.parse_args(arguments)
    for name in parts if options.part == "all" else [options.part]:
        parts[name](options.output)


if __name__ == "__main__":
    main()
