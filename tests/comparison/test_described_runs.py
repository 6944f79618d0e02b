"""What a comparison states about each run."""

from pathlib import Path
from unittest import mock

import pytest

from polymodal.comparison.comparison import _described
from polymodal.comparison.comparison_figures import RunCost
from polymodal.comparison.comparison_text import _cost
from polymodal.config.parsing import parse


@pytest.mark.parametrize(
    ("candidates", "fusion"), [(None, "concat"), (["plain"], None), (["plain", "fused"], "concat")]
)
def test_a_fusion_is_named_where_there_is_a_neural_model(candidates, fusion):
    inputs = {"size": {"modality": "number"}, "kind": {"modality": "category"}}
    given = {"data": {"train": "t.csv"}, "inputs": inputs, "targets": {"price": {"task": "regression"}}}
    train = {} if candidates is None else {"train": {"candidates": candidates}}
    declaration = parse(given | {"fusion": {"name": "concat"}} | train)
    cost = RunCost(parameters=None, seconds=None, rows_per_second=None)
    run = mock.Mock(folder=Path("run"), declaration=declaration, cost=cost)
    assert _described(run).fusion == fusion


def test_plain_models_have_no_number_of_parameters():
    assert _cost(RunCost(parameters=0, seconds=6.0, rows_per_second=None)) == "trained in 6 s"
    assert _cost(RunCost(parameters=1200, seconds=None, rows_per_second=None)) == "1,200 parameters"
