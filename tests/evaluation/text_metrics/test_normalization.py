"""What texts are before they are compared: VQAv2's rules, words of every script, tokens of captions."""

import hashlib
import unicodedata

import pytest

from polymodal.evaluation.text_metrics.normalization import (
    _VQA_CONTRACTIONS,
    bleu_tokenization,
    caption_words,
    cleaned,
    spoken_words,
    vqa_text,
    words,
)


# The examples of https://visualqa.org/evaluation.html, then what vqaEval.py (GT-Vision-Lab/VQA, commit
# a013f00, run under Python 3) made of texts that meet its odd corners; 60,000 random texts agreed as well.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes", "yes"),
        ("two", "2"),
        ("none", "0"),
        ("the dog", "dog"),
        ("dont", "don't"),
        ("girl's", "girl's"),
        ("2:50 pm", "2:50 pm"),
        ("100,978", "100978"),
        ("3.5", "3.5"),
        ("St. Louis.", "st louis"),
        ("black-and-white", "black and white"),
        ("red, white", "red white"),
        ("1,000 black-and-white", "1000 blackandwhite"),  # a comma between digits joins all of the text
        ("this - that", "this that"),
        ("couldnt've", "couldn't've"),
        ("couldntve", "couldntve"),  # two apostrophes short: no official entry
        ("somebody'd", "somebodyd"),
        ("a\nman\tand the cat!", "man and cat"),
        ("The", ""),
        ("x" + "." * 50, "x" + "." * 18),
    ],
)
def test_a_text_is_what_the_official_evaluation_of_vqav2_makes_of_it(text, expected):
    assert vqa_text(text) == expected


def test_the_contractions_are_the_official_ones():
    """The digest is of the table in vqaEval.py, without its four entries of capitals and two of themselves.

    Capitals are never met, for texts are lower-case by then.
    """
    table = "".join(f"{found}>{said};" for found, said in sorted(_VQA_CONTRACTIONS.items()))
    assert len(_VQA_CONTRACTIONS) == 114
    assert (
        hashlib.sha256(table.encode()).hexdigest()
        == "c9df015dec6ea64dd49ad9bc99a7c4da7e754c5b957916bdba12e1e4dc76b74f"
    )


def test_a_letter_is_one_however_it_is_encoded():
    assert cleaned(unicodedata.normalize("NFD", " Äpfel café\n")) == "Äpfel café"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop_now, x-ray 3.5!", ["don", "t", "stop", "now", "x", "ray", "3", "5"]),
        ("Ein Café über", ["ein", "café", "über"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs are marks, and belong to their word
        ("3只猫 OK", ["3", "只", "猫", "ok"]),
        ("ラーメン・食べる", ["ラ", "ー", "メ", "ン", "食", "べ", "る"]),
        ("แมว", ["แ", "ม", "ว"]),
        ("한국어 고양이", ["한국어", "고양이"]),
        ("😀 …", []),
    ],
)
def test_words_are_runs_of_letters_and_single_characters_where_no_spaces_are_written(text, expected):
    assert words(text) == expected


def test_what_was_spoken_keeps_case_and_punctuation():
    assert spoken_words("  Well, it's\n7  猫です。") == ["Well,", "it's", "7", "猫", "で", "す", "。"]


# Expected: PTBTokenizer of pycocoevalcap 1.2 (Stanford CoreNLP 3.4.1).
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man's dog isn't on the black-and-white sofa.",
         "a man 's dog is n't on the black-and-white sofa"),
        ("Two children, wearing t-shirts, can't reach the top shelf!",
         "two children wearing t-shirts ca n't reach the top shelf"),
        ("I'm sure they've gone; she'd said he'll come, we're late.",
         "i 'm sure they 've gone she 'd said he 'll come we 're late"),
        ("The dogs' bowls cannot be found... what's next?", "the dogs bowls can not be found what 's next"),
        ("and/or 1/2 cup 50% off #1", "and/or 1/2 cup 50 % off # 1"),
        ("U.S. flag - waving -- in the wind", "u.s. flag waving in the wind"),
        ("It’s a cat’s toy, don’t touch", "it 's a cat 's toy do n't touch"),
        ("A café at 3:30 p.m., naïve façade", "a café at 3:30 p.m. naïve façade"),
        ("1,000 birds near 3.5 miles", "1,000 birds near 3.5 miles"),
    ],
)  # fmt: skip
def test_captions_are_cut_as_the_treebank_cuts_them(text, expected):
    assert " ".join(caption_words(text)) == expected


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        (["a cat", "one cat"], "13a"),
        (["고양이 한 마리"], "13a"),
        (["一只猫"], "zh"),
        (["the sign says 出口"], "zh"),
        (["猫が寝る"], "char"),
        (["แมวนอน"], "char"),
        (["the sign says ラーメン in red letters"], "zh"),
        ([""], "13a"),
    ],
)
def test_the_script_of_the_references_chooses_the_tokenization(references, expected):
    assert bleu_tokenization(references) == expected
