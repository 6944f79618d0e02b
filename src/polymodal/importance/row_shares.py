"""How much each input contributed to the answers of rows that were read one by one, as JSON. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence

from polymodal.answers.base import Decoder
from polymodal.data.row_dataset import RowDataset
from polymodal.data.row_processor import Row, RowProcessor
from polymodal.importance.shares import AnswerShares, answer_shares
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.records import JsonObject


class _ReadRows(RowDataset):
    """Rows that were read already, where an analysis takes those of a table."""

    def __init__(self, rows: Sequence[Row], processor: RowProcessor) -> None:
        self.read, self.processor = [{**row, "index": index} for index, row in enumerate(rows)], processor
        self.skip, self.weights = False, None

    def __len__(self) -> int:
        return len(self.read)

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        return [self.read[int(index)] for index in indices]


def row_shares(run: PredictionRun, rows: Sequence[Row]) -> list[JsonObject]:
    """Shapley values of the inputs for the answers to rows.

    Args:
        run: With heads.
        rows: At least one, each the ``row`` of a :class:`polymodal.runs.row_reading.ReadRow`.

    Returns:
        By row and target what each input that the row has adds to the probability of the predicted class (of
        several labels, of the likeliest), or to the predicted number in its unit.
    """
    shares = answer_shares(run.model, _ReadRows(rows, run.processor), precision=run.precision)
    decoders = run.answerer.decoders
    return [
        {target: _of(each[index], decoders[target]) for target, each in shares.items()}
        for index in range(len(rows))
    ]


def _of(shares: AnswerShares, decoder: Decoder) -> JsonObject:
    if shares.answer.size == 1:
        return dict(shares.of().shares)
    predicted = decoder.decide(shares.answer[None]).get("predicted")
    if predicted is None or predicted.ndim > 1:
        return dict(shares.of(int(shares.answer.argmax())).shares)
    return dict(shares.of(int(predicted[0])).shares)
