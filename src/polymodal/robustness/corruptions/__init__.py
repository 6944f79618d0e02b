"""How cells grow worse, level by level; one file a kind of content."""

from polymodal.robustness.corruptions.base import LEVELS, Corruption, random_of
from polymodal.robustness.corruptions.corrupted_cells import CellReader, corruptions_of

__all__ = ["LEVELS", "CellReader", "Corruption", "corruptions_of", "random_of"]
