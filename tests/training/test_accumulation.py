"""Batches that make one step together, layers that are computed again: the weights of the plain training."""

from __future__ import annotations

import shutil
from unittest import mock

import numpy as np
import pytest
import torch
import transformers as hf
from transformers.modeling_layers import GradientCheckpointingLayer

import polymodal as pm
from polymodal.models.weighting import WEIGHTINGS
from polymodal.training.loop.loss_normalizers import step_normalizers
from polymodal.training.loop.trainer import PolymodalTrainer
from tests.support.checkpoints import CHECKPOINTS
from tests.support.command import error
from tests.support.component_cases import collate, make_case
from tests.support.tables import house_rows, tiny, write_houses, write_table

PLAIN = {"fusion__dropout": 0, "train__modality_dropout": 0, "train__patience": 0, "train__epochs": 2}


def fit(table, folder, *, target="kind", inputs=("bedrooms", "district"), **more):
    run = pm.fit(table, target=target, inputs=inputs, output=folder, settings=tiny(*inputs, **PLAIN, **more))
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def largest_difference(a, b):
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


@pytest.fixture
def sparse(tmp_path):
    """Two targets, mostly empty and in uneven places, rare classes; 45 rows train."""
    rows = house_rows(tmp_path, 56, empty=0.2)
    random = np.random.default_rng(0)
    for number, row in enumerate(rows):
        if random.random() < (0.9 if number % 16 < 8 else 0.2):
            row["price"] = None
        if random.random() < 0.5:
            row["kind"] = None
    return write_table(tmp_path / "sparse.csv", rows)


def test_two_half_batches_are_the_whole_batch(sparse, tmp_path):
    target = ["kind", "price"]
    more = {"targets__kind__class_weights": "balanced", "targets__kind__label_smoothing": 0.1,
            "targets__price__weight": 2, "train__learning_rate": 0.01, "train__optim": "sgd",
            "train__max_grad_norm": 0}  # fmt: skip
    whole = fit(sparse, tmp_path / "whole", target=target, train__batch_size=16, **more)
    halves = fit(sparse, tmp_path / "halves", target=target, train__batch_size=8,
                 train__gradient_accumulation_steps=2, **more)  # fmt: skip
    eighths = fit(sparse, tmp_path / "eighths", target=target, train__batch_size=2,
                  train__gradient_accumulation_steps=8, **more)  # fmt: skip
    assert largest_difference(whole, halves) < 1e-5
    assert largest_difference(whole, eighths) < 1e-5
    smaller = fit(sparse, tmp_path / "smaller", target=target, train__batch_size=8, **more)
    assert largest_difference(whole, smaller) > 1e-3


