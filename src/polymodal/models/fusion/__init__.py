"""Fusions by name; each turns the embedded inputs into one :class:`FusedState`."""

# From the plainest to the dearest: the order in which they are listed, and fitted by "--fusions all".
from polymodal.models.fusion import late, product, stream, cross  # noqa: I001
from polymodal.models.fusion.base import FUSIONS, FeatureFusion, Fusion

__all__ = ["FUSIONS", "FeatureFusion", "Fusion", "late", "product", "stream", "cross"]
