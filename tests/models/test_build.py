"""From a declaration and its processor to a model that fits them."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from polymodal.config.parsing import parse
from polymodal.data.preparation import prepare_rows
from polymodal.data.processor import for_batches
from polymodal.data.tables.table import read_table
from polymodal.errors import ConfigError
from polymodal.models.build import build_encoders, build_model
from polymodal.models.encoders import ENCODERS, NumberEncoder
from tests.support.component_cases import BERT, CNN

COLUMNS = {
    "note": ["a red house", "a blue house", None, "a red boat"],
    "remark": ["a boat", None, "a house", "a car"],
    "town": ["Oslo", "Rome", "Oslo", None],
    "rooms": [1.0, 2.0, None, 5.0],
    "photo": [None] * 4,
    "kind": ["a", "b", "a", "a"],
    "price": [10.0, 100.0, 1000.0, None],
}
SMALL_TEXT = {"modality": "text", "encoder": {"type": "bert", **BERT}}
SMALL_IMAGE = {"modality": "image", "size": 32, "encoder": {"type": "resnet", **CNN}}
INPUTS = {
    "note": SMALL_TEXT,
    "remark": SMALL_TEXT,
    "photo": SMALL_IMAGE,
    "town": {"modality": "category"},
    "rooms": {"modality": "number"},
}
TARGETS = {
    "kind": {"task": "classification", "class_weights": "balanced"},
    "price": {"task": "regression", "transform": "log"},
}


def build(inputs=INPUTS, **fusion):
    """The model of a declaration over ``COLUMNS``, and its processor."""
    table = read_table(pd.DataFrame(COLUMNS), name="t")
    values = {"inputs": inputs, "targets": TARGETS, "fusion": {"name": "concat", "width": 16} | fusion}
    declaration = parse(values)
    processor = for_batches(prepare_rows(table, declaration.inputs, declaration.targets))
    answers = {
        name: [target.read(cell) for cell in COLUMNS[name]] for name, target in processor.targets.items()
    }
    return build_model(declaration, processor, {k: np.array(v) for k, v in answers.items()}), processor


def rows():
    names = list(COLUMNS)
    return [dict(zip(names, cells, strict=True)) for cells in zip(*COLUMNS.values(), strict=True)]


def test_a_declaration_becomes_a_model_that_its_processor_feeds():
    model, processor = build()
    batch = processor([*rows()[:3], rows()[3] | {"photo": Image.new("RGB", (9, 9)), "town": "Lima"}])
    output = model(**batch)
    output.loss.backward()
    assert model.config.input_names == list(INPUTS)
    assert model.model.encoder_of == {"note": 0, "remark": 0, "photo": 1, "town": 2, "rooms": 3}
    assert output.logits["kind"].shape == (4, 2) and output.logits["price"].shape == (4, 1)


def test_building_changes_no_reader_and_the_job_applies_what_encoders_need():
    table = read_table(pd.DataFrame(COLUMNS), name="t")
    declaration = parse({"inputs": INPUTS, "targets": TARGETS, "fusion": {"name": "concat", "width": 16}})
    processor = for_batches(prepare_rows(table, declaration.inputs, declaration.targets))
    assert processor.groups == {
        "note": "note",
        "remark": "note",
        "photo": "photo",
        "town": "town",
        "rooms": "rooms",
    }
    before = dict(processor.readers)
    encoders = build_encoders(declaration, processor)
    assert all(processor.readers[name] is reader for name, reader in before.items())
    assert encoders["note"] is encoders["remark"] and encoders["photo"].reader_settings == {
        "size": encoders["photo"].size
    }
    processor.change_readers({"note": {"max_length": 5}, "photo": encoders["photo"].reader_settings})
    assert processor.readers["photo"] is before["photo"], "it has these settings already"
    assert processor.readers["note"] is processor.readers["remark"] is not before["note"]
    assert (processor.readers["note"].max_length, before["note"].max_length) == (5, 128)


def test_heads_learn_their_scale_and_weights_from_the_training_answers():
    model, _ = build()
    price, kind = model.head("price"), model.head("kind")
    known = np.log1p([10.0, 100.0, 1000.0])
    assert (price.mean, price.deviation) == pytest.approx((known.mean(), known.std()))
    torch.testing.assert_close(kind.class_weights, torch.tensor([4 / 6, 2.0]))
    assert kind.classes == ["a", "b"]


def test_a_patch_encoder_and_its_reader_agree_on_the_size():
    vit = {"modality": "image", "size": 24, "encoder": {"type": "vit", "patch_size": 8, **BERT}}
    model, processor = build({"photo": vit, "rooms": {"modality": "number"}})
    assert model.model.encoders[0].size == processor.readers["photo"].size == 24
    assert model(**processor([{"photo": Image.new("RGB", (50, 50))}])).fused.isfinite().all()
    own = {"modality": "image", "encoder": {"type": "vit", "patch_size": 8, "image_size": 16, **BERT}}
    model, processor = build({"photo": own, "rooms": {"modality": "number"}})
    assert model.model.encoders[0].size == processor.readers["photo"].size == 16
    with pytest.raises(ConfigError, match="'size' cannot be 24: the encoder of 'photo' has 'image_size' 16"):
        build({"photo": own | {"size": 24}, "rooms": {"modality": "number"}})


def test_a_text_encoder_and_its_reader_agree_on_the_length():
    short = {"type": "bert", "max_position_embeddings": 6, **BERT}
    model, processor = build({"note": {"modality": "text", "encoder": short}})
    assert processor.readers["note"].max_length == 6
    assert model(**processor([{"note": "word " * 50}])).fused.isfinite().all()


def test_augmentation_is_for_what_is_trained_from_scratch(tmp_path):
    encoders = build()[0].model.encoders
    assert encoders[1].shift > 0
    plain, _ = build(INPUTS | {"photo": SMALL_IMAGE | {"augment": False}})
    assert plain.model.encoders[1].shift == 0


@pytest.fixture
def registered():
    @ENCODERS.register("squares")
    class Squares(NumberEncoder):
        """Somebody's own encoder of numbers."""

        def __init__(self, *, features: int, width: int = 8, power: int = 2) -> None:
            super().__init__(features=features, width=width)
            self.power = power

        def settings(self):
            return super().settings() | {"power": self.power}

        def forward(self, *, row, value):
            return super().forward(row=row, value=value**self.power)

    yield Squares
    del ENCODERS._entries["squares"]


def test_an_encoder_registered_by_a_user_is_built_by_its_name(registered, tmp_path):
    config = {"modality": "number", "encoder": {"type": "squares", "power": 3}}
    model, processor = build({"rooms": config})
    encoder = model.model.encoders[0]
    assert isinstance(encoder, registered) and encoder.power == 3
    assert encoder.features == processor.readers["rooms"].features  # told by the data, not by the user
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert isinstance(again.model.encoders[0], registered) and again.model.encoders[0].power == 3


def test_what_a_registered_encoder_refuses_is_told(registered):
    with pytest.raises(ConfigError, match=r"the encoder 'squares' refuses .*'colour'"):
        build({"rooms": {"modality": "number", "encoder": {"type": "squares", "colour": 1}}})
    with pytest.raises(ConfigError, match="the encoder 'squares' reads number, the input is text"):
        build({"note": {"modality": "text", "encoder": {"type": "squares"}}})


def test_an_unknown_fusion_option_is_told():
    with pytest.raises(ConfigError, match="the fusion 'concat' has no option 'bottlenecks'"):
        build(bottlenecks=3)
