"""A device with too little memory: fewer rows at once, the same training; then one line, and the other
candidates go on."""

import json
import re
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch

import polymodal as pm
from polymodal.errors import RunError
from polymodal.models import PolymodalForPrediction
from polymodal.models.encoders import ImageEncoder
from polymodal.models.modeling import PolymodalModel
from polymodal.training.loop.batch_parts import BatchParts
from polymodal.training.loop.trainer import PolymodalTrainer
from tests.support.checkpoints import CHECKPOINTS
from tests.support.tables import tiny, write_houses

ON_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
ON_CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)"
)
OPTIONS = {"target": "kind", "inputs": ["bedrooms", "district"]}
SETTINGS = ["train.epochs=2", "train.threads=1", "fusion.dropout=0", "train.modality_dropout=0"]
SGD = ["train.optim=sgd", "train.learning_rate=0.01"]
"""Steps as large as the gradient: Adam makes whole steps of what rounding leaves of a gradient of zero."""


@contextmanager
def memory_for(rows, error=ON_GPU, kind=PolymodalForPrediction, method="forward"):
    """No more than ``rows`` rows fit, and a pass over more has drawn random numbers before it fails."""
    whole = getattr(kind, method)

    def checked(self, index, *args, **kwargs):
        if len(index) > rows:
            torch.rand(3)
            raise error
        return whole(self, index, *args, **kwargs)

    with mock.patch.object(kind, method, checked):
        yield


def assert_same(weights, expected):
    """The same weights but for rounding."""
    for name, weight in expected.items():
        torch.testing.assert_close(weights[name], weight, atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module", autouse=True)
def no_dropout():
    """Nothing is drawn by chance in a step, so that its parts have the gradient of the whole."""
    with mock.patch.object(torch.nn.Dropout, "forward", lambda self, values: values):
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_houses(tmp_path_factory.mktemp("houses"))


def fit(table, output, *more, **options):
    """The run, and the weights that it learned."""
    settings = [*tiny(), *SETTINGS, *SGD, *more]
    run = pm.fit(table, output=output, settings=settings, **OPTIONS | options)
    return run, {name: weight.clone() for name, weight in run.model.state_dict().items()}


@pytest.fixture(scope="module")
def whole(table, tmp_path_factory):
    """A training with memory for every batch."""
    return fit(table, tmp_path_factory.mktemp("whole") / "run", quiet=True)


@pytest.mark.parametrize("error", [ON_GPU, ON_CPU], ids=["gpu", "cpu"])
def test_half_a_batch_at_once_learns_the_same(table, whole, tmp_path, capsys, error):
    with memory_for(5, error):
        _, weights = fit(table, tmp_path / "run")
    lines = [
        "out of memory with 16 rows per batch: goes on with 8, and two batches per step",
        "out of memory with 8 rows per batch: goes on with 4, and four batches per step",
    ]
    printed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("out of memory")]
    assert printed[:2] == lines and not [line for line in printed[2:] if "per step" in line]
    notes = json.loads((tmp_path / "run/metrics.json").read_text())["notes"]
    assert [note for note in notes if "per step" in note] == lines
    assert_same(weights, whole[1])


def test_steps_of_several_batches_are_done_again_as_a_whole(table, whole, tmp_path):
    steps = ["train.batch_size=8", "train.gradient_accumulation_steps=2"]
    with memory_for(7):
        _, weights = fit(table, tmp_path / "run", *steps, quiet=True)
    assert_same(weights, whole[1])


def test_rows_with_weights_and_a_last_small_batch(table, tmp_path):
    """Each step's gradient is that of its batch, however its rows are divided."""
    options = {"sample_weight": "price", "quiet": True}
    settings = ["train.epochs=1", "train.batch_size=11"]
    expected = fit(table, tmp_path / "whole", *settings, **options)[1]
    with memory_for(4):
        weights = fit(table, tmp_path / "parts", *settings, **options)[1]
    assert_same(weights, expected)


def pretrain(table, output, *objectives):
    settings = [*tiny(), *SETTINGS, *SGD, "train.epochs=1"]
    run = pm.pretrain(
        table, inputs=OPTIONS["inputs"], output=output, objectives=objectives, settings=settings
    )
    return {name: weight.clone() for name, weight in run.model.state_dict().items()}


def test_losses_that_compare_rows_still_compare_all_of_a_batch(table, tmp_path, capsys):
    expected = pretrain(table, tmp_path / "whole", "contrastive")
    with memory_for(9, kind=PolymodalModel, method="embed"):
        weights = pretrain(table, tmp_path / "parts", "contrastive")
    printed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("out of memory")]
    assert printed[0] == "out of memory with 16 rows at once: goes on with 8, and compares all 16 of a batch"
    assert_same(weights, expected)


