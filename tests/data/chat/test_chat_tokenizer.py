"""The tokenizer of a language model from scratch, its placeholders, and what a tokenizer has to have."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizer

from polymodal.data.chat.chat_tokenizer import add_placeholders, check_tokenizer, train_language_tokenizer
from polymodal.errors import ConfigError
from tests.support import chats as made


def test_every_text_comes_back_as_it_was():
    random = np.random.default_rng(0)
    alone, trained = train_language_tokenizer([]), made.chatml()
    for text in [*made.TEXTS, *(made.noise(random, 30) for _ in range(200)), "İstanbul ǅ ﬃ Å Å", " a  b "]:
        for tokenizer in (alone, trained):
            assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_language_tokenizer_learns_its_texts_and_brings_chatml():
    trained = made.chatml()
    assert len(trained) == 420 and len(train_language_tokenizer([])) == 259
    text = "What is in the picture?"
    assert len(trained(text).input_ids) < len(train_language_tokenizer([])(text).input_ids) // 2
    assert (trained.pad_token, trained.eos_token, trained.bos_token) == ("<|pad|>", "<|im_end|>", None)
    assert check_tokenizer(trained, None, "it") == []


def test_a_language_tokenizer_is_saved_with_all_it_has(tmp_path):
    tokenizer = made.chatml()
    placeholders = add_placeholders(tokenizer, ["image", "my voice"])
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "a <|image|><|no my voice|> 猫"
    assert again(text).input_ids == tokenizer(text).input_ids
    assert again.chat_template == tokenizer.chat_template and again.eos_token == tokenizer.eos_token
    assert add_placeholders(again, ["image", "my voice"]) == placeholders and len(again) == len(tokenizer)


def test_placeholders_are_two_special_tokens_an_input():
    tokenizer = made.llama3()
    before = len(tokenizer)
    ids = add_placeholders(tokenizer, ["image", "Bild größe", "a:b"])
    assert sorted(token for pair in ids.values() for token in pair) == list(range(before, before + 6))
    text = "x<|image|><|no image|><|Bild größe|><|no a:b|>"
    expected = [*ids["image"], ids["Bild größe"][0], ids["a:b"][1]]
    assert tokenizer(text, add_special_tokens=False).input_ids[-4:] == expected
    assert tokenizer.decode(expected, skip_special_tokens=True) == ""
    assert add_placeholders(tokenizer, []) == {}


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (["im_end"], "'im_end' would be read as <|im_end|>, a token of the language model's own"),
        (["im_start"], "a token of the chat template"),
        (
            ["image", "no image"],
            "'no image' would be read as <|no image|>, which belongs to the input 'image'",
        ),
        (["no image", "image"], "which belongs to the input 'no image'"),
        (["a", "a"], "which belongs to the input 'a'"),
        (["a|>"], "'a|>' makes no token of its own"),
        (["|"], "makes no token"),
        (["x<|y"], "makes no token"),
        (["a\nb"], "makes no token"),
        ([" a"], "makes no token"),
        ([""], "makes no token"),
        (["x" * 101], "makes no token"),
    ],
)
def test_an_input_that_would_make_a_token_of_another_meaning_is_told(inputs, told):
    tokenizer = made.chatml()
    before = len(tokenizer)
    with pytest.raises(ConfigError, match="Rename the column") as caught:
        add_placeholders(tokenizer, inputs)
    assert told in str(caught.value) and "\n" not in str(caught.value) and len(tokenizer) == before


class Slow(PreTrainedTokenizer):
    """A tokenizer in Python, as some checkpoints bring one."""

    vocab_size = 1

    def get_vocab(self):
        return {"a": 0}


def without(tokenizer, *names):
    for name in names:
        setattr(tokenizer, name, None)
    return tokenizer


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            made.gpt2,
            "the tokenizer has no chat template. Set generation.chat_template: chatml, plain or a file",
        ),
        (lambda: without(made.chatml(), "eos_token"), "no token that ends a text (eos_token)"),
        (Slow, "the tokenizer Slow is no fast tokenizer"),
    ],
)
def test_a_tokenizer_that_will_not_do_is_told_before_training(make, told):
    with pytest.raises(ConfigError) as caught:
        check_tokenizer(make(), None, "some/model")
    assert str(caught.value).startswith("some/model: ") and told in str(caught.value)


def test_a_tokenizer_is_given_the_declared_template_and_padding():
    tokenizer = made.gpt2()
    assert check_tokenizer(tokenizer, "plain", "gpt2") == [
        "gpt2: the tokenizer has no token for padding; rows are padded with <|endoftext|>"
    ]
    assert tokenizer.pad_token_id == tokenizer.eos_token_id and "Assistant: " in tokenizer.chat_template
    assert check_tokenizer(tokenizer, None, "gpt2") == []
