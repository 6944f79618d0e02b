"""What the parts of an input add to the scores of plain models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from polymodal.plain.blocks import Blocks
from polymodal.plain.features import Piece
from polymodal.plain.learners.contributions import BlockShare, Contributions
from polymodal.plain.model import PlainModel
from polymodal.utils.cancelling import stop_if_cancelled

WHOLE = "the input as a whole"
"""What an input adds beside its columns: by its presence, and by directions in which columns cancel out."""
MOST_FEATURES = 30
"""Columns of an input that are distinguished, those that add most."""
OTHERS = "other features"
"""After their number, the columns that are not distinguished: see :func:`others_in`."""


def contributions_of(
    model: PlainModel, blocks: Blocks, target: str, output: int, learners: Iterable[str]
) -> dict[str, Contributions]:
    """What each column of the features adds to the score of one output of a target, by learner.

    Args:
        model: Fitted.
        blocks: Features of rows.
        target: Of the learners.
        output: Index of the class or label; 0 for a number.
        learners: The requested ones; one whose contributions are not known is left out.
    """
    members = model.members.get(target, {})
    known = [name for name in learners if name in members and members[name].learner.method]
    result = {}
    for name in known:
        stop_if_cancelled()
        result[name] = members[name].learner.contributions(blocks, output)
    return result


def input_shares(model: PlainModel, name: str, found: Contributions) -> dict[str, BlockShare]:
    """By part of one input's features, what they add; parts that no learner reads are left out."""
    blocks = {part: f"{name}/{part}" if part else name for part in model.featurizers[name].columns}
    return {part: found.blocks[block] for part, block in blocks.items() if block in found.blocks}


def pieces_of(
    model: PlainModel, name: str, items: Sequence[Any], found: Mapping[str, BlockShare]
) -> list[Piece]:
    """What the parts of one input of one row add, from what the columns of its features do.

    Args:
        model: Whose featurizers are used.
        name: Of the input.
        items: What its reader kept of each item of the cell; none where that is not known.
        found: As :func:`input_shares` returns it, of one row.

    Returns:
        Pieces that sum to what the input adds; what is of the input as a whole is the last one.
    """
    featurizer, pieces = model.featurizers[name], []
    for part, share in found.items():
        pieces += featurizer.pieces(items, part, share.columns[0])
    rest = sum(float(share.whole[0]) for share in found.values())
    return [*pieces, Piece("feature", WHOLE, rest)] if rest else pieces


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Each part once: a cell, words in order, then the features that add most, and the sum of the others."""
    sums: dict[Piece, float] = {}
    for piece in pieces:
        key = replace(piece, contribution=0.0)
        sums[key] = sums.get(key, 0.0) + piece.contribution
    each = [replace(key, contribution=value) for key, value in sums.items()]
    words = sorted((p for p in each if p.kind == "word"), key=lambda p: (p.item or 0, p.start or 0))
    features = sorted((p for p in each if p.kind == "feature"), key=lambda p: -abs(p.contribution))
    result = [p for p in each if p.kind == "cell"] + words + features[:MOST_FEATURES]
    if rest := features[MOST_FEATURES:]:
        value = sum(piece.contribution for piece in rest)
        result.append(Piece("feature", f"{len(rest)} {OTHERS}", value))
    return result


def others_in(text: str) -> int:
    """How many columns the text of a part is the sum of; 0 for a single one, whatever its name."""
    sum_of = re.fullmatch(rf"([1-9][0-9]*) {OTHERS}", text)
    return int(sum_of[1]) if sum_of else 0
