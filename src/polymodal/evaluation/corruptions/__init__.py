"""How cells grow worse, level by level; one file a kind of content."""

from polymodal.evaluation.corruptions.base import LEVELS, Corruption, random_of
from polymodal.evaluation.corruptions.cells import CellReader, corruptions_of

__all__ = ["LEVELS", "CellReader", "Corruption", "corruptions_of", "random_of"]
