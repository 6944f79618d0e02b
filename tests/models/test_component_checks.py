"""Fusions and objectives check themselves before any file is read; plug-ins have honest defaults."""

import pytest
import torch
from torch import nn

import polymodal as pm
from polymodal.errors import ConfigError
from polymodal.models.fusion import FUSIONS, FeatureFusion
from polymodal.models.objectives.base import Objective, ObjectiveFacts
from polymodal.training.warm_start.transfer import continue_from


class PairFusion(pm.Fusion):
    """A plug-in for two inputs, without rules for other sets of inputs."""

    def __init__(self, inputs, *, width, scale: float = 1.0):
        super().__init__(inputs, width=width)
        self.net, self.scale = nn.Linear(width, width), scale

    @classmethod
    def check(cls, inputs, *, width, **options):
        if len(inputs) != 2:
            raise ValueError(f"there are {len(inputs)} inputs, expected 2")
        super().check(inputs, width=width, **options)

    def forward(self, embedded):
        return pm.FusedState(self.net(sum(entry.tokens[:, 0] for entry in embedded.values())))


@pytest.fixture
def pair(monkeypatch):
    monkeypatch.setitem(FUSIONS._entries, "pair", PairFusion)


def model(*names, seed):
    torch.manual_seed(seed)
    encoders = {name: pm.NumberEncoder(features=2) for name in names}
    return pm.PolymodalModel.from_parts(encoders, FeatureFusion("pair", width=8))


def test_a_fusion_checks_its_inputs_in_one_line(pair):
    FeatureFusion("pair", width=8, scale=2.0).check(["a", "b"])
    with pytest.raises(ConfigError, match=r"the fusion 'pair' cannot be built with .*: there are 3 inputs"):
        FeatureFusion("pair", width=8).check(["a", "b", "c"])


def test_a_check_allocates_no_weights(pair, monkeypatch):
    devices = []
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda self: devices.append(self.weight.device.type))
    FeatureFusion("pair", width=8).check(["a", "b"])
    assert devices == ["meta"]


@pytest.mark.parametrize(("inputs", "is_copied"), [("ab", True), ("ac", False)])
def test_a_fusion_without_rules_is_copied_with_the_same_inputs_only(pair, inputs, is_copied):
    old, new = model("a", "b", seed=0), model(*inputs, seed=1)
    before = old.fusion.fusion.net.weight.clone()
    done = continue_from(old, new)
    assert torch.equal(new.fusion.fusion.net.weight, before) is is_copied
    assert ("fusion 'pair'" in done.loaded) is is_copied
    assert ("fusion 'pair' (other inputs)" in done.new) is not is_copied


class NeedsBatches(Objective):
    name = "needs_batches"

    def check(self, facts):
        super().check(facts)
        if facts.batch_size is not None and facts.batch_size < 8:
            raise ConfigError(f"'train.batch_size' is {facts.batch_size}, expected 8 or more")


def test_an_objective_checks_the_declaration():
    NeedsBatches().check(ObjectiveFacts({"a": "number"}, batch_size=8))
    with pytest.raises(ConfigError, match="expected 8 or more"):
        NeedsBatches().check(ObjectiveFacts({"a": "number"}, batch_size=4))
    with pytest.raises(ConfigError, match="names an input 'b'"):
        NeedsBatches(inputs=["b"]).check(ObjectiveFacts({"a": "number"}))
