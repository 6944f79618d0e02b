"""The tokenizer of an export writes texts as that of the run does."""

import json

import pytest

from polymodal.data.readers import TextReader
from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.errors import RunError
from polymodal.runtime.tokenizer import FileTokenizer

TEXTS = ["", "bright balcony", "Third FLOOR,\tnaïve Å …", "garden " * 400, "🙂 語", "x" * 9000]


@pytest.fixture(scope="module")
def own():
    return train_tokenizer(["bright balcony third floor", "quiet garden behind the house"] * 5)


@pytest.fixture(scope="module")
def written(own, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer") / "reader_0"
    own.save_pretrained(folder)
    return FileTokenizer(folder, {"pad": own.pad_token_id, "most": 10**9, "side": "right"})


@pytest.mark.parametrize("length", [3, 128])
def test_texts_have_the_same_tokens(own, written, length):
    readers = [TextReader(part, max_length=length) for part in (own, written)]
    for text in TEXTS:
        first, second = (reader.read(text, None).tolist() for reader in readers)
        assert first == second and len(first) <= length


def test_one_tokenizer_serves_readers_of_several_lengths(own, written):
    short, long = TextReader(written, max_length=2), TextReader(written, max_length=6)
    text = "bright balcony garden house"
    assert [len(reader.read(text, None)) for reader in (short, long, short)] == [2, 5, 2]


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        FileTokenizer(tmp_path, {"pad": 0, "most": 10, "side": "right"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": {"vocab": {"a": 2**30}}}, "a token has the number 1,073,741,824"),
        ({"normalizer": {"type": "Prepend", "prepend": "x" * 5000}}, "makes a character 5,000 long"),
    ],
)
def test_a_file_that_would_take_all_memory_is_refused_before_it_is_loaded(tmp_path, change, reason):
    (tmp_path / "tokenizer.json").write_text(json.dumps(change))
    with pytest.raises(RunError, match=reason):
        FileTokenizer(tmp_path, {"pad": 0, "most": 10, "side": "right"})
