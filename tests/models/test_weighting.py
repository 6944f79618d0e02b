"""Joint losses: fixed weights, and weights learned by uncertainty, against Kendall's formulas."""

from __future__ import annotations

import math

import pytest
import torch

import polymodal as pm
from polymodal.errors import ConfigError
from polymodal.models.weighting import WEIGHTINGS, FixedWeighting, Term, UncertaintyWeighting
from tests.support.component_cases import Case, collate, make_case

FACTORS = {"kind": 1.0, "price": 0.5}


KIND, PRICE = Term(torch.tensor(0.7)), Term(torch.tensor(3.0))
TERMS = {"kind": KIND, "price": PRICE}


def test_the_formula_is_kendalls():
    weighting = UncertaintyWeighting(FACTORS)
    deviations = {"kind": 0.8, "price": 2.5}
    with torch.no_grad():
        weighting.log_variance.copy_(torch.tensor([2 * math.log(d) for d in deviations.values()]))
    # Equation 10: L_price / (2 σ²) + L_kind / σ² + log σ + log σ
    expected = 3.0 / (2 * 2.5**2) + 0.7 / 0.8**2 + math.log(2.5) + math.log(0.8)
    assert weighting(TERMS).item() == pytest.approx(expected, rel=1e-6)
    assert weighting.learned() == pytest.approx({"kind": 1 / 0.8**2, "price": 0.5 / 2.5**2})


def test_left_to_itself_a_variance_is_the_loss():
    weighting = UncertaintyWeighting(FACTORS)
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        weighting(TERMS).backward()
        optimizer.step()
    # d/ds (f e^-s L + s / 2) = 0 at e^s = 2 f L
    variance = weighting.log_variance.detach().exp()
    torch.testing.assert_close(variance, torch.tensor([2 * 0.7, 3.0]), rtol=1e-3, atol=0)


def test_what_a_batch_says_nothing_of_counts_nothing_and_keeps_its_weight():
    weighting = UncertaintyWeighting(FACTORS)
    with torch.no_grad():
        weighting.log_variance.fill_(1.5)
    loss = weighting({"kind": KIND, "price": Term(torch.zeros(()), share=torch.tensor(0.0))})
    loss.backward()
    assert loss.item() == pytest.approx(0.7 * math.exp(-1.5) + 0.75)
    assert weighting.log_variance.grad[1] == 0 and weighting.log_variance.grad[0] != 0
    alone = weighting({"kind": KIND})
    assert alone.item() == pytest.approx(loss.item())


def test_fixed_weights_are_factors():
    loss = FixedWeighting(FACTORS)({"kind": Term(torch.tensor(2.0), 3.0), "price": Term(torch.tensor(1.0))})
    assert loss.item() == 7.0 and not list(FixedWeighting(FACTORS).parameters())
    assert FixedWeighting(FACTORS).learned() == {}


def test_a_weight_is_fixed_or_learned():
    with pytest.raises(
        ConfigError, match="'kind' has the fixed weight 2, and weighting 'uncertainty' learns"
    ):
        UncertaintyWeighting(FACTORS)({"kind": Term(torch.tensor(1.0), weight=2.0)})
    with pytest.raises(ConfigError, match="no weighting named 'uncertain'\\. Did you mean 'uncertainty'"):
        WEIGHTINGS["uncertain"]


@pytest.fixture
def case() -> Case:
    torch.manual_seed(0)
    return make_case("weighting", "uncertainty")


def test_a_model_made_by_hand_learns_its_weights(case, tmp_path):
    rows = case.rows()
    batch, targets = collate(rows), case.answers(len(rows))
    first = case.model(**batch, targets=targets)
    classes, number = first.losses.values()
    torch.testing.assert_close(first.loss, classes + number / 2)  # all variances are 1 at first
    optimizer = torch.optim.SGD(case.model.weighting.parameters(), lr=0.5)
    first.loss.backward()
    optimizer.step()
    second = case.model(**batch, targets=targets)
    assert second.loss < first.loss
    assert all(torch.equal(second.losses[name], loss) for name, loss in first.losses.items())
    case.model.save_pretrained(tmp_path)
    loaded = pm.PolymodalForPrediction.from_pretrained(tmp_path)
    assert torch.equal(loaded.weighting.log_variance, case.model.weighting.log_variance)
    assert loaded.weighting.learned() == case.model.weighting.learned()
    torch.testing.assert_close(loaded(**batch, targets=targets).loss, second.loss)


def test_a_target_that_is_empty_throughout_the_batch_leaves_its_weight(case):
    rows = case.rows()
    first, second = case.targets
    answers = case.answers(len(rows))
    nothing = case.targets[second](torch.zeros(len(rows), dtype=torch.bool))
    case.model(**collate(rows), targets={first: answers[first], second: nothing}).loss.backward()
    gradient = case.model.weighting.log_variance.grad
    assert gradient[0] != 0 and gradient[1] == 0


def test_a_model_without_such_a_setting_has_fixed_weights(tmp_path):
    config = make_case("head", "regression").model.config.to_dict()
    config.pop("weighting")
    assert pm.PolymodalConfig.from_dict(config).weighting == "fixed"
