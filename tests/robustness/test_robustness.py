"""Curves against missing cells and noise: their ends are the plain scores, and their slopes make sense."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch

import polymodal as pm
from polymodal.answers.batches import Measure
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers.frozen_reader import FrozenReader
from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import read_table
from polymodal.importance.subsets import embed_rows
from polymodal.models.encoders import NumberEncoder
from polymodal.models.inference import ModelAnswers
from polymodal.models.outputs import EmbeddedInput
from polymodal.robustness import missing_curves, noise_curves
from polymodal.robustness.corruptions import LEVELS
from polymodal.robustness.curves import Curve, effective_robustness, relative_robustness
from polymodal.robustness.missing_cells import SHARES
from polymodal.tasks import score_of
from tests.support.component_cases import BERT
from tests.support.tables import house_rows

WORDS = {"no": "cold rain and grey wind", "yes": "warm sun and blue sky"}
FIGURE = {"value", "low", "high"}


def some_rows(count: int = 200, empty: float = 0.0) -> list[dict]:
    """The label hangs on ``x`` and the amount on the words of ``note``; ``y`` says nothing of either."""
    random = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        x, kind = float(random.normal(3, 2)), str(random.choice(list(WORDS)))
        row = {"x": x, "y": float(random.normal()), "note": " ".join(random.permutation(WORDS[kind].split()))}
        row |= {name: None for name in row if random.random() < empty}
        amount = 10.0 * (kind == "yes") + float(random.normal(0, 0.1))
        rows.append({**row, "label": ("low", "high")[x > 3], "amount": amount})
    return rows


@cache
def fitted(*names: str):
    """A model of the inputs ``names``, trained for a second, and its processor."""
    rows = some_rows(300, empty=0.1)
    torch.manual_seed(0)
    # The tokenizer that the processor trains holds less than a thousand words.
    encoders = {
        name: pm.TextEncoder(vocab_size=1000, tokens=8, **BERT)
        if name == "note"
        else NumberEncoder(features=17)
        for name in names
    }
    model = pm.PolymodalModel.from_parts(
        encoders,
        pm.FeatureFusion("concat", width=16),
        {"label": pm.Classifier(["low", "high"]), "amount": pm.Regressor(mean=5.0, deviation=5.0)},
    )
    processor = PolymodalProcessor.for_model(model, rows)
    batch, optimizer = processor(rows), torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(120):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return model.eval(), processor


def dataset(processor, rows) -> RowDataset:
    return RowDataset(read_table(rows), processor, targets=list(processor.targets))


def scores_of(model):
    return {name: score_of(head) for name, head in model.named_heads()}


def plain(model, rows: RowDataset) -> dict[str, float]:
    """The scores as the metrics have them."""
    answerer = ModelAnswers(model)
    measure = Measure(answerer.decoders)
    for batch in answerer.batches(rows, 64):
        measure.add(batch)
    found = measure.metrics()
    return {"label": found["label"]["accuracy"], "amount": found["amount"]["r2"]}


def without(rows, *names):
    return [{**row, **dict.fromkeys(names)} for row in rows]


def values(entries) -> list[float]:
    return [entry["value"] for entry in entries]


@pytest.mark.parametrize("empty", [0.0, 0.3])
def test_the_ends_of_the_missing_curves_are_the_scores_with_all_and_without(empty):
    model, processor = fitted("x", "y", "note")
    rows = some_rows(empty=empty)
    found = missing_curves(model, dataset(processor, rows), scores_of(model))
    whole = plain(model, dataset(processor, rows))
    assert found["rows"] == len(rows)
    for name in ("x", "y", "note"):
        lacking = plain(model, dataset(processor, without(rows, name)))
        for target, figures in found["targets"].items():
            curve = figures["missing"][name]
            assert [entry["share"] for entry in curve] == list(SHARES)
            assert curve[0]["value"] == pytest.approx(whole[target], abs=1e-5)
            assert curve[-1]["value"] == pytest.approx(lacking[target], abs=1e-5)
    # A table without a single cell is none that can be read; one row that says nothing stands for all.
    blind = RowDataset(
        read_table(without(rows, "x", "y", "note")), processor, targets=list(processor.targets)
    )
    nothing = plain(model, blind)
    for target, figures in found["targets"].items():
        assert figures["together"][0]["value"] == pytest.approx(whole[target], abs=1e-5)
        assert figures["together"][-1]["value"] == pytest.approx(nothing[target], abs=1e-5)
    json.dumps(found, allow_nan=False)


def test_between_the_ends_the_share_of_cells_is_missing_in_all_inputs_alike():
    model, processor = fitted("x", "y", "note")
    rows = some_rows()
    found = missing_curves(model, dataset(processor, rows), scores_of(model), seed=4)
    random = np.random.default_rng(4)
    ranks = {name: random.permutation(len(rows)) / len(rows) for name in ("x", "y", "note")}
    for place, share in enumerate(SHARES):
        taken = [
            {**row, **{name: None for name in ranks if ranks[name][number] < share}}
            for number, row in enumerate(rows)
        ]
        assert sum(row["x"] is None for row in taken) == round(share * len(rows))
        expected = plain(model, dataset(processor, taken))
        for target, value in expected.items():
            together = found["targets"][target]["together"]
            assert together[place]["value"] == pytest.approx(value, abs=1e-5)
    x_alone = [
        {**row, **({"x": None} if ranks["x"][number] < 0.4 else {})} for number, row in enumerate(rows)
    ]
    label = found["targets"]["label"]["missing"]["x"][2]
    assert label["value"] == pytest.approx(plain(model, dataset(processor, x_alone))["label"], abs=1e-5)


def test_what_the_label_hangs_on_counts_and_the_rest_does_not():
    model, processor = fitted("x", "y", "note")
    rows = dataset(processor, some_rows())
    for found, key in ((missing_curves, "missing"), (noise_curves, "noise")):
        figures = found(model, rows, scores_of(model))["targets"]
        label, amount = figures["label"], figures["amount"]
        curves = {
            name: label[key][name] if key == "missing" else next(iter(label[key][name].values()))
            for name in ("x", "y", "note")
        }
        assert values(curves["x"])[0] > 0.9 and values(curves["x"])[-1] < values(curves["x"])[0] - 0.1
        for other in ("y", "note"):
            assert values(curves[other])[-1] > values(curves[other])[0] - 0.05
        amounts = amount[key]["note"] if key == "missing" else amount[key]["note"]["dropped_words"]
        assert values(amounts)[0] > 0.8 and values(amounts)[-1] < values(amounts)[0] - 0.1


def test_the_noise_curves_start_at_the_plain_score_and_say_what_was_done():
    model, processor = fitted("x", "y", "note")
    rows = some_rows(80, empty=0.2)
    found = noise_curves(model, dataset(processor, rows), scores_of(model), levels=3)
    whole = plain(model, dataset(processor, rows))
    assert found["rows"] == 80
    having = {name: sum(row[name] is not None for row in rows) for name in ("x", "y", "note")}
    corruptions = {"x": 1, "y": 1, "note": 2}
    assert found["encoded"] == {name: count * (1 + 3 * corruptions[name]) for name, count in having.items()}
    for target, figures in found["targets"].items():
        assert set(figures) == {
            "score", "rows", "groups", "noise", "without", "relative", "effective",
        }  # fmt: skip
        assert set(figures["noise"]["note"]) == {"typing", "dropped_words"}
        for name, curves in figures["noise"].items():
            assert figures["without"][name]["value"] == pytest.approx(
                plain(model, dataset(processor, without(rows, name)))[target], abs=1e-5
            )
            for corruption, curve in curves.items():
                assert [entry["level"] for entry in curve] == [0, 1, 2, 3]
                assert curve[0]["strength"] is None and curve[1]["strength"] > 0
                assert {"strength", "unit", "level"} | FIGURE == set(curve[1])
                assert curve[0]["value"] == pytest.approx(whole[target], abs=1e-5)
                assert set(figures["relative"][name][corruption]) == FIGURE
                assert set(figures["effective"][name][corruption]) == FIGURE
    json.dumps(found, allow_nan=False)


def test_curves_repeat_and_only_so_many_rows_are_made_worse():
    model, processor = fitted("x", "y", "note")
    rows = dataset(processor, some_rows())
    first, again = (noise_curves(model, rows, scores_of(model), most_rows=40, levels=1) for _ in range(2))
    assert first == again and first["rows"] == 40
    other = noise_curves(model, rows, scores_of(model), most_rows=40, levels=1, seed=1)
    assert other != first
    assert missing_curves(model, rows, scores_of(model)) == missing_curves(model, rows, scores_of(model))


def test_a_model_of_one_input_has_no_fusion_to_be_judged():
    model, processor = fitted("x")
    rows = dataset(processor, some_rows(100))
    missing = missing_curves(model, rows, scores_of(model))["targets"]["label"]
    noise = noise_curves(model, rows, scores_of(model))["targets"]["label"]
    assert missing["effective"] == {} and noise["effective"] == {}
    assert missing["together"] == missing["missing"]["x"]
    assert noise["without"]["x"]["value"] == missing["missing"]["x"][-1]["value"]
    assert values(noise["noise"]["x"]["jitter"])[-1] < values(noise["noise"]["x"]["jitter"])[0]


def test_a_column_that_is_not_there_changes_nothing_when_it_is_made_worse():
    model, processor = fitted("x", "y", "note")
    rows = [{key: row[key] for key in row if key != "note"} for row in some_rows(60)]
    found = noise_curves(model, dataset(processor, rows), scores_of(model), levels=2)
    assert found["encoded"]["note"] == 0
    for figures in found["targets"].values():
        assert len(set(values(figures["noise"]["note"]["typing"]))) == 1


def test_a_target_that_no_row_knows_is_left_out_and_unknown_rows_do_not_count():
    model, processor = fitted("x", "y", "note")
    rows = [
        row | {"amount": None} | ({"label": None} if n < 10 else {}) for n, row in enumerate(some_rows(50))
    ]
    for found in (missing_curves, noise_curves):
        targets = found(model, dataset(processor, rows), scores_of(model))["targets"]
        assert list(targets) == ["label"] and targets["label"]["rows"] == 40


def test_rows_that_cannot_be_read_are_left_out_where_they_may_be():
    model, processor = fitted("x", "y", "note")
    rows = [row | {"y": str(row["y"])} for row in some_rows(30)]
    rows[3]["y"] = "about four"
    data = RowDataset(read_table(rows), processor, targets=list(processor.targets), skip=True)
    for found in (missing_curves(model, data, scores_of(model)), noise_curves(model, data, scores_of(model))):
        assert found["rows"] == 30 and found["targets"]["label"]["rows"] == 29


def test_rows_of_a_group_are_drawn_together():
    model, processor = fitted("x", "y", "note")
    rows = dataset(processor, some_rows(60))
    groups = np.arange(60) // 3
    for found in (missing_curves, noise_curves):
        assert found(model, rows, scores_of(model), groups=groups)["targets"]["label"]["groups"] == 20


@pytest.mark.parametrize("levels", [0, LEVELS + 1])
def test_a_level_that_is_none_is_refused(levels):
    model, processor = fitted("x")
    with pytest.raises(ValueError, match="expected 1 to 5"):
        noise_curves(model, dataset(processor, some_rows(10)), scores_of(model), levels=levels)


def test_pictures_sounds_texts_numbers_and_categories_of_a_table(tmp_path):
    rows = house_rows(tmp_path, rows=24, empty=0.2)
    small = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    model = pm.PolymodalModel.from_parts(
        {
            "photo": pm.ImageEncoder("resnet", size=16, tokens=4, **small),
            "voice": pm.AudioEncoder("resnet", rate=4000, seconds=0.1, bins=16, tokens=4, **small),
            "note": pm.TextEncoder(vocab_size=1000, tokens=6, **BERT),
            "bedrooms": NumberEncoder(features=7),
            "district": pm.CategoryEncoder(categories=3),
        },
        pm.FeatureFusion("transformer", width=16, heads=2),
        {"kind": pm.Classifier(["flat", "house"])},
    ).eval()
    processor = PolymodalProcessor.for_model(model, rows)
    (tmp_path / "t.json").write_text(json.dumps(rows))
    data = RowDataset(read_table(tmp_path / "t.json"), processor, targets=["kind"])
    found = noise_curves(model, data, scores_of(model), levels=2)["targets"]["kind"]
    assert {name: sorted(curves) for name, curves in found["noise"].items()} == {
        "photo": ["blur", "jpeg", "noise", "occlusion"],
        "voice": ["clipping", "gaps", "noise"],
        "note": ["dropped_words", "typing"],
        "bedrooms": ["jitter"],
        "district": ["exchange"],
    }
    missing = missing_curves(model, data, scores_of(model))["targets"]["kind"]
    assert list(missing["missing"]) == list(found["noise"])


def test_tokens_that_a_frozen_encoder_made_are_made_anew_of_what_is_worse():
    model, processor = fitted("x", "y", "note")
    reader = processor.readers["note"]

    def encode(items):
        values = reader.collate(items)
        with torch.inference_mode():
            encoded = model.model.encoders[2](row=torch.arange(len(items)), **values)
        return [t[m].numpy() for t, m in zip(encoded.tokens, encoded.mask, strict=True)]

    frozen = PolymodalProcessor(
        processor.readers | {"note": FrozenReader(reader, encode, b"", 8)}, processor.targets
    )
    rows = some_rows(60)
    found = [noise_curves(model, dataset(p, rows), scores_of(model), levels=2) for p in (processor, frozen)]
    for target in ("label", "amount"):
        own, made = (values(f["targets"][target]["noise"]["note"]["typing"]) for f in found)
        assert made == pytest.approx(own, abs=1e-4)


def test_inputs_of_different_lengths_are_mixed_row_by_row():
    long = EmbeddedInput(torch.ones(3, 4, 2), torch.ones(3, 4, dtype=torch.bool), torch.ones(3).bool())
    short = EmbeddedInput(torch.zeros(3, 1, 2), torch.ones(3, 1, dtype=torch.bool), torch.zeros(3).bool())
    where = torch.tensor([True, False, True])
    for mixed in (long.replaced(where, short), short.replaced(~where, long)):
        assert mixed.mask.sum(dim=1).tolist() == [1, 4, 1]
        assert mixed.tokens[:, 0, 0].tolist() == [0, 1, 0]
        assert mixed.present.tolist() == [False, True, False]


def test_other_rows_keep_what_they_have():
    model, processor = fitted("x", "y", "note")
    (batch,) = embed_rows(model, dataset(processor, some_rows(6)))
    where = torch.tensor([True, False, False, True, False, False])
    mixed = batch.lacking({"note": where})
    assert mixed["x"] is batch.embedded["x"]
    torch.testing.assert_close(mixed["note"].tokens[~where], batch.embedded["note"].tokens[~where])
    assert mixed["note"].present.tolist() == (~where).tolist()


def test_relative_and_effective_robustness_are_the_areas_they_say():
    severity = np.array([0.0, 0.5, 1.0])
    points, late = np.array([0.8, 0.6, 0.4]), np.array([0.9, 0.5, 0.3])
    own = Curve(points, np.stack([points, points]))
    reference = Curve(late, np.stack([late, late]))
    assert relative_robustness(own, severity)["value"] == pytest.approx(0.6 / 0.8)
    # MultiBench's gaps to late fusion set to the same start: 0, 0.2, 0.2
    assert effective_robustness(own, reference, severity)["value"] == pytest.approx(0.15)
    flat = Curve(np.full(3, 0.7), np.full((2, 3), 0.7))
    assert relative_robustness(flat, severity)["value"] == pytest.approx(1.0)
    below = Curve(-points, -np.stack([points, points]))
    assert relative_robustness(below, severity) == {"value": None, "low": None, "high": None}