def test_rows_that_must_be_compared_whole_are_not_divided(table, tmp_path):
    line = "cpu: out of memory in training with a batch of 16 rows"
    with memory_for(9, kind=PolymodalModel, method="embed"), pytest.raises(RunError, match=line):
        pretrain(table, tmp_path / "run", "matching")


@contextmanager
def encoders_for(items):
    """No more than ``items`` pictures go through an encoder at once."""
    whole = ImageEncoder.forward

    def forward(self, *args, **kwargs):
        if len(kwargs["row"]) > items:
            raise ON_GPU
        return whole(self, *args, **kwargs)

    with mock.patch.object(ImageEncoder, "forward", forward):
        yield


def test_frozen_encoders_and_answers_take_fewer_rows_at_once(table, tmp_path, capsys):
    CHECKPOINTS["vit"].save(tmp_path / "vit")
    encoder = f"inputs.photo.encoder={{checkpoint: {tmp_path / 'vit'}}}"

    def frozen(folder):
        settings = [*tiny(), *SETTINGS, *SGD, encoder, "inputs.photo.freeze=true", "data.cache_disk=0"]
        return pm.fit(table, target="kind", inputs=["photo", "bedrooms"], output=folder, settings=settings)

    expected = frozen(tmp_path / "whole").predict(table, probabilities=True)
    with encoders_for(10):
        run = frozen(tmp_path / "parts")
        lines = capsys.readouterr().err.splitlines()
        assert "out of memory with 32 rows per batch: goes on with 16" in lines
        assert "out of memory with 16 rows per batch: goes on with 8" in lines
        made = run.predict(table, probabilities=True, batch_size=40)
        assert "out of memory with 40 rows per batch: goes on with 20" in capsys.readouterr().err.splitlines()
    pd.testing.assert_frame_equal(made, expected, atol=1e-3)


def test_predictions_evaluations_and_vectors_are_those_of_all_rows_at_once(table, whole, capsys):
    run, _ = whole
    expected = run.predict(table), run.evaluate(table), run.embed(table)
    with memory_for(9):
        made = run.predict(table), run.evaluate(table), run.embed(table)
    assert "out of memory with 40 rows per batch: goes on with 20" in capsys.readouterr().err.splitlines()
    pd.testing.assert_frame_equal(made[0], expected[0], atol=1e-5)
    assert made[1]["kind"] == pytest.approx(expected[1]["kind"])
    np.testing.assert_allclose(made[2], expected[2], atol=1e-5)


def test_a_single_row_that_does_not_fit_is_one_line(table, whole):
    line = "^cpu: out of memory with a single row. Use a machine with more memory, or a run with smaller enc"
    with memory_for(0), pytest.raises(RunError, match=line):
        whole[0].predict(table, quiet=True)


def test_an_error_of_another_kind_halves_nothing(table, whole, capsys):
    with (
        memory_for(9, RuntimeError("shapes cannot be multiplied")),
        pytest.raises(RuntimeError, match="shapes"),
    ):
        whole[0].predict(table)
    assert "out of memory" not in capsys.readouterr().err


@pytest.fixture
def full_memory():
    """No batch fits."""
    with mock.patch.object(PolymodalTrainer, "step_loss", side_effect=ON_GPU):
        yield


def test_a_training_that_cannot_hold_a_row_is_one_line(table, tmp_path, full_memory):
    line = "^cpu: out of memory in training with a single row. Fit with more memory, or a smaller encoder$"
    with pytest.raises(RunError, match=line):
        fit(table, tmp_path / "run", quiet=True)


def test_several_processes_do_not_change_their_batches(table, tmp_path, full_memory):
    arguments = mock.Mock(world_size=2, per_device_train_batch_size=16, gradient_accumulation_steps=1)
    arguments.device = torch.device("cpu")
    parts, batch = BatchParts(arguments), {"index": torch.arange(16)}
    line = "a batch of 16 rows. Fit with settings={'train.batch_size': 8}, or a smaller encoder"
    with pytest.raises(RunError, match=re.escape(line)):
        parts.step(batch, mock.Mock(side_effect=ON_GPU), mock.Mock())
    assert parts.rows is None


def test_the_other_candidates_are_fitted(table, tmp_path, full_memory):
    run, _ = fit(table, tmp_path / "run", "train.candidates=[plain, fused]", quiet=True)
    (note,) = [
        line for line in json.loads((tmp_path / "run/metrics.json").read_text())["notes"] if "fused" in line
    ]
    assert note.startswith(
        "the candidate 'fused' is left out: cpu: out of memory in training with a single row"
    )
    assert len(run.predict(table)) > 0