def test_means_of_means_would_be_something_else(sparse, tmp_path):
    """What Transformers does by itself: the test above sees the difference."""
    more = {"target": ["kind", "price"], "train__learning_rate": 0.01, "train__optim": "sgd",
            "train__max_grad_norm": 0}  # fmt: skip
    whole = fit(sparse, tmp_path / "whole", train__batch_size=16, **more)

    plain = PolymodalTrainer.compute_loss

    def mean(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if num_items_in_batch is None:  # evaluation
            return plain(self, model, inputs, return_outputs)
        return model(**inputs).loss / self.current_gradient_accumulation_steps

    with mock.patch.object(PolymodalTrainer, "compute_loss", mean):
        halves = fit(sparse, tmp_path / "halves", train__batch_size=8,
                     train__gradient_accumulation_steps=2, **more)  # fmt: skip
    assert largest_difference(whole, halves) > 2e-4


def parts_of(case, targets, rows):
    cut = (slice(0, 3), slice(3, None))
    return [{**collate(rows[s]), "targets": {n: t[s] for n, t in targets.items()}} for s in cut]


@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_parts_of_a_step_add_up_to_its_loss(weighting, weighted):
    torch.manual_seed(0)
    case = make_case("fusion", "concat")
    case.model.weighting = WEIGHTINGS[weighting]({n: h.variance_factor for n, h in case.model.named_heads()})
    for parameter in case.model.weighting.parameters():
        parameter.data += torch.tensor([0.3, -0.5])
    rows = case.rows()
    targets = case.answers(len(rows))
    targets["half"][:3] = torch.nan
    weight = 1e-6 * (torch.arange(len(rows)) % 4) if weighted else None
    whole = case.model(**collate(rows), targets=targets, weight=weight).loss
    parts = parts_of(case, targets, rows)
    for part, cut in zip(parts, (slice(0, 3), slice(3, None)), strict=True):
        part |= {} if weight is None else {"weight": weight[cut]}
    totals = step_normalizers(dict(case.model.named_heads()), parts, torch.device("cpu"))
    each = torch.ones(len(rows)) if weight is None else weight
    torch.testing.assert_close(totals["half"], each[~targets["half"].isnan()].sum())
    losses = [case.model(**part, normalizers=totals).loss for part in parts]
    torch.testing.assert_close(sum(losses), whole)


def test_a_target_that_is_empty_in_a_whole_step_has_no_part_in_it():
    case = make_case("fusion", "concat")
    rows = case.rows()
    targets = case.answers(len(rows))
    targets["half"] = torch.full((len(rows),), torch.nan)
    parts = parts_of(case, targets, rows)
    totals = step_normalizers(dict(case.model.named_heads()), parts, torch.device("cpu"))
    output = case.model(**parts[0], normalizers=totals)
    share = (targets["type"][:3] >= 0).sum() / totals["type"]
    assert totals["half"] == 0 and output.loss.isfinite()
    torch.testing.assert_close(output.loss, output.losses["type"] * share)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write_houses(folder)
    for name in ("bert", "resnet"):
        CHECKPOINTS[name].save(folder / "models" / name)
    return folder


TRANSFORMERS = {
    "pretrained": {"inputs__note__encoder": "models/bert"},
    "adapters": {"inputs__note__encoder": "models/bert", "inputs__note__lora": "{dropout: 0.1}"},
    "last layers": {"inputs__note__encoder": "models/bert", "inputs__note__unfreeze_last": 1},
    "from scratch": {"inputs__note__encoder": "{type: bert, hidden_size: 16, num_attention_heads: 2}"},
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, "gradient_checkpointing") for kind in TRANSFORMERS),
        ("pretrained", "activation_checkpointing"),
    ],
)
def test_layers_that_are_computed_again_give_the_same_weights(base, tmp_path, monkeypatch, kind, name):
    monkeypatch.chdir(base)
    more = {"inputs": ("note", "bedrooms"), "train__learning_rate": 0.01, **TRANSFORMERS[kind]}
    plain = fit("houses.csv", tmp_path / "plain", **more)
    calls = []
    forward = GradientCheckpointingLayer.__call__

    def spy(self, *args, **kwargs):
        calls.append(self.gradient_checkpointing and self.training)
        return forward(self, *args, **kwargs)

    with mock.patch.object(GradientCheckpointingLayer, "__call__", spy):
        again = fit("houses.csv", tmp_path / "again", **{f"train__{name}": "true"}, **more)
    assert any(calls)
    assert all(torch.equal(value, again[name]) for name, value in plain.items())


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ("photo: {modality: image}, bedrooms: {modality: number}", "'photo' is read by resnet"),
        ("photo: {modality: image, encoder: models/resnet}", "'photo' is read by resnet"),
        ("bedrooms: {modality: number}", "no input is read by one"),
    ],
)
def test_computing_again_is_refused_where_there_is_nothing_to(base, tmp_path, inputs, found):
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    (tmp_path / "run.yaml").write_text(
        f"data: {{train: houses.csv}}\ntargets: {{kind: {{}}}}\ninputs: {{{inputs}}}\n"
        "train:\n  gradient_checkpointing: true\n"
    )
    said = error(tmp_path, "fit", "run.yaml", "-o", "run")
    assert said.startswith(
        f"run.yaml, line 5: gradient checkpointing computes Transformer layers again: {found}. Leave it out"
    )


def test_a_model_of_both_kinds_computes_again_what_it_can(base, tmp_path, monkeypatch):
    monkeypatch.chdir(base)
    fit("houses.csv", tmp_path / "run", inputs=("photo", "note"), train__gradient_checkpointing="true")
    assert not hf.ResNetModel.supports_gradient_checkpointing
