"""Where a training ends: which weights to keep, judged on test rows of several tables and seeds.

    python benchmarks/training_end.py --store /tmp/training_end
    python benchmarks/training_end.py --store /tmp/training_end --only wine,meld --seeds 0,1

Each table (at most 1,000 rows, by a fixed seed) is trained to the end of its schedule once per seed. Every
evaluation records the metrics of the validation and of the test rows; from that one training follow all ways
to end it: the epoch of the best metric with patience counted from the start or from half of the peak rate,
that of the smallest loss, the last one, the mean of the weights of the last evaluations, and a moving average
of the weights. Results are stored per table and seed, and what is stored is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from sklearn import datasets
from torch import Tensor
from transformers import TrainerCallback, set_seed

from polymodal.models.inference import Measure, run_batches
from polymodal.models.modeling import PolymodalForPrediction
from polymodal.training.loop import trainer as training
from polymodal.training.opening import open_prediction_job
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.load import build_started
from polymodal.utils.progress import quiet_libraries

DATA = Path(os.environ.get("POLYMODAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
ROWS, STEPS = 1000, 300
TAILS = {"mean of last 10 %": 0.1, "mean of last 20 %": 0.2, "mean of last third": 1 / 3}
MOVING = {"moving average 5 %": 0.05, "moving average 20 %": 0.2}
PATIENCE = 0.4
State = dict[str, Tensor]


def packaged(name: str) -> Callable[[], pd.DataFrame]:
    """A table of scikit-learn, its target in the column ``target``."""

    def read() -> pd.DataFrame:
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        return frame if name == "diabetes" else frame.assign(target="c" + frame["target"].astype(str))

    return read


def shared(path: str, columns: str) -> Callable[[], pd.DataFrame]:
    """Some columns of a shared table, media by their whole paths."""

    def read() -> pd.DataFrame:
        frame = pd.read_csv(DATA / path)[columns.split(",")]
        for name in {"image", "image_degraded"} & {*frame}:
            frame[name] = [str((DATA / path).parent / cell) for cell in frame[name]]
        return frame

    return read


TABLES: dict[str, tuple[Callable[[], pd.DataFrame], str, list[str]]] = {
    "diabetes": (packaged("diabetes"), "target", []),
    "wine": (packaged("wine"), "target", []),
    "breast_cancer": (packaged("breast_cancer"), "target", []),
    "pay": (
        shared("vancouver_pay/pay.csv", "year,department,title,remuneration"),
        "remuneration",
        ["targets.remuneration.task=regression", "targets.remuneration.transform=log"],
    ),
    "countries": (
        shared("countries/countries.csv", "name,capital,languages,lat,lng,n_borders,area_km2,region"),
        "region",
        [],
    ),
    "emoji": (shared("emoji_captions/emoji.csv", "label_en,group"), "group", []),
    "meld": (shared("meld_text/meld.csv", "Utterance,Emotion"), "Emotion", []),
    "digits": (
        shared("av_digits/digits.csv", "image_degraded,label"),
        "label",
        ["targets.label.task=classification"],
    ),
}


class Recorder(TrainerCallback):
    """Records test metrics at every evaluation, the weights of the last third, and moving averages."""

    def __init__(self, job: PredictionJob) -> None:
        self.job, self.tests = job, []
        self.kept: list[State] = []
        self.moving: dict[str, State] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, *, model: Any, **kwargs: Any) -> None:
        """Update the moving averages."""
        for name, share in MOVING.items():
            rate = max(1 / (share * state.max_steps), 1 / (state.global_step + 1))
            if name not in self.moving:
                self.moving[name] = snapshot(model)
            for key, value in model.state_dict().items():
                if value.is_floating_point():
                    self.moving[name][key].lerp_(value, rate)

    def on_evaluate(self, args: Any, state: Any, control: Any, *, model: Any, **kwargs: Any) -> None:
        """Measure the test rows."""
        self.tests.append(measured(model, self.job, "test"))
        if state.global_step >= state.max_steps * (1 - max(TAILS.values())):
            self.kept.append(snapshot(model))


def snapshot(model: torch.nn.Module) -> State:
    """A copy of all weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def measured(model: PolymodalForPrediction, job: PredictionJob, split: str) -> dict[str, float]:
    """The metrics of the one target on a split."""
    measure = Measure(model)
    for batch in run_batches(model, job.rows(split), 256):
        measure.add(batch)
    return next(iter(measure.metrics().values()))


def mean_state(states: Sequence[State]) -> State:
    """The mean of several states."""
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[-1].items()
    }


