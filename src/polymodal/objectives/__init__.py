"""Losses that need no target: what a model learns from rows as such; one objective a file."""

from polymodal.objectives.base import OBJECTIVES, Objective, build_objective
from polymodal.objectives.contrastive import ContrastiveObjective, SigmoidObjective
from polymodal.objectives.masked_patch import MaskedPatchObjective
from polymodal.objectives.masked_text import MaskedTextObjective
from polymodal.objectives.matching import MatchingObjective

__all__ = [
    "OBJECTIVES", "ContrastiveObjective", "MaskedPatchObjective", "MaskedTextObjective", "MatchingObjective",
    "Objective", "SigmoidObjective", "build_objective",
]  # fmt: skip
