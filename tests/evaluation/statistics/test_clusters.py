"""Rows that share a file, or a value, hang together."""

import pandas as pd
import pytest

from polymodal.data.tables.table import read_table
from polymodal.errors import DataError
from polymodal.evaluation.statistics.clusters import row_groups


def groups(frame, modalities, column=None):
    codes, reason = row_groups(read_table(pd.DataFrame(frame)), modalities, column)
    return [
        [place for place, code in enumerate(codes) if code == one] for one in dict.fromkeys(codes)
    ], reason


def test_rows_that_share_a_recording_be_it_by_way_of_others():
    table = {"photo": ["a", "b", "b", "c", None], "voice": ["1", "1", "2", "3", None], "note": ["x"] * 5}
    found, reason = groups(table, {"photo": "image", "voice": "audio", "note": "text"})
    assert found == [[0, 1, 2], [3], [4]]
    assert reason == "rows that share a file of 'photo' or 'voice'"


def test_equal_names_in_two_columns_are_two_files_and_lists_have_several():
    table = {"photo": [["a", "b"], ["b"], ["c"]], "voice": ["c", "d", "a"]}
    found, reason = groups(table, {"photo": "image", "voice": "audio"})
    assert found == [[0, 1], [2]] and reason == "rows that share a file of 'photo'"


def test_rows_that_share_nothing():
    assert groups({"photo": ["a", "b"], "note": ["x", "x"]}, {"photo": "image", "note": "text"}) == (
        [[0], [1]],
        "",
    )


def test_rows_of_one_value():
    found, reason = groups({"who": ["a", None, "a", None, "b"]}, {}, "who")
    assert found == [[0, 2], [1], [3], [4]] and reason == "rows of one 'who'"
    with pytest.raises(DataError, match=r"no column 'whom' to group by.*Did you mean 'who'"):
        groups({"who": ["a"]}, {}, "whom")
