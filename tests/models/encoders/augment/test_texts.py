"""Words left out of texts: whole ones, never all, what is no word never, and the rest closes up."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertTokenizer, CLIPTokenizer, PreTrainedTokenizerFast, T5Tokenizer

from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.models.encoders.augment.texts import ENDS, SPECIAL, STARTS, drop_words, word_marks

WORDS = ["garden", "garage", "quiet", "street", "balcony", "bright"]
TEXT = "bright garden, quiet street"


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def word_piece():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*special, "gar", "##den", "##age", "quiet", "street", ",", "bright", "##", "▁"]
    return BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})


def sentence_piece():
    tokens = ["<pad>", "</s>", "<unk>", "▁gar", "den", "age", "▁quiet", "▁street", ",", "▁bright", "##"]
    return T5Tokenizer(vocab=[(token, -1.0) for token in tokens], extra_ids=0)


def clip():
    letters = sorted({letter for word in [*WORDS, ","] for letter in word})
    tokens = [*letters, *[f"{letter}</w>" for letter in letters], "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])


def no_sign():
    core = Tokenizer(
        models.WordLevel({"[PAD]": 0, "[UNK]": 1, **{w: n for n, w in enumerate(WORDS, 2)}}, "[UNK]")
    )
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")


COMMA_ALONE = {"bright", "garden", ",", "quiet", "street"}
COMMA_ATTACHED = {"bright", "garden,", "quiet", "street"}
TOKENIZERS = {
    "our own": (lambda: train_tokenizer([TEXT, *WORDS] * 3), COMMA_ATTACHED),
    "bytes": (lambda: train_tokenizer([]), COMMA_ATTACHED),
    "word piece": (word_piece, COMMA_ALONE),
    "sentence piece": (sentence_piece, COMMA_ATTACHED),
    "clip": (clip, COMMA_ALONE),
}


def kept_texts(tokenizer, share, times=400):
    """What is left of ``TEXT``, ``times`` over: token numbers without padding."""
    ids = torch.tensor([tokenizer(TEXT).input_ids] * times)
    ids = torch.nn.functional.pad(ids, (0, 3), value=5)
    mask = (torch.arange(ids.shape[1]) < ids.shape[1] - 3).long().expand_as(ids)
    marks = word_marks(tokenizer, len(tokenizer))
    found, left = drop_words(ids, mask, marks, share, 0)
    assert found.shape == ids.shape and left.dtype == mask.dtype
    assert torch.equal(left, left.sort(dim=1, descending=True).values)  # content first
    assert not found[left == 0].any()
    return [row[keep.bool()].tolist() for row, keep in zip(found, left, strict=True)]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_whole_words_go_and_what_is_no_word_stays(name):
    make, words = TOKENIZERS[name]
    tokenizer = make()
    whole = tokenizer(TEXT).input_ids
    special = [number for number in whole if number in tokenizer.all_special_ids]
    pieces, texts = set(), set()
    for kept in kept_texts(tokenizer, 0.5):
        assert [number for number in kept if number in tokenizer.all_special_ids] == special
        text = tokenizer.decode(kept, skip_special_tokens=True).replace(" ,", ",").strip()
        assert text  # never all
        pieces |= set(text.replace(",", " , ").split() if "," in words else text.split())
        texts.add(text)
    assert pieces == words
    assert len(texts) == 2 ** len(words) - 1  # every choice of words but none


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_each_word_goes_with_the_same_chance(share):
    tokenizer = TOKENIZERS["our own"][0]()
    texts = [tokenizer.decode(kept, skip_special_tokens=True) for kept in kept_texts(tokenizer, share, 4000)]
    for word in ("bright", "garden,", "quiet", "street"):
        gone = sum(word not in text for text in texts) / len(texts)
        # All four go together with share⁴; one of them stays then.
        assert gone == pytest.approx(share - share**4 / 4, abs=0.025), word


def test_one_word_stays_however_many_are_to_go():
    tokenizer = TOKENIZERS["our own"][0]()
    texts = [
        tokenizer.decode(kept, skip_special_tokens=True).split() for kept in kept_texts(tokenizer, 0.9999)
    ]
    assert {len(text) for text in texts} == {1} and len({text[0] for text in texts}) == 4


def test_without_a_sign_each_token_is_a_word_and_the_unknown_too():
    tokenizer = no_sign()
    marks = word_marks(tokenizer, 10)
    assert marks.dtype == torch.uint8 and marks[0] == SPECIAL and marks[1] == STARTS | ENDS
    assert (marks[2:8] == STARTS).all() and not marks[8:].any()


def test_an_end_of_the_same_name_as_the_unknown_is_no_word():
    core = Tokenizer(models.WordLevel({"<|end|>": 0, "Ġa": 1, "b": 2}, "<|end|>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<|end|>", eos_token="<|end|>")
    assert word_marks(tokenizer, 3).tolist() == [SPECIAL, STARTS, 0]


def test_texts_without_words_stay_as_they_are():
    marks = torch.tensor([SPECIAL, SPECIAL, STARTS], dtype=torch.uint8)
    ids, mask = (
        torch.tensor([[1, 0, 0], [1, 2, 0], [0, 0, 0]]),
        torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 0]]),
    )
    found, left = drop_words(ids, mask, marks, 0.9, 0)
    assert torch.equal(found, ids) and torch.equal(left, mask)


def test_the_same_seed_gives_the_same_and_texts_differ():
    marks = torch.full((50,), STARTS, dtype=torch.uint8)
    ids = torch.arange(1, 31).expand(8, -1)
    ways = []
    for _ in range(2):
        torch.manual_seed(7)
        ways.append(drop_words(ids, torch.ones_like(ids), marks, 0.3, 0)[0])
    assert torch.equal(*ways) and len({tuple(row) for row in ways[0].tolist()}) == 8
    assert all((row[row > 0].diff() > 0).all() for row in ways[0])  # in their order
