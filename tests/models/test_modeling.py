"""Models by hand: parts, sharing, saving, and the road from rows to a falling loss."""

from __future__ import annotations

import json
import wave

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import polymodal as pm
from polymodal.errors import ConfigError, RunError
from polymodal.models.fusion import FUSIONS
from tests.support.component_cases import BERT, CNN, collate, make_case


def write_sound(path, pitch, rate=8000):
    samples = (8000 * np.sin(2 * np.pi * pitch * np.arange(rate // 4) / rate)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())


def write_rows(folder):
    """Eight rows of real files: what is bright, high and praised is happy; some cells are empty."""
    rows = []
    for place in range(8):
        happy = place % 2
        shade = np.full((12, 10, 3), 60 + 130 * happy + place, dtype=np.uint8)
        Image.fromarray(shade).save(folder / f"{place}.png")
        write_sound(folder / f"{place}.wav", 300 + 900 * happy)
        row = {
            "review": ["dull and long", "a joy to see"][happy],
            "photo": f"{place}.png",
            "voice": f"{place}.wav",
        }
        missing = [None, "review", "photo", "voice"][place // 2]
        rows.append({name: None if name == missing else cell for name, cell in row.items()})
        rows[-1] |= {"mood": happy, "score": 2.0 * happy - 1 if place != 3 else None}
    return rows


def test_the_designs_example_learns_in_a_plain_loop(tmp_path):
    torch.manual_seed(0)
    model = pm.PolymodalModel.from_parts(
        encoders={
            "review": pm.TextEncoder("bert", **BERT),
            "photo": pm.ImageEncoder("resnet", size=16, **CNN),
            "voice": pm.AudioEncoder("resnet", rate=8000, seconds=0.3, bins=16, **CNN),
        },
        fusion=pm.FeatureFusion("bottleneck", width=32, layers=2),
        heads={"mood": pm.Classifier(classes=2), "score": pm.Regressor()},
    )
    rows = write_rows(tmp_path)
    batch = pm.PolymodalProcessor.for_model(model)(rows, tmp_path)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        output = model(**batch)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(output.loss.item())
    assert losses[-1] < 0.3 * losses[0]
    output = model.eval()(**batch)
    assert output.logits["mood"].argmax(dim=1).tolist() == [row["mood"] for row in rows]
    assert output.fused.shape == (8, 32) and set(output.embeddings) == {"review", "photo", "voice"}
    assert output.present.sum() == 8 * 3 - 6


def test_a_model_without_heads_gives_vectors(tmp_path):
    model = pm.PolymodalModel.from_parts(
        {"a": pm.NumberEncoder(features=1)}, pm.FeatureFusion("concat", width=8)
    )
    batch = pm.PolymodalProcessor.for_model(model)([{"a": 1}, {"a": None}])
    output = model.eval()(**batch)
    assert isinstance(model, pm.PolymodalModel) and output.loss is None and output.logits is None
    model.save_pretrained(tmp_path)
    again = pm.PolymodalModel.from_pretrained(tmp_path)
    assert torch.equal(again(**batch).fused, output.fused)


def test_a_shared_encoder_is_stored_once_and_stays_shared(tmp_path):
    encoder = pm.NumberEncoder(features=1)
    model = pm.PolymodalModel.from_parts({"b": encoder, "a": encoder}, heads={"y": pm.Classifier(2)})
    model.save_pretrained(tmp_path)
    again = pm.PolymodalForPrediction.from_pretrained(tmp_path)
    assert len(model.model.encoders) == len(again.model.encoders) == 1
    assert again.model.encoder_of == {"b": 0, "a": 0}


def test_the_configuration_holds_no_path_and_keeps_the_order(tmp_path):
    case = make_case("fusion", "concat", ["z", "a", "m", "c", "b"])
    case.model.save_pretrained(tmp_path)
    config = pm.PolymodalConfig.from_pretrained(tmp_path)
    assert config.input_names == ["z", "a", "m", "c", "b"] and config.head_names == ["type", "half"]
    assert str(tmp_path.parent) not in (tmp_path / "config.json").read_text()
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "polymodal"


def test_a_missing_weight_starts_as_its_module_starts_it(tmp_path):
    case = make_case("encoder", "number")
    case.model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    kept = {name: value for name, value in weights.items() if "embedding.segment" not in name}
    save_file(kept, path, metadata={"format": "pt"})
    model, report = pm.PolymodalForPrediction.from_pretrained(tmp_path, output_loading_info=True)
    assert len(report["missing_keys"]) == 1
    assert model.model.embedding.segment.weight.isfinite().all()
    assert model.model.embedding.segment.weight.any()


def test_a_loaded_model_can_be_saved_over_itself(tmp_path):
    case = make_case("fusion", "transformer")
    case.model.save_pretrained(tmp_path)
    loaded = pm.PolymodalForPrediction.from_pretrained(tmp_path)
    with torch.no_grad():
        loaded.model.embedding.missing.weight.add_(1.0)
    loaded.save_pretrained(tmp_path)
    batch = collate(case.rows())
    again = pm.PolymodalForPrediction.from_pretrained(tmp_path)
    assert torch.equal(again(**batch).fused, loaded(**batch).fused)


def test_half_precision_runs_where_a_gpu_would_use_it():
    for name in FUSIONS:
        case = make_case("fusion", name)
        rows = case.rows()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = case.model(**collate(rows), targets=case.answers(len(rows)))
        output.loss.backward()
        assert output.loss.dtype == torch.float32 and output.loss.isfinite()


WRONG = {
    "an unknown fusion": (
        lambda: pm.FeatureFusion("botleneck"),
        "no fusion named 'botleneck'. Did you mean 'bottleneck'",
    ),
    "an unknown option": (
        lambda: pm.FeatureFusion("concat", layers=2),
        "the fusion 'concat' has no option 'layers'.*dropout",
    ),
    "heads that do not divide": (
        lambda: bound("transformer", width=10),
        "4 heads do not divide the width 10",
    ),
    "no layers": (lambda: bound("transformer", layers=0), "layers is 0, expected at least 1"),
    "no bottleneck": (lambda: bound("bottleneck", bottlenecks=0), "bottlenecks is 0"),
    "no heads": (lambda: bound("transformer", heads=0), "0 heads"),
    "an option of a wrong type": (lambda: bound("transformer", layers="2"), "'transformer' cannot be built"),
    "a dropout above one": (lambda: bound("concat", dropout=2.0), "'concat' cannot be built"),
    "no input": (lambda: pm.PolymodalModel.from_parts({}), "at least one input"),
}


def bound(name, **options):
    return pm.FeatureFusion(name, inputs=["a", "b"], **options)


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_told(mistake):
    make, message = WRONG[mistake]
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_fusion_that_knows_no_inputs_says_so():
    with pytest.raises(ValueError, match="call bind"):
        pm.FeatureFusion("concat")({})


def test_a_loaded_model_is_fed_by_the_processor_beside_it(tmp_path):
    model = pm.PolymodalModel.from_parts({"a": pm.NumberEncoder(features=4)}, heads={"y": pm.Regressor()})
    rows = [{"a": value, "y": 0} for value in (1, 2, 5, 100)]
    processor = pm.PolymodalProcessor.for_model(model, rows)
    model.save_pretrained(tmp_path)
    loaded = pm.PolymodalForPrediction.from_pretrained(tmp_path)
    with pytest.raises(RunError, match="no readable processor_config"):
        pm.PolymodalProcessor.for_model(loaded)
    processor.save_pretrained(tmp_path)
    values = [p(rows)["inputs"]["a"]["value"] for p in (processor, pm.PolymodalProcessor.for_model(loaded))]
    assert torch.equal(*values)
    assert values[0].shape == (4, 4) and values[0].isfinite().all()


def test_training_rows_teach_a_processor_made_by_hand():
    review = pm.TextEncoder(**BERT)
    model = pm.PolymodalModel.from_parts(
        {
            "review": review,
            "note": review,
            "town": pm.CategoryEncoder(categories=2),
            "rooms": pm.NumberEncoder(features=5),
        }
    )
    rows = [
        {"review": "whatever you like", "note": "lovely whatever", "town": "Oslo", "rooms": 2},
        {"review": "whatever you like", "note": "lovely whatever", "town": "Rome", "rooms": "4"},
        {"review": None, "note": None, "town": None, "rooms": None},
    ]
    processor = pm.PolymodalProcessor.for_model(model, rows)
    inputs = processor(rows)["inputs"]
    assert processor.readers["town"].categories == ["Oslo", "Rome"]
    assert processor.readers["review"] is processor.readers["note"]
    assert inputs["note"]["input_ids"].shape[1] == 3  # [CLS] and two whole words: both columns were read
    assert inputs["rooms"]["value"].shape == (2, 5)
    torch.testing.assert_close(inputs["rooms"]["value"][:, 0], torch.tensor([-1.0, 1.0]))
