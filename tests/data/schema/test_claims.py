"""A reader of another package may claim columns that nobody declared."""

import pandas as pd
import pytest

from polymodal.data.readers import READERS, Reader
from polymodal.data.readers.content import Claim
from polymodal.data.schema.infer import guess_modality
from polymodal.data.tables.table import read_table

TABLE = read_table(pd.DataFrame({"site": ["A01:x", "B02:y", "A03:x"] * 5, "size": [1.5, 2.5, 7.0] * 5}))


@pytest.fixture
def registered():
    kept = dict(READERS._entries)
    yield READERS
    READERS._entries = kept


def test_the_surest_claim_wins_and_other_columns_stay_as_they_were(registered):
    class Wells(Reader):
        modality = "well"

        @classmethod
        def recognise(cls, cells):
            share = sum(isinstance(cell, str) and ":" in cell for cell in cells) / len(cells)
            return Claim(share, f"{share:.0%} of the values are wells") if share > 0.5 else None

    class Codes(Wells):
        @classmethod
        def recognise(cls, cells):
            return Claim(0.1, "codes")

    registered.register("code")(Codes)
    assert guess_modality(TABLE, "site").modality == "code"
    registered.register("well")(Wells)
    guess = guess_modality(TABLE, "site")
    assert (guess.modality, guess.reason) == ("well", "100% of the values are wells")


def test_own_modalities_are_recognised_as_before_where_nothing_is_claimed(registered):
    registered.register("silent")(type("Silent", (Reader,), {"modality": "silent"}))
    assert guess_modality(TABLE, "site").modality == "category"
    assert guess_modality(TABLE, "size").modality == "number"
