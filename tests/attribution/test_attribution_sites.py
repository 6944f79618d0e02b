"""Ways into encoders of many kinds: found, or told that there is none; complete either way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import polymodal as pm
from polymodal.attribution.attribution_sites import find_inlets
from polymodal.attribution.baselines import baseline_values
from polymodal.attribution.explain import explain_rows
from polymodal.attribution.integrated_gradients import RowPath, attribute
from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import read_table
from polymodal.models.outputs import FusedState

BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TEXT = {
    "bert": BERT,
    "roberta": BERT,  # counts positions from its words' numbers
    "albert": BERT | {"embedding_size": 8},
    "longformer": BERT | {"attention_window": [4]},  # pads its words itself
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    "xlnet": {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16},  # has its words the other way round
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2},
}
VISION = {"image_size": 16, "patch_size": 4, **BERT}
PICTURES = {
    "vit": VISION,
    "dinov2": {key: value for key, value in VISION.items() if key != "intermediate_size"},
    "convnext": {"hidden_sizes": [8, 8], "depths": [1, 1], "num_stages": 2, "patch_size": 2},
}


def rows_for(encoder, cells):
    """An untrained model of ``encoder`` and of a number, and two rows for it."""
    table = [{"t": cell, "x": float(place)} for place, cell in enumerate(cells)]
    torch.manual_seed(0)
    model = pm.PolymodalModel.from_parts(
        {"t": encoder, "x": pm.NumberEncoder(width=8)},
        fusion=pm.FeatureFusion("transformer", width=16, layers=1, heads=2),
        heads={"y": pm.Regressor()},
    ).eval()
    return model, RowDataset(read_table(table), model.make_processor(table))


def complete(entry):
    """Whether an explanation's parts add up, measured against what its inputs have."""
    size = sum(abs(part.sum()) for part in entry.found.parts.values())
    return entry.found.error <= 0.02 * size


@pytest.mark.parametrize("kind", TEXT)
def test_words_are_found_behind_every_table_of_embeddings(kind):
    torch.manual_seed(0)
    encoder = pm.TextEncoder(kind, vocab_size=300, **TEXT[kind])
    model, rows = rows_for(encoder, ["alpha beta gamma", "gamma zeta"])
    (entry,) = explain_rows(model, rows, [0])
    assert [part.text for part in entry.inputs["t"].parts] == ["alpha", "beta", "gamma"]
    assert entry.inputs["t"].attribution != 0 and complete(entry)


@pytest.mark.parametrize("kind", PICTURES)
def test_pixels_in_whole_numbers_are_varied_as_what_the_encoder_makes_of_them(kind):
    torch.manual_seed(0)
    encoder = pm.ImageEncoder(kind, size=16, **PICTURES[kind])
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (16, 16, 3), dtype=np.uint8).tolist() for _ in range(2)]
    model, rows = rows_for(encoder, pictures)
    (entry,) = explain_rows(model, rows, [1])
    assert len(entry.inputs["t"].parts) == 64 and complete(entry)
    (inlet,), _ = find_inlets(
        "t", encoder, rows.processor.readers["t"], rows.processor.collate([rows[1]["cells"]])["t"]
    )
    assert inlet.baseline.unique().tolist() == [-1.0]  # black


def test_an_encoder_without_a_way_in_is_told_and_the_rest_stays_complete():
    torch.manual_seed(0)
    encoder = pm.TextEncoder("bert", vocab_size=300, **BERT)
    model, rows = rows_for(encoder, ["alpha beta gamma", "gamma zeta"])
    encoder.forward = torch.no_grad()(encoder.forward)
    (entry,) = explain_rows(model, rows, [1])
    text = entry.inputs["t"]
    assert "lets no gradient through" in text.note and not text.parts
    assert np.isnan(text.attribution) and np.isfinite(text.share)
    assert entry.inputs["x"].attribution != 0 and complete(entry)


def test_whole_numbers_that_no_table_of_vectors_holds_are_told():
    torch.manual_seed(0)
    encoder = pm.TextEncoder("ibert", vocab_size=300, **BERT)  # its table is one of its own kind
    model, rows = rows_for(encoder, ["alpha beta gamma", "gamma zeta"])
    (entry,) = explain_rows(model, rows, [1])
    assert "in no table of vectors" in entry.inputs["t"].note and complete(entry)


class Beside(pm.FeatureFusion):
    """Stands in the place of a fusion: every input's mean token, one behind another."""

    def __init__(self):
        nn.Module.__init__(self)

    def forward(self, embedded):
        return FusedState(torch.cat([entry.tokens.mean(dim=1) for entry in embedded.values()], dim=1))


def test_of_a_linear_model_of_two_inputs_it_is_weight_times_distance():
    torch.manual_seed(0)
    numbers = {name: pm.NumberEncoder(features=3, width=4) for name in ("a", "b")}
    model = pm.PolymodalModel.from_parts(
        numbers,
        fusion=pm.FeatureFusion("transformer", width=4, layers=1, heads=2),
        heads={"price": pm.Regressor(mean=10.0, deviation=2.0)},
    ).eval()
    for encoder in numbers.values():
        encoder.net = nn.Linear(3, 4)
    model.model.embedding.norm, model.model.fusion = nn.Identity(), Beside()
    head = model.head("price")
    head.out = nn.Linear(8, 1)
    table = [{"a": 1.0, "b": -2.0}, {"a": 3.0, "b": 0.5}, {"a": -1.0, "b": 4.0}]
    rows = RowDataset(read_table(table), model.make_processor(table))
    inputs, readers = rows.processor.collate([rows[1]["cells"]]), rows.processor.readers
    inlets = [inlet for n in numbers for inlet in find_inlets(n, numbers[n], readers[n], inputs[n])[0]]
    found = attribute(RowPath(model, inputs, inlets), head, 0)
    for place, name in enumerate(numbers):
        weight = 2.0 * head.out.weight[0, 4 * place : 4 * place + 4] @ numbers[name].net.weight
        far = inputs[name]["value"] - baseline_values(readers[name], inputs[name])["value"]
        expected = (weight * far)[0].detach().numpy()
        np.testing.assert_allclose(found.parts[name, "value"][0], expected, atol=1e-5)
    assert found.total == pytest.approx(found.value - found.base, abs=1e-4) and found.error < 1e-4
