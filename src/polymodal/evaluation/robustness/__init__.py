"""How a model's score falls when cells are missing or grow worse."""

from polymodal.evaluation.robustness.missing import missing_curves
from polymodal.evaluation.robustness.noise import noise_curves

__all__ = ["missing_curves", "noise_curves"]
