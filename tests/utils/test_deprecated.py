import importlib
import sys

import pytest
import torch

from polymodal.models.encoders import as_it_is
from polymodal.utils.deprecated import deprecated_alias


def test_an_old_name_calls_the_new_one_and_warns_where_it_is_called():
    def double(value):
        return 2 * value

    twice = deprecated_alias("twice", double)
    with pytest.warns(DeprecationWarning, match="twice is now called double") as caught:
        assert twice(3) == 6
    assert caught[0].filename == __file__


def test_the_block_without_augmentation_keeps_its_old_name():
    with pytest.warns(DeprecationWarning, match="no_augmentation"), as_it_is(torch.nn.Identity()):
        pass


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [("table", "tables.table", "read_table"), ("tokenizer", "text_tokenizer", "train_tokenizer")],
)
def test_modules_that_moved_keep_their_old_name(old, new, name):
    sys.modules.pop(f"polymodal.data.{old}", None)
    with pytest.warns(DeprecationWarning, match=rf"polymodal\.data\.{new}"):
        module = importlib.import_module(f"polymodal.data.{old}")
    assert getattr(module, name) is getattr(importlib.import_module(f"polymodal.data.{new}"), name)
