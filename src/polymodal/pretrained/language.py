"""Whether a column of texts is English: by its script, and by the common words of each language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import islice

from polymodal.pretrained.recommended import ANY, ENGLISH, Languages

MOST_TEXTS = 500
"""Texts that are looked at."""
MOST_OTHER_LETTERS = 0.2
"""Share of letters of other scripts above which a column is not English."""
MOST_ACCENTED = 0.012
"""Share of Latin letters with accents above which a column is not English."""
MOST_FOREIGN = 0.025
"""Share of common words of other languages above which it is not, if they outnumber English ones."""

ENGLISH_TEXT = """
the of and to in is was for that it with as on be at by this have from or are not but an they you his her she
we my me which there had were will would can what your has been who all one their so if no do
"""
OTHER_TEXT = """
der und das ist nicht ein eine zu den mit sich auf für von dem ich sie wir auch es im wird sind oder
le la les des est et un une dans que pour pas sur au avec ce il elle nous vous je du qui sont ne plus
el los las del en por con para una se lo como pero más su está muy
di che è per non sono della questo gli nel anche più ma si
os da em um uma não com dos mais na ao mas foi
de het een van dat niet zijn op voor met ik maar ook naar aan wordt
och att det som är på av med inte jag har og er til ikke af
nie się że jest jak ale tak od po przez je který jsem
și în nu cu este pe mai să din bir ve bu için ile çok ne değil
dan yang untuk dengan ini itu tidak pada az és hogy nem egy ez meg ja ei että oli mutta
"""
"""Common words of German, French, Spanish, Italian, Portuguese, Dutch, Scandinavian, Polish, Czech,
Romanian, Turkish, Indonesian, Hungarian and Finnish."""
ENGLISH_WORDS = frozenset(ENGLISH_TEXT.split())
OTHER_WORDS = frozenset(OTHER_TEXT.split()) - ENGLISH_WORDS


def languages_of(texts: Iterable[str]) -> Languages:
    """``English``, or ``any`` for what an English encoder does not read.

    Args:
        texts: Of the column; the first ``MOST_TEXTS`` are looked at. Texts without letters, and words such as
            names that no list holds, count as English.
    """
    latin = other = accented = english = foreign = total = 0
    for text in islice(texts, MOST_TEXTS):
        lowered = unicodedata.normalize("NFC", text).lower()
        for letter in filter(str.isalpha, lowered):
            if letter.isascii():
                latin += 1
            elif unicodedata.name(letter, "").startswith("LATIN"):
                latin, accented = latin + 1, accented + 1
            else:
                other += 1
        words = re.findall(r"[^\W\d_]{2,}", lowered)
        total += len(words)
        english += sum(word in ENGLISH_WORDS for word in words)
        foreign += sum(word in OTHER_WORDS for word in words)
    is_other = other > MOST_OTHER_LETTERS * (latin + other)
    is_accented = accented > MOST_ACCENTED * latin
    is_foreign = foreign > max(english, MOST_FOREIGN * total)
    return ANY if is_other or is_accented or is_foreign else ENGLISH
