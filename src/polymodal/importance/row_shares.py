"""How much each input contributed to the answers of rows that were read one by one, as JSON.

Of plain models it needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polymodal.answers.base import Decoder
from polymodal.answers.plain_blend import PlainBlend
from polymodal.data.read_rows import ReadRows
from polymodal.data.row_processor import Row, items_of
from polymodal.importance.contributions import AnswerShares
from polymodal.importance.shapley import make_game
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.records import JsonObject


def row_shares(run: PredictionRun, rows: Sequence[Row]) -> list[JsonObject]:
    """Shapley values of the inputs for the answers to rows.

    Args:
        run: With heads.
        rows: At least one, each the ``row`` of a :class:`polymodal.runs.row_reading.ReadRow`.

    Returns:
        By row and target what each input that the row has adds to the probability of the predicted class (of
        several labels, of the likeliest), or to the predicted number in its unit.
    """
    decoders = run.answerer.decoders
    return [
        {target: _of(shares, decoders[target]) for target, shares in each.items()}
        for each in _shares(run, rows)
    ]


def _shares(run: PredictionRun, rows: Sequence[Row]) -> list[Mapping[str, AnswerShares]]:
    """By row and target."""
    if run.plain is not None:
        return [plain_shares(run.plain, row) for row in rows]
    from polymodal.importance.shares import answer_shares

    shares = answer_shares(run.model, ReadRows(rows, run.processor), precision=run.precision)
    return [{target: each[index] for target, each in shares.items()} for index in range(len(rows))]


def plain_shares(blend: PlainBlend, row: Row) -> dict[str, AnswerShares]:
    """The same as :func:`polymodal.importance.shares.answer_shares`, of plain models and one row.

    Args:
        blend: That answers.
        row: That was read.
    """
    names = blend.input_names
    game = make_game([name for name in names if items_of(row["cells"][name])])
    answers = blend.of_subsets(row, game.subsets)
    return {
        target: AnswerShares.of_values(values.astype(float).reshape(len(values), -1).T, game, names, 0)
        for target, values in answers.items()
    }


def _of(shares: AnswerShares, decoder: Decoder) -> JsonObject:
    if shares.answer.size == 1:
        return dict(shares.of().shares)
    predicted = decoder.decide(shares.answer[None]).get("predicted")
    if predicted is None or predicted.ndim > 1:
        return dict(shares.of(int(shares.answer.argmax())).shares)
    return dict(shares.of(int(predicted[0])).shares)
