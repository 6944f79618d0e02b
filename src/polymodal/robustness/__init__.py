"""How a model's score falls when cells are missing or grow worse."""

from polymodal.robustness.missing_cells import missing_curves
from polymodal.robustness.noise import noise_curves

__all__ = ["missing_curves", "noise_curves"]
