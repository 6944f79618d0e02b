"""Candidates: models of different kinds that are fitted to the same rows, and the blend of them.

Each is imported when it is first used: plain ones need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polymodal.candidates.base import CANDIDATES, HELD_OUT, Candidate, Tried

if TYPE_CHECKING:
    from polymodal.candidates.frozen import FrozenCandidate
    from polymodal.candidates.fused import FusedCandidate
    from polymodal.candidates.plain import PlainCandidate
    from polymodal.candidates.tabicl import TabICLCandidate
    from polymodal.candidates.tuned import TunedCandidate

CLASSES = {
    "PlainCandidate": "plain", "FrozenCandidate": "frozen", "TabICLCandidate": "tabicl",
    "FusedCandidate": "fused", "TunedCandidate": "tuned",
}  # fmt: skip
"""Names of candidates by their class, in the order in which they are tried."""
for _class, _name in CLASSES.items():
    CANDIDATES.declare(_name, f"polymodal.candidates.{_name}", _class)
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


def __getattr__(name: str) -> Any:
    if name not in CLASSES:
        raise AttributeError(f"module 'polymodal.candidates' has no attribute '{name}'")
    return CANDIDATES[CLASSES[name]]
