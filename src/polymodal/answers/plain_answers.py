"""Answers of plain models, and the blend of answers as logits; nothing here reads rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from polymodal.answers.base import Decoder
from polymodal.plain.blocks import Blocks
from polymodal.plain.model import PlainModel

Weights = Mapping[str, Mapping[str, float]]
"""By target and by model: the share of its answers in the blend; those of a target sum to 1."""
ArrayAnswers = dict[str, dict[str, np.ndarray]]
"""By target and by model: probabilities ``(batch, classes)`` or numbers ``(batch,)``."""


def model_name(candidate: str, learner: str) -> str:
    """The name of a plain model: ``<candidate>.<learner>``, or that of both where it is the same."""
    return candidate if learner == candidate else f"{candidate}.{learner}"


def blend_logits(
    decoder: Decoder, answers: Mapping[str, np.ndarray], weights: Mapping[str, float]
) -> np.ndarray:
    """Logits ``(batch, outputs)`` float32 whose answer, not calibrated, is the weighted mean of ``answers``.

    Args:
        decoder: Of the target.
        answers: By model ``(batch, classes)`` probabilities or ``(batch,)`` numbers.
        weights: By model, above 0, with sum 1.
    """
    used = [weight * answers[name].astype(np.float64) for name, weight in weights.items()]
    return decoder.as_logits(np.stack(used).sum(axis=0)).astype(np.float32)


class PlainAnswers:
    """The plain models of one candidate, in a blend.

    Args:
        name: Of the candidate; those of the models: see :func:`model_name`.
        model: Fitted.
    """

    def __init__(self, name: str, model: PlainModel) -> None:
        self.name, self.model = name, model

    @property
    def input_names(self) -> list[str]:
        """The inputs that it has features of."""
        return list(self.model.featurizers)

    def answers(self, blocks: Blocks) -> ArrayAnswers:
        """The answers of its models for features of rows."""
        return {
            target: {model_name(self.name, learner): answer for learner, answer in each.items()}
            for target, each in self.model.predict_blocks(blocks).items()
        }

    def model_names(self, target: str) -> list[str]:
        """The names of its models of a target."""
        return [model_name(self.name, learner) for learner in self.model.members.get(target, ())]

    def disagrees(self, outputs: Mapping[str, int]) -> str:
        """What its models answer otherwise than a blend expects, as a predicate; else empty.

        Args:
            outputs: By target the numbers a row that the blend gives.
        """
        for target, members in self.model.members.items():
            for learner, member in members.items():
                fitted = member.learner.fitted
                if target in outputs and (fitted is None or fitted.outputs != outputs[target]):
                    return f"has another number of classes of '{target}' ({learner})"
        return ""
