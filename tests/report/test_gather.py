"""How many rows a report samples."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import polymodal as pm
from polymodal.config import ReportConfig
from polymodal.models.blend import BlendConfig, BlendedModel
from polymodal.models.blend_members import Member
from polymodal.report.gather import _emap_rows
from polymodal.report.measuring import (
    FEWEST_OF_EMAP,
    NOISE_OF_BLEND,
    Measuring,
    chosen_amount,
    most_noise_rows,
)
from polymodal.utils.deadline import NO_LIMIT


class Reading(Member):
    """Reads ``note`` by an encoder that is pretrained or not."""

    def __init__(self, pretrained):
        super().__init__()
        self.reads = SimpleNamespace(pretrained=pretrained)

    def embed(self, index, inputs):
        return {}

    def answers(self, embedded):
        return {}

    def model_names(self, target):
        return ["some"]

    def encoder(self, name):
        return self.reads if name == "note" else None


def measuring(model, **asked):
    declaration = SimpleNamespace(inputs={"x": None, "note": None})
    return Measuring(SimpleNamespace(model=model, declaration=declaration), None, ReportConfig(), **asked)


@pytest.mark.parametrize(("pretrained", "rows"), [(True, NOISE_OF_BLEND), (False, 500)])
def test_blends_over_pretrained_encoders_take_fewer_rows_with_noise(pretrained, rows):
    heads, config = {"y": pm.Regressor(mean=0.0, deviation=1.0)}, BlendConfig(["x", "note"], ["y"])
    blend = BlendedModel(config, {"some": Reading(pretrained)}, {"y": {"some": 1.0}}, heads)
    assert blend.reads_pretrained == pretrained
    assert most_noise_rows(measuring(blend)) == rows
    assert most_noise_rows(measuring(blend, noise_rows=300)) == 300
    assert _emap_rows(measuring(blend), NO_LIMIT, 0.0) == 200


def test_many_inputs_leave_enough_rows_for_interactions():
    names = [f"x{number}" for number in range(30)]
    heads = {"y": pm.Regressor(mean=0.0, deviation=1.0)}
    blend = BlendedModel(BlendConfig(names, ["y"]), {"some": Reading(False)}, {"y": {"some": 1.0}}, heads)
    request = measuring(blend)
    request.run.declaration.inputs = dict.fromkeys(names)
    assert _emap_rows(request, NO_LIMIT, 0.0) == FEWEST_OF_EMAP


def test_a_single_model_takes_all():
    model = torch.nn.Identity()
    assert most_noise_rows(measuring(model)) == 500 and _emap_rows(measuring(model), NO_LIMIT, 0.0) == 500


def test_a_report_that_takes_long_is_short_unless_all_of_it_is_asked_for(monkeypatch):
    model = torch.nn.Identity()
    for seconds, amount, chosen in (
        (9, None, "full"),
        (99, None, "short"),
        (99, "full", "full"),
        (9, "short", "short"),
    ):
        monkeypatch.setattr("polymodal.report.measuring.full_seconds", lambda request, took=seconds: took)
        request = replace(measuring(model), config=ReportConfig(amount=amount))
        assert chosen_amount(request) == chosen and len(request.left_out) == (chosen == "short")
        assert not request.left_out or "(run.report(amount='full'))" in request.left_out[0]
    assert chosen_amount(measuring(model, noise_rows=3)) == "full"
    assert not ReportConfig(amount="none").is_written and not ReportConfig(write=False).is_written
