"""Candidates: models of different kinds that are fitted to the same rows, and the blend of them."""

from polymodal.candidates.base import CANDIDATES, HELD_OUT, Candidate, Tried

from polymodal.candidates.plain import PlainCandidate  # isort: skip  (the order in which they are tried)
from polymodal.candidates.frozen import FrozenCandidate  # isort: skip
from polymodal.candidates.tabicl import TabICLCandidate  # isort: skip
from polymodal.candidates.fused import FusedCandidate  # isort: skip
from polymodal.candidates.tuned import TunedCandidate  # isort: skip

__all__ = [
    "CANDIDATES",
    "HELD_OUT",
    "Candidate",
    "FrozenCandidate",
    "FusedCandidate",
    "PlainCandidate",
    "TabICLCandidate",
    "Tried",
    "TunedCandidate",
]
