"""The checks of ``train.candidates`` before any row is read."""

from __future__ import annotations

from polymodal.answers import DECODERS
from polymodal.candidates.base import CANDIDATES
from polymodal.config import Declaration
from polymodal.errors import ConfigError

NEURAL, IN_CONTEXT = "fused", "tabicl"
"""Names of two candidates, whose classes need torch."""
ALONE = [NEURAL]
FIX = f"Set train.candidates to [{NEURAL}]"


def is_portfolio(declaration: Declaration) -> bool:
    """Whether a fit tries several candidates, or another one than the neural model."""
    return declaration.train.candidates not in (None, ALONE)


def needs_torch(declaration: Declaration) -> bool:
    """Whether a fit trains models that compute with tensors; plain ones alone do not.

    Raises:
        ConfigError: If there is no such candidate.
    """
    names = declaration.train.candidates or ALONE
    return any(CANDIDATES[name].needs_torch for name in names)


def check_candidates(declaration: Declaration, *, comparing: str = "") -> None:
    """Refuse candidates that do not exist, or that this fit cannot blend.

    Args:
        declaration: Complete.
        comparing: What the fit compares, such as ``fusions``, where it does; these are of the neural model.

    Raises:
        ConfigError: Naming the candidate or the target.
    """
    names = declaration.train.candidates or ALONE
    for name in names:
        CANDIDATES[name]  # refuses what there is not
    if len(set(names)) < len(names):
        raise ConfigError(f"train.candidates names one twice: {', '.join(names)}")
    if not is_portfolio(declaration):
        return
    if comparing:
        raise ConfigError(f"a comparison of {comparing} is of the neural model alone. {FIX}")
    if declaration.generation or not declaration.targets:
        what = "answers in words" if declaration.generation else "a pre-training"
        raise ConfigError(f"train.candidates: {what} has the neural model alone. {FIX}")
    for target, config in declaration.targets.items():
        if not _blends(config.task):
            raise ConfigError(
                f"train.candidates: '{target}' cannot be blended: the head '{config.task}' has no inverse of "
                f"its answer (as_logits). {FIX}"
            )


def _blends(task: str) -> bool:
    """Whether the answers of several models of a task can be averaged."""
    if task in DECODERS:
        return True
    from polymodal.models.heads import HEADS, Head  # of other packages, which need torch

    return HEADS[task].as_logits is not Head.as_logits
