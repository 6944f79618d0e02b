"""Normalization and tokenization of texts for all text metrics."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import regex

_BARE = r"\p{Han}\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
"""Scripts written without spaces between words (the ranges are kana): a character is a word."""
_CHARACTER = rf"[[{_BARE}]--[\p{{P}}\p{{N}}]]\p{{M}}*"
_LETTERS = rf"(?:(?!{_CHARACTER})[\p{{L}}\p{{M}}\p{{N}}])+"


def _pattern(text: str) -> regex.Pattern[str]:
    return regex.compile(text, flags=regex.VERSION1)  # the version in which sets can be subtracted


_WORD = _pattern(f"{_CHARACTER}|{_LETTERS}")
_SPOKEN = _pattern(rf"{_CHARACTER}|(?:(?!{_CHARACTER})\S)+")
_BARE_LETTER, _HAN, _LETTER = _pattern(_CHARACTER), _pattern(r"\p{Han}"), _pattern(r"\p{L}")

_CLITIC = _pattern(r"(?<=\p{L})(?=(?:n't|'(?:s|m|d|re|ve|ll))(?![\p{L}\p{N}]))|(?<=\bcan)(?=not\b)")
_TREEBANK = _pattern(
    rf"{_CHARACTER}|n't|'(?:s|m|d|re|ve|ll)\b|(?:\p{{L}}\.){{2,}}"
    rf"|{_LETTERS}(?:[-'.,:/@]{_LETTERS})*|[&%#+=*$€£@]"
)


def cleaned(text: str) -> str:
    """Strip a text and compose its characters (NFC)."""
    return unicodedata.normalize("NFC", text).strip()


def words(text: str) -> list[str]:
    """Lower-case runs of letters and digits: for ASCII as in rouge-score, for any script.

    In scripts without spaces between words each character is one.
    """
    return _WORD.findall(text.lower())


def spoken_words(text: str) -> list[str]:
    """Words between spaces, unchanged; in scripts without spaces each character."""
    return _SPOKEN.findall(text)


def caption_words(text: str) -> list[str]:
    """Nearly the Penn Treebank's words that CIDEr counts: lower case, no punctuation, *is n't*, *dog 's*.

    Hyphens and inner points join (*t-shirt*, *3.5*). Of the Stanford tokenizer's rules, abbreviations of
    several letters (*st.*) and *gonna* are not applied.
    """
    text = text.lower().replace("’", "'")
    return _TREEBANK.findall(_CLITIC.sub(" ", text))


def bleu_tokenization(references: Sequence[str]) -> str:
    """sacrebleu's ``tokenize`` for a row with these references, found from their script.

    ``char``, each character, where at least half of the letters are of Japanese, Thai or another script
    without spaces, and not all of those Chinese (``ja-mecab`` would need a dictionary). Else ``zh`` where
    any such letter occurs: it takes Chinese characters one by one and other words as ``13a`` does. Else
    ``13a``.
    """
    text = "".join(references)
    bare = _BARE_LETTER.findall(text)
    if not bare:
        return "13a"
    chinese = all(_HAN.match(character) for character in bare)
    return "zh" if chinese or 2 * len(bare) < len(_LETTER.findall(text)) else "char"


# ---- The official evaluation of VQAv2 (https://visualqa.org/evaluation; GT-Vision-Lab/VQA, vqaEval.py) ----

_NUMBERS = "zero one two three four five six seven eight nine ten"
_VQA_NUMBERS = {"none": "0"} | {name: str(value) for value, name in enumerate(_NUMBERS.split())}
_VQA_ARTICLES = ("a", "an", "the")
_VQA_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'  # neither ' (girl's) nor : (2:50 pm)
_VQA_THOUSANDS = re.compile(r"\d,\d", re.ASCII)
_VQA_PERIOD = re.compile(r"\.(?!\d)", re.ASCII)
_VQA_MOST_PERIODS = 32  # the official evaluation hands re.UNICODE, which is 32, to sub() as its count
_VQA_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't
    he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've
    must've mustn't needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't
    shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's
    something'd something'd've something'll that's there'd there'd've there're there's they'd they'd've
    they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
    where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
"""
# Each is recognized when one of its apostrophes is missing; one official entry is the wrong way round.
_VQA_CONTRACTIONS = {
    word[:index] + word[index + 1 :]: word
    for word in _VQA_CONTRACTED.split()
    for index, letter in enumerate(word)
    if letter == "'"
} | {"somebody'd": "somebodyd"}


def vqa_text(text: str) -> str:
    """Normalize a text as in VQAv2: lower case, digits for numbers up to ten, no articles and punctuation.

    Punctuation becomes a space, or nothing where a space is beside it or the text has a comma between
    digits (100,978 is 100978); contractions get their apostrophe back (dont is don't).
    """
    text = text.replace("\n", " ").replace("\t", " ").strip()
    joined = bool(_VQA_THOUSANDS.search(text))
    bare = text
    for mark in _VQA_PUNCTUATION:
        beside = joined or f"{mark} " in text or f" {mark}" in text
        bare = bare.replace(mark, "" if beside else " ")
    bare = _VQA_PERIOD.sub("", bare, count=_VQA_MOST_PERIODS)
    numbered = (_VQA_NUMBERS.get(word, word) for word in bare.lower().split())
    return " ".join(_VQA_CONTRACTIONS.get(word, word) for word in numbered if word not in _VQA_ARTICLES)
