"""A blend of plain models: it reads rows, answers and needs no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.answers.answered import AnsweredRows, require_finite, rows_at_once
from polymodal.answers.base import SavedDecoder
from polymodal.answers.plain_answers import ArrayAnswers, PlainAnswers, Weights, blend_logits
from polymodal.data.readers.joint_reader import JointReader
from polymodal.data.row_processor import Row, RowProcessor, items_of
from polymodal.plain.blocks import Blocks
from polymodal.utils.cancelling import stop_if_cancelled

if TYPE_CHECKING:
    from polymodal.data.row_dataset import RowDataset


class PlainBlend:
    """Predicts the weighted mean of what plain models predict; an :class:`Answerer`.

    Args:
        inputs: Their names, in declared order.
        members: By candidate.
        weights: Of each model.
        decoders: By target, in declared order.
        processor: Reads rows for all candidates: each input by a :class:`JointReader`.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        members: Mapping[str, PlainAnswers],
        weights: Weights,
        decoders: Mapping[str, SavedDecoder],
        processor: RowProcessor,
    ) -> None:
        self.input_names, self.members, self.weights = list(inputs), dict(members), weights
        self.decoders, self.processor = dict(decoders), processor

    @property
    def head_names(self) -> list[str]:
        """Targets, in declared order."""
        return list(self.decoders)

    def model_names(self, target: str) -> list[str]:
        """The models that answer a target."""
        return [name for member in self.members.values() for name in member.model_names(target)]

    def batches(self, rows: RowDataset, batch_size: int, precision: str = "fp32") -> Iterator[AnsweredRows]:
        """See :class:`Answerer`; plain models compute in their own precision."""
        size = rows_at_once(rows.processor, batch_size)
        for start in range(0, len(rows), size):
            yield self.answered(rows.__getitems__(range(start, min(start + size, len(rows)))))

    def answered(self, read: Sequence[Row]) -> AnsweredRows:
        """The answers to rows that were read, at least one."""
        kept = {name: [items_of(row["cells"][name]) for row in read] for name in self.input_names}
        answers = self._answers({key: self._features(key, kept) for key in self.members})
        targets = {name: [row["targets"][name] for row in read] for name in read[0]["targets"]}
        return AnsweredRows(
            index=np.array([row["index"] for row in read]),
            answers=answers,
            present=np.array([[bool(items) for items in kept[name]] for name in self.input_names]).T,
            targets={name: self.processor.targets[name].as_array(cells) for name, cells in targets.items()},
            problems={row["index"]: row["problems"] for row in read if "problems" in row},
            weight=_weight(read),
        )

    def of_subsets(self, row: Row, subsets: Sequence[Collection[str]]) -> dict[str, np.ndarray]:
        """The answers to a row with some of its inputs at a time, whose features are computed once.

        Args:
            row: That was read.
            subsets: Of the inputs.

        Returns:
            By target ``(subsets, classes)`` probabilities or ``(subsets,)`` numbers.

        Raises:
            PolymodalError: If an answer is not of finite numbers.
        """
        features: dict[str, Blocks] = {}
        for key, member in self.members.items():
            features[key] = {}
            for name in member.input_names:
                picked = np.array([int(name not in subset) for subset in subsets])
                blocks = self._of_input(key, name, [items_of(row["cells"][name]), []])
                features[key] |= {part: block.rows(picked) for part, block in blocks.items()}
        return self._answers(features)

    def _answers(self, features: Mapping[str, Blocks]) -> dict[str, np.ndarray]:
        """The blended answers by target, from each candidate's features of the rows."""
        answers: ArrayAnswers = {name: {} for name in self.decoders}
        for key, member in self.members.items():
            stop_if_cancelled()
            for target, each in member.answers(features[key]).items():
                answers[target] |= each
        logits = {
            name: blend_logits(decoder, answers[name], self.weights[name])
            for name, decoder in self.decoders.items()
        }
        require_finite(logits, "fp32")
        return {name: self.decoders[name].answer(values) for name, values in logits.items()}

    def _features(self, member: str, kept: Mapping[str, Sequence[list[Any]]]) -> Blocks:
        """The features that a candidate's models take of the items of rows."""
        features: Blocks = {}
        for name in self.members[member].input_names:
            features |= self._of_input(member, name, kept[name])
        return features

    def _of_input(self, member: str, name: str, kept: Sequence[list[Any]]) -> Blocks:
        """The features of one input, of the items of each row."""
        reader = self.processor.readers[name]
        assert isinstance(reader, JointReader)
        index = list(reader.parts).index(member)
        items = [[item[index] for item in each] for each in kept]
        return self.members[member].model.input_blocks(name, items)


def _weight(read: Sequence[Row]) -> np.ndarray | None:
    return np.array([row["weight"] for row in read], dtype=np.float32) if "weight" in read[0] else None
