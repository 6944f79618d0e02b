"""What every registered featurizer keeps to."""

import json

import numpy as np
import pytest

from polymodal.data.readers import READERS
from polymodal.errors import ConfigError, RunError
from polymodal.plain.blocks import Block
from polymodal.plain.features import FEATURIZERS, Featurizer, featurizer_of
from polymodal.plain.sparse import Sparse

ROWS = 60
rng = np.random.default_rng(0)
WORDS = ["red", "blue", "green", "Haus", "42", "!", "今日は雨", "สวัสดี", "नमस्ते", "a"]


def tone(number: int) -> np.ndarray:
    time = np.arange(400 + 137 * (number % 9)) / 8000
    return np.sin(2 * np.pi * (120 + 10 * number) * time).astype(np.float32) / 4


ITEMS = {
    "text": [" ".join(rng.choice(WORDS, 1 + number % 7)) for number in range(ROWS)],
    "image": list(rng.integers(0, 256, (ROWS, 3, 24, 24)).astype(np.uint8)),
    "audio": [tone(number) for number in range(ROWS)],
    "video": list(rng.integers(0, 256, (ROWS, 3, 3, 24, 24)).astype(np.uint8)),
    "sequence": [rng.normal(size=(1 + number % 12, 2)).astype(np.float32) for number in range(ROWS)],
    "number": rng.normal(size=ROWS).tolist(),
    "category": [number % 4 + 1 for number in range(ROWS)],
    "categories": [np.arange(1, 1 + number % 5) for number in range(ROWS)],
    "date": (rng.random(ROWS) * 2e9).tolist(),
    "vector": list(rng.normal(size=(ROWS, 6)).astype(np.float32)),
}
CONSTANT = {
    "text": ["", " ", "same"],
    "image": [np.zeros((3, 24, 24), np.uint8), np.full((3, 24, 24), 255, np.uint8)],
    "audio": [np.zeros(0, np.float32), np.zeros(5, np.float32), np.ones(4000, np.float32)],
    "video": [np.zeros((1, 3, 24, 24), np.uint8), np.full((3, 3, 24, 24), 255, np.uint8)],
    "sequence": [np.zeros((1, 2), np.float32), np.ones((9, 2), np.float32)],
    "number": [0.0, 1e300, -1e300],
    "category": [1],
    "categories": [np.zeros(0, np.int64), np.array([1])],
    "date": [0.0, -1e10],
    "vector": [np.zeros(6, np.float32), np.full(6, 1e30, np.float32)],
}
"""Items without variation, some without content."""
NAMES = list(FEATURIZERS)


def featurizer(modality: str, items: list | None = None) -> Featurizer:
    """Fitted on one item per row."""
    return FEATURIZERS[modality]().fit([[item] for item in ITEMS[modality]] if items is None else items)


def values(block: Block) -> np.ndarray:
    return block.values.toarray() if isinstance(block.values, Sparse) else block.values


def assert_equal_blocks(one: dict[str, Block], other: dict[str, Block]) -> None:
    assert one.keys() == other.keys()
    for part, block in one.items():
        assert block.columns == other[part].columns
        np.testing.assert_array_equal(block.present, other[part].present)
        np.testing.assert_allclose(values(block), values(other[part]), atol=1e-5)


def test_each_modality_has_a_featurizer_or_none_by_default():
    assert {*ITEMS} == {*NAMES} <= {*READERS, "vector"}
    assert featurizer_of("a modality of another package") is None
    with pytest.raises(ConfigError):
        FEATURIZERS["a modality of another package"]


@pytest.mark.parametrize("modality", NAMES)
class TestEveryFeaturizer:
    def test_blocks_are_float32_finite_and_named(self, modality):
        fitted = featurizer(modality)
        blocks = fitted.blocks([[item] for item in ITEMS[modality]])
        assert blocks.keys() == fitted.columns.keys() and blocks
        for block in blocks.values():
            assert block.values.dtype == np.float32 and block.present.all()
            assert np.isfinite(values(block)).all()
            assert len(set(block.columns.names)) == len(block.columns.names)
            assert all(block.columns.names)

    def test_a_missing_row_is_a_value_and_changes_no_other(self, modality):
        fitted, items = featurizer(modality), ITEMS[modality][:3]
        whole = fitted.blocks([[item] for item in items])
        for part, block in fitted.blocks([[items[0]], [], [items[2]]]).items():
            assert block.present.tolist() == [True, False, True]
            empty = values(block)[1]
            assert (empty == 0).all() if block.columns.kind == "sparse" else np.isnan(empty).all()
            np.testing.assert_allclose(values(block)[[0, 2]], values(whole[part])[[0, 2]], atol=1e-5)

    def test_nothing_but_missing_rows(self, modality):
        for block in featurizer(modality).blocks([[], []]).values():
            assert len(block) == 2 and not block.present.any()
        assert featurizer(modality, [[], []]).blocks([[ITEMS[modality][5]], []]) == {}

    def test_several_items_of_a_cell_are_their_mean(self, modality):
        if modality in READERS and not READERS[modality].holds_items:
            pytest.skip("a cell holds one item")
        fitted, items = featurizer(modality), ITEMS[modality][:2]
        apart, together = fitted.blocks([[item] for item in items]), fitted.blocks([items])
        for part, block in together.items():
            np.testing.assert_allclose(
                values(block)[0], values(apart[part]).mean(axis=0), rtol=1e-4, atol=1e-5
            )

    def test_restored_it_gives_equal_blocks(self, modality):
        fitted = featurizer(modality)
        settings = json.loads(json.dumps(fitted.settings()))
        restored = FEATURIZERS[modality].restore(settings, fitted.arrays())
        rows = [[item] for item in ITEMS[modality]] + [[]]
        assert_equal_blocks(fitted.blocks(rows), restored.blocks(rows))
        assert restored.settings() == fitted.settings()

    def test_pieces_sum_to_what_its_columns_add(self, modality):
        fitted, item = featurizer(modality), ITEMS[modality][0]
        for part, block in fitted.blocks([[item]]).items():
            found = np.nan_to_num(values(block)[0]) * np.linspace(-1, 1, len(block.columns.names))
            pieces = fitted.pieces([item], part, found)
            assert sum(piece.contribution for piece in pieces) == pytest.approx(
                found.sum(), rel=1e-5, abs=1e-5
            )

    def test_columns_that_it_does_not_compute_are_one_line(self, modality):
        fitted = featurizer(modality)
        settings = json.loads(json.dumps(fitted.settings()))
        for columns in settings["columns"].values():
            columns["names"].append("x")
        with pytest.raises((ValueError, RunError)) as raised:
            FEATURIZERS[modality].restore(settings, fitted.arrays()).blocks([[ITEMS[modality][0]]])
        assert len(str(raised.value).splitlines()) == 1

    @pytest.mark.parametrize(
        "settings",
        [{}, {"columns": {}, "options": {"size": 3}}, {"columns": {"": {"names": [1]}}, "options": {}}],
    )
    def test_settings_that_no_fit_writes_are_refused(self, modality, settings):
        with pytest.raises(ValueError):
            FEATURIZERS[modality].restore(settings, {})

    def test_constant_and_empty_items_are_finite(self, modality):
        rows = [[item] for item in CONSTANT[modality]]
        for fitted in (featurizer(modality), featurizer(modality, rows)):
            for block in fitted.blocks(rows).values():
                assert np.isfinite(values(block)).all()
