"""Where a model computes and how precisely, through the command line; GPUs that are not there are made up."""

from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import polymodal as pm
from polymodal.config import TrainConfig
from polymodal.training.loop.arguments import training_arguments
from polymodal.utils.device import computing_in, find_device, known_devices
from tests.support.command import error, polymodal, settings
from tests.support.tables import write_houses

FIT = ["fit", "houses.csv", "-t", "kind", "-t", "price", "-i", "photo,voice,note,bedrooms,district"]
CUDA = {"is_available": lambda: True, "device_count": lambda: 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that reads everything, and its table."""
    folder = tmp_path_factory.mktemp("device")
    write_houses(folder, rows=60)
    given = settings("photo", "voice", train__epochs=6, train__learning_rate=0.01)
    result = polymodal(*FIT, "-o", "run", "--device", "cpu", "--precision", "fp32", *given, folder=folder)
    assert result.status == 0, result.err
    assert yaml.safe_load((folder / "run/run.yaml").read_text())["train"]["device"] == "cpu"
    return folder


def predicted(folder, *words):
    result = polymodal("predict", "run", "houses.csv", "-o", "a.parquet", *words, folder=folder)
    assert result.status == 0, result.err
    return pd.read_parquet(folder / "a.parquet")


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.01)])
def test_half_precision_answers_nearly_the_same(folder, precision, tolerance):
    whole, half = predicted(folder), predicted(folder, "--precision", precision)
    assert predicted(folder, "--device", "cpu", "--precision", "fp32").equals(whole)
    sure = (whole["kind_confidence"] - 0.5).abs() > tolerance
    assert sure.any() and half["kind"][sure].equals(whole["kind"][sure])
    difference = (half["kind_confidence"] - whole["kind_confidence"]).abs()
    assert 0 < difference[sure].max() < tolerance
    assert (half["price"] - whole["price"]).abs().max() < tolerance * whole["price"].std() * 2
    assert half["missing"].equals(whole["missing"])


def test_evaluate_and_embed_know_them_too(folder):
    half = ["--device", "cpu", "--precision", "bf16", "--json"]
    whole = polymodal("evaluate", "run", "houses.csv", "--json", folder=folder).json
    measured = polymodal("evaluate", "run", "houses.csv", *half, folder=folder).json
    assert measured["price"]["mae"] == pytest.approx(whole["price"]["mae"], rel=0.1)
    assert measured["price"]["mae"] != whole["price"]["mae"]
    assert polymodal("embed", "run", "houses.csv", "-o", "v.parquet", *half, folder=folder).status == 0
    vectors = np.stack(pd.read_parquet(folder / "v.parquet")["embedding"])
    expected = pm.load(folder / "run", device="cpu").embed(folder / "houses.csv")
    assert vectors.dtype == np.float32 and 0 < np.abs(vectors - expected).max() < 0.2


def test_in_half_precision_no_other_row_changes_a_row_much(folder):
    run = pm.load(folder / "run", precision="bf16")
    together, alone = (run.predict(folder / "houses.csv", batch_size=size) for size in (64, 1))
    assert together["kind_confidence"].tolist() == pytest.approx(alone["kind_confidence"].tolist(), abs=0.05)


def test_answers_that_are_no_numbers_are_refused(folder):
    run = pm.load(folder / "run", precision="bf16")
    head = run.model.head("kind")
    nothing = mock.patch.object(type(head), "forward", lambda self, state: torch.full((60, 2), torch.nan))
    with nothing, pytest.raises(pm.PolymodalError, match=r"60 of 60 rows \(bf16\). Use precision='fp32'"):
        run.predict(folder / "houses.csv")


@pytest.mark.parametrize(("width", "stride"), [(2, 2), (5, 3)])
def test_convolutions_one_pixel_wide_are_right_in_half_precision(width, stride):
    convolve = torch.nn.Conv2d(64, 128, 3, stride=stride, padding=1 if width == 2 else 0, bias=False)
    pixels = torch.randn(54, 64, 8, width)
    with torch.inference_mode(), computing_in(torch.device("cpu"), "bf16"):
        halved = [convolve(pixels).float() for _ in range(3)]
    for found in halved:
        assert found.shape[-1] == 1 and (found - convolve(pixels)).abs().max() < 0.05


@pytest.mark.parametrize("command", ["evaluate", "predict", "embed"])
def test_a_device_that_is_not_there(folder, command):
    output = [] if command == "evaluate" else ["-o", "a.parquet"]
    said = error(folder, command, "run", "houses.csv", *output, "--device", "cuda:7")
    assert said.startswith("this machine has no device 'cuda:7'.") and "There are: cpu" in said
    said = error(folder, command, "run", "houses.csv", *output, "--device", "gpu")
    assert said.startswith("this machine has no device 'gpu'.")


def test_a_precision_that_is_none_is_a_misuse(folder):
    result = polymodal("predict", "run", "houses.csv", "-o", "a.parquet", "--precision", "fp8", folder=folder)
    assert result.status == 2 and "fp8" in result.err
    with pytest.raises(pm.ConfigError, match="there is no precision 'fp8'"):
        pm.load(folder / "run", precision="fp8")


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_a_fit_on_a_device_that_is_not_there(folder):
    said = error(folder, *FIT, "-o", "other", "--device", "cuda")
    assert said.startswith("this machine has no device 'cuda'.")
    said = error(folder, *FIT, "-o", "other", "--set", "train.use_cpu=true")
    assert said == "'train.use_cpu' cannot be set here: give train.device"
    assert not (folder / "other").exists()


def test_which_gpu_a_fit_takes_is_said_before_it(tmp_path):
    with mock.patch.multiple(torch.cuda, **CUDA):
        assert known_devices()[:4] == ["cpu", "cuda", "cuda:0", "cuda:1"]
        assert find_device() == torch.device("cuda") and find_device("cuda:1") == torch.device("cuda:1")
        config = TrainConfig(device="cuda:1", epochs=1, batch_size=1)
        with pytest.raises(pm.ConfigError, match="set CUDA_VISIBLE_DEVICES=1 and give cuda"):
            training_arguments(config, tmp_path, 10)
        config = TrainConfig(device="cpu", epochs=1, batch_size=1)
        assert training_arguments(config, tmp_path, 10).device.type == "cpu"


def test_full_precision_is_no_autocast():
    for precision, expected in {"fp32": torch.float32, "bf16": torch.bfloat16}.items():
        with computing_in(torch.device("cpu"), precision):
            assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == expected
