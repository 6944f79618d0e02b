"""Candidates: models of different kinds that are fitted to the same rows, and the blend of them."""

from polymodal.candidates.base import CANDIDATES, HELD_OUT, Candidate, Tried
from polymodal.candidates.fused import FusedCandidate
from polymodal.candidates.plain import PlainCandidate

__all__ = ["CANDIDATES", "HELD_OUT", "Candidate", "FusedCandidate", "PlainCandidate", "Tried"]