def train_once(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train a table once to its end, and return everything that is measured."""
    read, target, settings = TABLES[name]
    frame = read()
    frame = frame.sample(min(len(frame), ROWS), random_state=0).reset_index(drop=True)
    epochs = max(12, round(STEPS / np.ceil(0.65 * len(frame) / 16)))
    seeds = [f"train.seed={seed}", f"data.seed={seed}"]
    shares = ["data.validation=0.15", "data.test=0.2"]
    length = ["train.batch_size=16", f"train.epochs={epochs}", "train.patience=0"]
    settings = [*settings, *seeds, *shares, *length, "fusion.width=64", "train.threads=1"]
    job = open_prediction_job(FitRequest(frame, targets=[target], settings=settings))
    job.require_sound(quiet=True)
    set_seed(seed)
    model = build_started(job, job.declaration)
    recorder, kind = Recorder(job), training.PolymodalTrainer

    def watched(**options: Any) -> training.PolymodalTrainer:
        arguments = options["args"].set_save(strategy="no")  # nothing is resumed: no checkpoints
        arguments.load_best_model_at_end = False
        made = kind(**options | {"args": arguments})
        made.add_callback(recorder)
        return made

    several = len(job.declaration.inputs) > 1
    rows = job.rows("train", dropout=0.15 if several else 0.0)
    with patch.object(training, "PolymodalTrainer", watched), quiet_libraries():
        done = training.train(model, rows, job.rows("validation"), job.declaration.train, folder,
                              metric=job.metric, quiet=True)  # fmt: skip
    averages = {}
    states = {
        tail: recorder.kept[-max(1, round(share * len(recorder.tests))) :] for tail, share in TAILS.items()
    }
    for way, state in {
        **{tail: mean_state(kept) for tail, kept in states.items()},
        **recorder.moving,
    }.items():
        model.load_state_dict(state)
        averages[way] = {split: measured(model, job, split) for split in ("validation", "test")}
    evaluations = [entry for entry in done["history"] if "eval_selection" in entry]
    task = job.declaration.targets[target].task
    return {"task": task, "target": target, "evaluations": evaluations, "tests": recorder.tests,
            "averages": averages, "seconds": done["seconds"]}  # fmt: skip


def stopped(scores: Sequence[float], patience: int, begin: int) -> int:
    """The best evaluation of a training that ends after ``patience`` ones without a better score."""
    best, waited = 0, 0
    for index, score in enumerate(scores):
        if index and score <= scores[best]:
            waited = waited + 1 if index >= begin else 0
        else:
            best, waited = index, 0
        if waited >= patience:
            break
    return best


METRIC_OF = {"regression": "rmse", "classification": "accuracy"}


def ways(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Test metrics by the way to end the training."""
    target, count, tests = result["target"], len(result["tests"]), result["tests"]
    sign = -1 if result["task"] == "regression" else 1
    key = f"eval_{target}.{METRIC_OF[result['task']]}"
    loss = [-entry["eval_loss_total"] for entry in result["evaluations"]]
    metric = [sign * entry[key] + 1e-6 * lost / (1 + abs(lost)) for entry, lost in
              zip(result["evaluations"], loss, strict=True)]  # fmt: skip
    patience, half = max(2, round(PATIENCE * count)), round(0.55 * count)
    chosen = {
        "metric, patience from start": stopped(metric, patience, 0),
        "metric, patience from half": stopped(metric, max(2, patience // 2), half),
        "metric": int(np.argmax(metric)),
        "loss, patience from half": stopped(loss, max(2, patience // 2), half),
        "loss": int(np.argmax(loss)),
        "last": count - 1,
    }
    return {way: tests[index] for way, index in chosen.items()} | {
        way: entry["test"] for way, entry in result["averages"].items()
    }


def report(results: Mapping[tuple[str, int], Mapping[str, Any]]) -> None:
    """Print the mean over seeds by table, and the mean rank over tables, by way."""
    for title, names in {
        "accuracy or R2": ("accuracy", "r2"),
        "log loss or MAE": ("log_loss", "mae"),
    }.items():
        tables: dict[str, dict[str, list[float]]] = {}
        for (table, _), result in results.items():
            for way, metrics in ways(result).items():
                value = next(metrics[name] for name in names if name in metrics)
                tables.setdefault(table, {}).setdefault(way, []).append(value)
        frame = pd.DataFrame({t: {w: np.mean(v) for w, v in by.items()} for t, by in tables.items()})
        ranks = frame.rank(ascending=title != "accuracy or R2").mean(axis=1)
        print(f"\n{title}\n{frame.round(4).assign(rank=ranks.round(2)).to_string()}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is not stored, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--only", default=",".join(TABLES))
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args(arguments)
    results = {}
    for seed in map(int, options.seeds.split(",")):
        for name in options.only.split(","):
            path = options.store / f"{name}-{seed}.json"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                result = train_once(name, seed, options.store / "work" / f"{name}-{seed}")
                path.write_text(json.dumps(result))
                print(f"{name} seed {seed}: {result['seconds']:.0f} s", flush=True)
            results[name, seed] = json.loads(path.read_text())
    report(results)


if __name__ == "__main__":
    main()
