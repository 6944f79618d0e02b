"""A training for which the device has too little memory: one line, and the other candidates go on."""

import json
from unittest import mock

import pytest
import torch

import polymodal as pm
from polymodal.errors import RunError
from polymodal.training.loop.trainer import PolymodalTrainer
from tests.support.tables import tiny, write_houses

OPTIONS = {"target": "kind", "inputs": ["bedrooms", "district"], "quiet": True}


@pytest.fixture
def full_memory():
    """No batch fits."""
    failure = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    with mock.patch.object(PolymodalTrainer, "step_loss", side_effect=failure):
        yield


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (16, "a batch of 16 rows. Fit with settings={'train.batch_size': 8}, or a smaller encoder"),
        (1, "a single row. Fit with settings={'train.device': 'cpu'}, or a smaller encoder"),
    ],
)
def test_the_batch_that_may_fit_is_named(tmp_path, full_memory, rows, line):
    table = write_houses(tmp_path)
    settings = [*tiny(), f"train.batch_size={rows}", "train.threads=1"]
    with pytest.raises(RunError) as error:
        pm.fit(table, output=tmp_path / "run", settings=settings, **OPTIONS)
    assert str(error.value) == f"cpu: out of memory in training with {line}"


def test_the_other_candidates_are_fitted(tmp_path, full_memory):
    table = write_houses(tmp_path)
    settings = [*tiny(), "train.candidates=[plain, fused]", "train.threads=1", "report.write=false"]
    run = pm.fit(table, output=tmp_path / "run", settings=settings, **OPTIONS)
    (note,) = [
        line for line in json.loads((tmp_path / "run/metrics.json").read_text())["notes"] if "fused" in line
    ]
    assert note.startswith(
        "the candidate 'fused' is left out: cpu: out of memory in training with a batch of "
    )
    assert len(run.predict(table)) > 0
