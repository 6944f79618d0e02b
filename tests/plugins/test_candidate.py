"""A candidate of another package takes part in a blend: fit, report, explain, predict from the folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import polymodal as pm
from polymodal.candidates import CANDIDATES
from tests.support.command import errors, polymodal, settings
from tests.support.tables import write_houses
from tests.test_plugins import install

CODE = '''
    """The usual answer: shares of the classes, or the mean, whatever the row holds."""

    import json

    import numpy as np
    import torch

    from polymodal.candidates import HELD_OUT, Candidate, Tried
    from polymodal.data.readers.joint_reader import KeptReader
    from polymodal.models.blend_members import Member, PlainInput


    class UsualMember(Member):
        def __init__(self, usual):
            super().__init__()
            self.usual = {name: np.asarray(value) for name, value in usual.items()}

        def embed(self, index, inputs):
            rows = np.arange(len(index))
            return {"bedrooms": PlainInput({}, rows, torch.zeros(len(index), dtype=torch.bool))}

        def answers(self, embedded):
            rows = len(embedded["bedrooms"].present)
            each = {name: np.broadcast_to(value, (rows, *value.shape)) for name, value in self.usual.items()}
            return {name: {"usual": torch.from_numpy(value.copy())} for name, value in each.items()}

        def model_names(self, target):
            return ["usual"] if target in self.usual else []


    class Usual(Candidate):
        name = "usual"

        def fit(self, *, resume, quiet):
            self.usual = {}
            for name, values in self.job.answers().items():
                classes = len(self.job.processor.targets[name].classes)
                share = np.bincount(values[values >= 0], minlength=classes) if classes else np.nanmean(values)
                self.usual[name] = share / share.sum() if classes else share
            rows = {split: len(self.job.splits[split]) for split in HELD_OUT}
            answers = {
                split: {
                    name: {"usual": np.broadcast_to(value, (count, *np.shape(value))).copy()}
                    for name, value in self.usual.items()
                }
                for split, count in rows.items()
            }
            return Tried({name: ["usual"] for name in self.usual}, answers, {"usual": 0.0})

        def finish(self, used, *, quiet):
            self.folder.mkdir(parents=True, exist_ok=True)
            usual = {name: np.asarray(value).tolist() for name, value in self.usual.items()}
            (self.folder / "usual.json").write_text(json.dumps(usual))
            return []

        def member(self):
            return UsualMember(self.usual)

        def readers(self):
            return {name: KeptReader(reader) for name, reader in self.job.processor.readers.items()}

        @classmethod
        def load(cls, folder, inputs):
            return UsualMember(json.loads((folder / "usual.json").read_text())), {}
'''


@pytest.fixture
def houses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The table of houses, and the package on the path."""
    install(tmp_path / "site", "usual_answers", {"candidates": {"usual": "usual_answers:Usual"}}, CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    kept = dict(CANDIDATES._entries)
    write_houses(tmp_path)
    yield tmp_path
    CANDIDATES._entries = kept
    sys.modules.pop("usual_answers", None)


def test_a_candidate_of_another_package_is_blended(houses: Path) -> None:
    report = {"train__candidates": "[usual, plain]", "report__write": True, "report__noise_rows": 2}
    made = polymodal(
        "fit", "houses.csv", "-t", "kind", "-t", "price", "-i", "note,bedrooms", "-o", "run",
        *settings(**report), folder=houses,
    )  # fmt: skip
    assert made.status == 0, made.err
    board = json.loads((houses / "run" / "metrics.json").read_text())["candidates"]
    usual = board["models"]["usual"]["weights"]["price"]
    others = [name for name in board["models"] if name != "usual"]
    assert usual == pytest.approx(1 / (1 + len(others))), "four validation rows choose nothing"
    assert (houses / "run" / "report.html").is_file()
    run = pm.load(houses / "run")
    kept = pd.read_parquet(houses / "run" / "predictions.parquet").set_index("row")
    again = run.predict(houses / "houses.csv").set_axis(range(1, 41)).loc[kept.index]
    assert again["price"].to_numpy() == pytest.approx(kept["price"].to_numpy(), rel=1e-5)
    assert len(run.explain(houses / "houses.csv", rows=[1], targets="price"))


def test_a_run_of_a_package_that_is_gone_is_one_line(houses: Path) -> None:
    options = ["--set", "train.candidates=[usual, plain]"]
    made = polymodal(
        "fit",
        "houses.csv",
        "-t",
        "kind",
        "-i",
        "note,bedrooms",
        "-o",
        "run",
        *settings(),
        *options,
        folder=houses,
    )
    assert made.status == 0, made.err
    CANDIDATES._entries.pop("usual")
    sys.path.remove(str(houses / "site"))
    found = errors(houses, "predict", "run", "houses.csv", "-o", "answers.csv")
    assert len(found) == 1 and "there is no candidate named 'usual'" in found[0]
