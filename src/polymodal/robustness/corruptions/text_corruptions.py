"""Corruptions of texts: typing errors, dropped words. They depend on no language or script."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.readers import TextReader
from polymodal.data.values.column_values import as_label
from polymodal.robustness.corruptions.base import CORRUPTIONS, CellCorruptions, Corruption

KINDS = 4
"""A character is left out, typed twice, exchanged with the next, or another one is typed."""


def mistype(text: str, share: float, random: np.random.Generator) -> str:
    """Each character that is no space mistyped with chance ``share``, in one of ``KINDS`` ways.

    A wrong character is one that the text holds elsewhere: of the writer's own script.
    """
    letters = [letter for letter in text if not letter.isspace()]
    typed, skip = list(text), -1
    for index in np.flatnonzero(random.random(len(text)) < share).tolist():
        if index == skip or text[index].isspace():
            continue
        kind, follows = int(random.integers(KINDS)), index + 1 < len(text)
        if kind == 0:
            typed[index] = ""
        elif kind == 1:
            typed[index] = 2 * text[index]
        elif kind == 2 and follows:
            typed[index], typed[index + 1], skip = text[index + 1], text[index], index + 1
        else:
            typed[index] = letters[int(random.integers(len(letters)))]
    wrong = "".join(typed)
    return text if not wrong or wrong.isspace() else wrong  # an empty text would be a missing cell


def drop_words(text: str, share: float, random: np.random.Generator) -> str:
    """Each word left out with chance ``share``; one stays. A text without spaces is one word."""
    words = re.findall(r"\S+\s*", text)
    if not words:
        return text
    stays = random.random(len(words)) >= share
    stays[int(random.integers(len(words)))] |= not stays.any()
    return "".join(word for word, kept in zip(words, stays, strict=True) if kept)


TEXTS = (
    Corruption("typing", "share of characters mistyped", (0.02, 0.05, 0.1, 0.2, 0.3), mistype),
    Corruption("dropped_words", "share of words dropped", (0.1, 0.2, 0.4, 0.6, 0.8), drop_words),
)


@CORRUPTIONS.register(TextReader.modality)
class TextCorruptions(CellCorruptions[TextReader]):
    """Texts as they are written."""

    def corruptions(self) -> tuple[Corruption, ...]:
        """See :class:`CellCorruptions`."""
        return TEXTS

    def decode(self, cell: Any, root: Root) -> str:
        """See :class:`CellCorruptions`."""
        return cell if isinstance(cell, str) else as_label(cell)
