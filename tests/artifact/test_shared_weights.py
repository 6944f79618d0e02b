"""Tensors that several candidates have are stored once, and read again as if they were not."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from polymodal.artifact.shared_weights import SHARED, restore_weights, share_weights, whole_state

LARGE, OTHER, SMALL = torch.randn(40, 40), torch.randn(40, 40), torch.ones(3)
FUSED = {"model.encoder.a": LARGE, "head": OTHER, "bias": SMALL}
OWN = {"encoder.a": LARGE, "again": LARGE.clone(), "other": OTHER + 1, "tied": OTHER + 1, "bias": SMALL}


@pytest.fixture
def candidates(tmp_path):
    """The neural model, and two candidates with encoders of their own."""
    for place, state in (("fused", FUSED), ("frozen/encoders", OWN), ("tabicl/encoders", OWN)):
        (tmp_path / place).mkdir(parents=True)
        save_file(state, tmp_path / place / "model.safetensors", {"format": "pt"})
    return tmp_path


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_each_tensor_is_stored_once_and_read_again(candidates):
    before = (candidates / "fused/model.safetensors").read_bytes()
    share_weights(candidates)
    assert (candidates / "fused/model.safetensors").read_bytes() == before
    frozen, tabicl = (load_file(candidates / f"{n}/encoders/model.safetensors") for n in ("frozen", "tabicl"))
    assert {"other", "tied", "bias"} < frozen.keys() and len(frozen) == 4  # one of two equal ones is shared
    assert "bias" in tabicl and len(tabicl) == 3
    shutil.move(candidates, candidates.with_name("moved"))
    for name in ("frozen", "tabicl"):
        assert equal(whole_state(candidates.with_name("moved") / name / "encoders"), OWN)


def test_shared_twice_is_the_same_and_restored_is_as_before(candidates):
    share_weights(candidates)
    listed = (candidates / "tabicl/encoders" / SHARED).read_bytes()
    share_weights(candidates)
    assert (candidates / "tabicl/encoders" / SHARED).read_bytes() == listed
    restore_weights(candidates)
    assert not list(candidates.rglob(SHARED))
    assert equal(load_file(candidates / "tabicl/encoders/model.safetensors"), OWN)


@pytest.mark.parametrize(
    "kept",
    [
        ["../outside/model.safetensors", "a"], ["/etc/passwd", "a"],
        ["frozen/encoders/model.safetensors", "other"],
        ["fused/model.safetensors", "none"], ["fused/config.json", "a"], "fused", 3, None, [], [[], {}],
    ],
)  # fmt: skip
def test_what_no_fit_lists_is_refused(candidates, kept):
    share_weights(candidates)
    folder = candidates / "frozen/encoders"
    (folder / SHARED).write_text(json.dumps({"tensors": {"encoder.a": kept}}))
    with pytest.raises(ValueError, match=SHARED):
        whole_state(folder)


def test_candidates_without_common_tensors_stay_as_they_are(tmp_path):
    for place, state in (("fused", FUSED), ("frozen/encoders", {"x": LARGE + 1})):
        (tmp_path / place).mkdir(parents=True)
        save_file(state, tmp_path / place / "model.safetensors", {"format": "pt"})
    share_weights(tmp_path)
    assert not list(tmp_path.rglob(SHARED))
