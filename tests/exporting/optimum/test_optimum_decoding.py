"""Damaged files of an export to Optimum's layout, which may be a stranger's: refused in one line."""

import os

import numpy as np
import pytest

from polymodal.errors import RunError
from polymodal.exporting.optimum.decoding import ExportedWords
from polymodal.runtime.opening import check_files
from tests.support.counting_export import change, write_counting_export


@pytest.fixture
def folder(tmp_path):
    return write_counting_export(tmp_path / "out", 20, 64)


def begin(folder):
    ids = np.array([[3, 4, 5]])
    return ExportedWords(folder).begin(ids, np.ones_like(ids), {})


def test_the_graph_counts(folder):
    assert begin(folder).logits.argmax() == 6


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"past": [["a", "b"]] * 2}, "'past' of optimum.json is no list of sizes"),
        ({"past": [1, 2]}, r"no readable optimum\.json \('past' is no list\)"),
        ({"past": [[2, 4]]}, "'past' of optimum.json is no list of sizes"),
        ({"past": [[2, -4]] * 2}, "'past' of optimum.json is no list of sizes"),
        ({"context": "a"}, "'context' of optimum.json is no number of tokens"),
        ({"past": [[3, 4]] * 2}, r"model\.onnx: does not compute"),
        ({"positions": True}, r"model\.onnx: does not compute"),
    ],
)
def test_sizes_that_are_none_or_not_the_graphs_are_refused(folder, values, reason):
    change(folder / "optimum.json", **values)
    with pytest.raises(RunError, match=reason) as caught:
        begin(folder)
    assert "\n" not in str(caught.value)


def test_a_pipe_in_place_of_a_graph_is_refused(folder):
    (folder / "onnx/model.onnx").unlink()
    os.mkfifo(folder / "onnx/model.onnx")
    with pytest.raises(RunError, match=r"onnx/model\.onnx: is a pipe or a device, expected a file"):
        check_files(folder)  # not loaded: that would wait for a writer forever if it were not refused
