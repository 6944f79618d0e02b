"""Rows of noise: each modality's cells are read by the run and by the runtime alike."""

import numpy as np

from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import read_table
from polymodal.exporting.onnx.made_rows import made_rows
from polymodal.runtime.array_processor import read_rows
from tests.support.component_cases import ENCODER_CASES, make_case

NAMES = [f"column {number}" for number in range(len(ENCODER_CASES))]


def items(kept):
    return kept if isinstance(kept, list) else [kept]


def test_rows_of_every_modality_are_read_alike():
    processor = make_case("fusion", "concat", NAMES).model.make_processor([dict.fromkeys(NAMES)])
    rows = made_rows(processor.readers)
    assert len(rows) == 5 + 2 * len(NAMES) and rows[-1] == dict.fromkeys(NAMES)
    table = RowDataset(read_table(rows), processor)
    for own, other in zip(
        table.__getitems__(range(len(rows))), read_rows(processor, rows, None, 0), strict=True
    ):
        for name in NAMES:
            first, second = items(own["cells"][name]), items(other[name])
            assert len(first) == len(second)
            assert all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))
