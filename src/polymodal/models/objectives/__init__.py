"""Self-supervised objectives: losses that need no target; one objective per file."""

from polymodal.models.objectives.base import OBJECTIVES, Objective, build_objective
from polymodal.models.objectives.contrastive import ContrastiveObjective, SigmoidObjective
from polymodal.models.objectives.masked_patch import MaskedPatchObjective
from polymodal.models.objectives.masked_text import MaskedTextObjective
from polymodal.models.objectives.matching import MatchingObjective

__all__ = [
    "OBJECTIVES", "ContrastiveObjective", "MaskedPatchObjective", "MaskedTextObjective", "MatchingObjective",
    "Objective", "SigmoidObjective", "build_objective",
]  # fmt: skip
