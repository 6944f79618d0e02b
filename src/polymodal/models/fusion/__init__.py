"""Fusions by name: from the embedded inputs to one :class:`FusedState`."""

# From the simplest to the most expensive: the order in which they are listed, and fitted by "--fusions all".
from polymodal.models.fusion import late, product, stream, cross  # noqa: I001
from polymodal.models.fusion.base import FUSIONS, FeatureFusion, Fusion

__all__ = ["FUSIONS", "FeatureFusion", "Fusion", "late", "product", "stream", "cross"]
