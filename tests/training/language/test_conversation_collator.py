"""Encoded conversations as tensors, and which of their tokens are labels."""

import numpy as np
import pytest
import torch

from polymodal.training.language.conversation_collator import labels_of, packed, padded
from tests.support.small_conversations import Encoded


@pytest.fixture
def rows():
    long = Encoded(np.array([11, 12, 13, 14]), np.array([False, True, False, True]))
    short = Encoded(np.array([21, 22]), np.array([True, True]))
    return [long, short]


def test_only_learned_tokens_are_labels_and_never_the_first(rows):
    assert labels_of(rows[0]).tolist() == [-100, 12, -100, 14]
    assert labels_of(rows[1]).tolist() == [-100, 22]


def test_rows_for_training_are_filled_up_on_the_right(rows):
    batch = padded(rows, pad=0)
    assert batch["input_ids"].tolist() == [[11, 12, 13, 14], [21, 22, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 12, -100, 14], [-100, 22, -100, -100]]


def test_rows_for_generation_are_filled_up_on_the_left(rows):
    batch = padded(rows, pad=9, side="left")
    assert batch["input_ids"].tolist() == [[11, 12, 13, 14], [9, 9, 21, 22]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert batch["labels"].tolist() == [[-100, 12, -100, 14], [-100, -100, -100, 22]]


def test_a_pack_is_one_row_in_which_positions_start_again(rows):
    batch = packed(rows)
    assert batch["input_ids"].tolist() == [[11, 12, 13, 14, 21, 22]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1]]
    assert batch["labels"].tolist() == [[-100, 12, -100, 14, -100, 22]]
    assert "attention_mask" not in batch


@pytest.mark.parametrize("collate", [lambda rows: padded(rows, pad=0), packed])
def test_every_tensor_holds_whole_numbers_of_64_bits(rows, collate):
    small = [Encoded(row.ids.astype(np.int32), row.learned) for row in rows]
    assert {tensor.dtype for tensor in collate(small).values()} == {torch.int64}
