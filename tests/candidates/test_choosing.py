"""The choice of a blend where the validation rows are of another kind than the training rows."""

import json

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.candidates import choosing
from polymodal.evaluation.statistics.ensemble_selection import row_loss


def table(rows, shifted, random):
    """Rows whose label shows in both numbers; in those that are shifted ``first`` says the opposite."""
    label = random.integers(0, 2, rows)
    first = (2 * label - 1) * (-1 if shifted else 1) + random.normal(0, 0.3, rows)
    second = 2 * label - 1 + random.normal(0, 1.5, rows)
    return pd.DataFrame({"first": first, "second": second, "label": np.where(label, "yes", "no")})


@pytest.mark.parametrize("shifted", [True, False])
def test_models_are_chosen_out_of_fold_only_where_the_validation_rows_are_alike(tmp_path, shifted):
    random = np.random.default_rng(0)
    parts = {
        "train": table(120, False, random),
        "val": table(40, shifted, random),
        "test": table(40, shifted, random),
    }
    rows = pd.concat([part.assign(split=name) for name, part in parts.items()], ignore_index=True)
    run = pm.fit(
        rows, target="label", inputs=["first", "second"], preset="fast", output=tmp_path / "run",
        settings=["report.write=false"],
    )  # fmt: skip
    (reason,) = json.loads((run.folder / "metrics.json").read_text())["candidates"]["reasons"].values()
    assert ("the validation rows are unlike the training rows (loss " in reason) is shifted
    assert reason.startswith("out of fold") is not shifted


def answered(truth, **models):
    return choosing._Answered(models, row_loss("numbers", truth), None, None, len(truth))


@pytest.mark.parametrize(("gain", "kept"), [(0.02, 0.25), (0.9, 1.0)])
def test_a_model_whose_epoch_the_validation_rows_chose_needs_a_clear_gain_for_a_large_share(gain, kept):
    random = np.random.default_rng(0)
    truth, errors = random.normal(size=60), random.normal(0, 0.5, 60)
    noise = np.sign(random.normal(size=60)) * 0.5
    rows = answered(truth, **{choosing.OUT_OF_FOLD: truth + errors, "fused": truth + (1 - gain) * noise})
    usual = choosing._by_count(rows.models, 3)
    assert usual == {choosing.OUT_OF_FOLD: 0.75, "fused": 0.25}
    weights, reason = choosing._moderate(rows, {"fused": 1.0}, "as chosen", usual, {"fused"}, 0)
    assert weights["fused"] == kept and sum(weights.values()) == 1
    assert reason == ("as chosen" if kept == 1 else "fused with the share of one model: the validation rows "
                      "show no clear gain by more")  # fmt: skip


def rows_of_two_classes(rows, **right):
    """Answers with these probabilities of the right class."""
    truth = np.arange(rows) % 2
    models = {name: np.where(truth[:, None] == [0, 1], share, 1 - share) for name, share in right.items()}
    return choosing._Answered(models, row_loss("classes", truth), None, None, rows)


@pytest.mark.parametrize(("rows", "usual", "kept"), [(20, 0.94, 0.5), (20, 0.5, 1.0), (400, 0.94, 1.0)])
def test_being_surer_of_a_few_rows_that_all_models_answer_correctly_is_no_clear_gain(rows, usual, kept):
    held = rows_of_two_classes(rows, linear=usual, fused=0.98)
    shares = {"linear": 0.5, "fused": 0.5}
    weights, _ = choosing._moderate(held, {"fused": 1.0}, "as chosen", shares, {"fused"}, 0)
    assert weights["fused"] == kept


def test_a_share_that_is_small_stays_as_it_was_chosen():
    truth = np.arange(20.0)
    rows = answered(truth, **{choosing.OUT_OF_FOLD: truth + 1, "fused": truth - 2})
    chosen = {choosing.OUT_OF_FOLD: 0.9, "fused": 0.1}
    usual = choosing._by_count(rows.models, 3)
    assert choosing._moderate(rows, chosen, "as chosen", usual, {"fused"}, 0) == (chosen, "as chosen")


def test_what_it_does_not_get_goes_to_the_others_as_they_were_chosen():
    random = np.random.default_rng(0)
    truth = random.normal(size=60)
    models = {name: truth + random.normal(0, 0.5, 60) for name in ("linear", "forest", "fused")}
    chosen = {"linear": 0.1, "forest": 0.3, "fused": 0.6}
    usual = choosing._by_count(models, 0)
    weights, _ = choosing._moderate(answered(truth, **models), chosen, "as chosen", usual, {"fused"}, 0)
    assert weights == pytest.approx({"linear": 1 / 6, "forest": 1 / 2, "fused": 1 / 3})


@pytest.mark.parametrize(
    ("inner", "said"),
    [({"linear": 0.5, "kernel": 0.5}, "their blend"), ({"linear": 1.0}, "linear")],
)
def test_the_blend_out_of_fold_has_a_name_in_the_reason(inner, said):
    units = {choosing.OUT_OF_FOLD: inner, "fused": {"fused": 1.0}}
    reason = f"{choosing.OUT_OF_FOLD} is better than every other model"
    assert (
        choosing._in_words(reason, units)
        == f"by the validation rows, {said} is better than every other model"
    )
    assert choosing._in_words("fused is better", {"fused": {"fused": 1.0}}) == "fused is better"
