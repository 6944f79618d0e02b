import numpy as np
import pytest

from polymodal.evaluation.statistics.ensemble_selection import is_clearly_smaller, row_loss, select


def noisy(truth: np.ndarray, spread: float, seed: int) -> np.ndarray:
    return truth + spread * np.random.default_rng(seed).normal(size=len(truth))


TRUTH = np.random.default_rng(9).normal(size=400)
LOSS = row_loss("numbers", TRUTH)


def test_models_with_independent_errors_are_blended_and_beat_the_best():
    members = {name: noisy(TRUTH, 1, seed) for seed, name in enumerate("abc")}
    selection = select(members, LOSS, seed=0)
    assert selection.choice == "blend" and "more than chance" in selection.reason
    assert sum(selection.weights.values()) == pytest.approx(1) and set(selection.weights) == {"a", "b", "c"}
    assert all(0.2 < weight < 0.5 for weight in selection.weights.values())
    assert selection.blend_loss < 0.6 * selection.losses[selection.best]
    assert selection == select(members, LOSS, seed=0)


def test_a_model_that_is_clearly_the_best_remains_alone():
    error = TRUTH - noisy(TRUTH, 1, 0)
    members = {"good": TRUTH - 0.1 * error, "same but worse": TRUTH - error}
    selection = select(members, LOSS)
    assert selection.choice == "single" and selection.weights == {"good": 1.0}


def test_equal_models_are_no_reason_to_leave_one_out():
    members = {"one": noisy(TRUTH, 1, 0), "two": noisy(TRUTH, 1, 0)}
    selection = select(members, LOSS)
    assert selection.choice == "blend" and "not clearly better" in selection.reason


def test_one_model_and_none():
    selection = select({"one": TRUTH}, LOSS)
    assert selection.weights == {"one": 1.0} and selection.choice == "single"
    with pytest.raises(ValueError, match="no model"):
        select({}, LOSS)


def test_rows_without_weight_decide_nothing():
    good, bad = noisy(TRUTH, 0.1, 0), noisy(TRUTH, 3, 1)
    first = np.arange(400) < 200
    members = {"first": np.where(first, good, bad), "second": np.where(first, np.nan, good)}
    members["second"][first] = bad[first]
    assert select(members, LOSS, first * 1e18).best == "first"
    assert select(members, LOSS, ~first * 1e-18).best == "second"
    with pytest.raises(ValueError, match="weight above 0"):
        select(members, LOSS, np.zeros(400))


@pytest.mark.parametrize("unknown", [0.0, np.nan])
def test_rows_without_weight_are_as_if_they_were_not_there(unknown):
    members = {name: noisy(TRUTH, 1, seed)[:60] for seed, name in enumerate("abc")}
    longer = {name: np.append(values, np.full(40, unknown)) for name, values in members.items()}
    weights, clusters = np.append(np.ones(60), np.zeros(40)), np.arange(100) // 2
    loss = row_loss("numbers", np.append(TRUTH[:60], np.zeros(40)), spread=TRUTH[:60])
    expected = select(members, row_loss("numbers", TRUTH[:60]), clusters=clusters[:60])
    assert select(longer, loss, weights, clusters=clusters) == expected


def test_rows_of_a_cluster_are_no_evidence_of_their_own():
    good, worse = noisy(TRUTH[:4], 0.9, 0), noisy(TRUTH[:4], 1.0, 5)
    loss = row_loss("numbers", np.repeat(TRUTH[:4], 100))
    members = {"good": np.repeat(good, 100), "worse": np.repeat(worse, 100)}
    alone = select(members, loss)
    together = select(members, loss, clusters=np.repeat(np.arange(4), 100))
    assert "more than chance" in alone.reason or alone.choice == "single"
    assert together.choice == "blend" and "not clearly" in together.reason
    assert select(members, loss, clusters=np.zeros(400)).choice == "blend"


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_losses_of_probabilities(kind):
    if kind == "classes":
        answers, truth = np.array([[0.2, 0.8], [1.0, 0.0]]), np.array([1, 1])
    else:
        answers, truth = np.array([[0.2, 0.8], [1.0, 0.0]]), np.array([[0, 1], [1, 1]])
    first, second = row_loss(kind, truth)(answers)
    assert first == pytest.approx(-np.log(0.8)) and 5 < second < 20


def test_of_numbers_squared_and_absolute_errors_count_the_same():
    truth = np.array([0.0, 0.0, 0.0, 8.0])  # variance 12, mean distance from the median 2
    loss = row_loss("numbers", truth)
    assert loss(np.full(4, truth.mean())).mean() == pytest.approx((1 + 3 / 2) / 2)
    assert loss(np.full(4, np.median(truth))).mean() == pytest.approx((16 / 12 + 1) / 2)
    units = row_loss("numbers", truth, spread=10 * truth)
    assert units(np.zeros(4))[3] == pytest.approx(64 / 2400 + 8 / 40)
    assert np.isfinite(row_loss("numbers", np.ones(3))(np.zeros(3))).all()


def test_a_loss_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        select({"a": np.full(400, np.nan), "b": TRUTH}, LOSS)


def test_small_shares_are_left_out_unless_the_blend_needs_them():
    random = np.random.default_rng(0)
    truth = random.normal(size=400)
    good = {f"good{number}": truth + random.normal(0, 1, 400) for number in range(3)}
    poor = {f"poor{number}": truth + random.normal(0, 6, 400) for number in range(6)}
    chosen = select(good | poor, row_loss("numbers", truth))
    assert set(chosen.weights) == set(good) and min(chosen.weights.values()) >= 0.05
    assert sum(chosen.weights.values()) == pytest.approx(1)


def test_many_equal_models_all_stay():
    random = np.random.default_rng(1)
    truth = random.normal(size=300)
    models = {f"model{number}": truth + random.normal(0, 1, 300) for number in range(40)}
    chosen = select(models, row_loss("numbers", truth))
    assert len(chosen.weights) > 20


def test_models_that_the_rows_cannot_tell_apart_share_the_equal_part():
    members = {name: noisy(TRUTH, 1, seed) for seed, name in enumerate("ab")} | {"c": noisy(TRUTH, 9, 5)}
    loss = row_loss("numbers", TRUTH)
    weights = select(members, loss, equal=1.0).weights
    assert weights == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}
    half, chosen = (select(members, loss, equal=share).weights for share in (0.5, 0.0))
    assert half["a"] == pytest.approx((chosen["a"] + 0.5) / 2)


@pytest.mark.parametrize("equal", [0.0, 0.5])
def test_a_model_with_one_row_that_is_far_off_spoils_no_blend(equal):
    random = np.random.default_rng(0)
    truth = random.normal(size=150)
    models = {f"good{n}": truth + random.normal(0, 0.6, 150) for n in range(7)}
    models["bad"] = truth + random.normal(0, 0.6, 150)
    models["bad"][3] += 1000
    chosen = select(models, row_loss("numbers", truth), equal=equal)
    answers = sum(weight * models[name] for name, weight in chosen.weights.items())
    assert row_loss("numbers", truth)(answers).mean() <= 1.05 * min(chosen.losses.values())


def test_losses_that_are_clearly_smaller():
    losses = np.random.default_rng(0).normal(1, 0.1, 50)
    assert is_clearly_smaller(losses - 0.1, losses) and not is_clearly_smaller(losses, losses)
    noise = np.random.default_rng(1).normal(0, 1, 50)
    assert not is_clearly_smaller(losses + noise - noise.mean() - 0.01, losses)
    assert not is_clearly_smaller(losses - 0.1, losses, clusters=np.zeros(50))
