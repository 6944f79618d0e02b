"""Word pieces to words, by where the tokenizer found them in the text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polymodal.data.readers import TextReader
from polymodal.data.values.column_values import as_label


@dataclass(frozen=True)
class Word:
    """A word of a text.

    Attributes:
        text: As it stands there, or the tokenizer's own piece where that does not say where it stands.
        start: Its first letter, from 0; None where that is not known.
        end: Behind its last letter.
        attribution: Of all its pieces.
    """

    text: str
    start: int | None
    end: int | None
    attribution: float


def words_of(reader: TextReader, cell: object, attributions: np.ndarray) -> tuple[str, list[Word]]:
    """The text of a cell's item, and its words as far as they were read.

    Pieces belong to one word where the tokenizer says so and no blank stands between them.

    Args:
        reader: Whose tokenizer it is.
        cell: The item.
        attributions: ``(length,)`` of its tokens, padding left out; special tokens have none.
    """
    text = cell if isinstance(cell, str) else as_label(cell)
    told = {"truncation": True, "max_length": reader.max_length}
    if not reader.part.is_fast:
        ids = reader.part(text, **told).input_ids
        special = set(reader.part.all_special_ids) - {reader.part.unk_token_id}
        pieces = zip(ids, reader.part.convert_ids_to_tokens(ids), attributions, strict=False)
        return text, [
            Word(piece, None, None, float(a)) for number, piece, a in pieces if number not in special
        ]
    encoded = reader.part(text, return_offsets_mapping=True, **told)
    spans: list[list[float]] = []
    before: int | None = None
    for (start, end), number, value in zip(
        encoded.offset_mapping, encoded.word_ids(), attributions, strict=False
    ):
        if number is None:
            continue
        inside = text[start:end]
        first, last = start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())
        joined = bool(spans) and number == before and first <= spans[-1][1] and first == start
        if spans and (joined or first >= last):  # a piece of nothing but blanks counts to what it follows
            spans[-1][1:] = [max(last, spans[-1][1]), spans[-1][2] + value]
        else:
            spans.append([first, last, value])
        before = number
    return text, [
        Word(text[int(start) : int(end)], int(start), int(end), float(value)) for start, end, value in spans
    ]
