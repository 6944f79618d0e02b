"""Attributions of words from those of word pieces, by the tokenizer's offsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polymodal.data.readers import TextReader
from polymodal.data.values.column_values import as_label


@dataclass(frozen=True)
class Word:
    """A word of a text.

    Attributes:
        text: From the text, or the tokenizer's own piece where it has no offsets.
        start: Index of its first letter, from 0; None without offsets.
        end: Index behind its last letter.
        attribution: The sum of its pieces.
    """

    text: str
    start: int | None
    end: int | None
    attribution: float


def words_of(reader: TextReader, cell: object, attributions: np.ndarray) -> tuple[str, list[Word]]:
    """The text of a cell's item, and those of its words that the encoder reads.

    Pieces are one word where they have one word id and no blank between them.

    Args:
        reader: Whose tokenizer it is.
        cell: The item.
        attributions: ``(length,)`` of its tokens, without padding; special tokens are skipped.
    """
    text = cell if isinstance(cell, str) else as_label(cell)
    limits = {"truncation": True, "max_length": reader.max_length}
    if not reader.part.is_fast:
        ids = reader.part(text, **limits).input_ids
        special = set(reader.part.all_special_ids) - {reader.part.unk_token_id}
        pieces = zip(ids, reader.part.convert_ids_to_tokens(ids), attributions, strict=False)
        return text, [
            Word(piece, None, None, float(a)) for number, piece, a in pieces if number not in special
        ]
    encoded = reader.part(text, return_offsets_mapping=True, **limits)
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
