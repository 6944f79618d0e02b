"""Fusions by name; each turns the embedded inputs into one :class:`FusedState`."""

from polymodal.models.fusion import late, stream
from polymodal.models.fusion.base import FUSIONS, FeatureFusion, Fusion

__all__ = ["FUSIONS", "FeatureFusion", "Fusion", "late", "stream"]
