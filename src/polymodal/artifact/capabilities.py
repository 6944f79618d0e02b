"""What a run can do, by its kind; every refusal of what it cannot do is made here."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from polymodal.errors import RunError


class Kind(Enum):
    """What a run answers with.

    Attributes:
        heads: A head per target.
        space: Nothing: it was pre-trained without targets, and has vectors alone.
        words: The text of a language model.
    """

    heads = "heads"
    space = "space"
    words = "words"


class Capability(Enum):
    """What may be requested of a run, or of the fit that makes one."""

    predict = "predict"
    probabilities = "probabilities"
    evaluate = "evaluate"
    report = "report"
    retrain = "retrain"
    explain = "explain"
    compare = "compare"
    embed = "embed"
    encode = "encode"
    retrieval = "retrieval"
    zero_shot = "zero_shot"
    linear_probe = "linear_probe"
    index = "index"
    generate = "generate"
    chat = "chat"
    start = "start"
    folds = "folds"
    seeds = "seeds"
    search = "search"
    fusions = "fusions"


_ANSWERS = frozenset({Capability.predict, Capability.evaluate, Capability.report, Capability.embed})
_REPEATED = frozenset({Capability.folds, Capability.seeds})
_VECTORS = frozenset(
    {
        Capability.embed, Capability.encode, Capability.retrieval, Capability.zero_shot,
        Capability.linear_probe, Capability.index, Capability.start,
    }
)  # fmt: skip
CAPABILITIES: dict[Kind, frozenset[Capability]] = {
    Kind.heads: _ANSWERS | _VECTORS | _REPEATED | {
        Capability.probabilities, Capability.explain, Capability.retrain, Capability.compare,
        Capability.search, Capability.fusions,
    },
    Kind.space: _VECTORS,
    Kind.words: _ANSWERS | _REPEATED | {Capability.generate, Capability.chat},
}  # fmt: skip
"""By kind of run."""


def require(kind: Kind, capability: Capability, folder: Path, targets: Sequence[str] = ()) -> None:
    """Refuse what a run of a kind cannot do.

    Args:
        kind: Of the run.
        capability: What is requested.
        folder: Of the run, for the message.
        targets: Those that it answers, for the message.

    Raises:
        RunError: If it is not among the capabilities of the kind.
    """
    if capability not in CAPABILITIES[kind]:
        raise RunError(f"{folder}: {_reason(kind, capability, folder, targets)}")


def _reason(kind: Kind, capability: Capability, folder: Path, targets: Sequence[str]) -> str:
    """Why a run of a kind cannot do something, and what to do instead."""
    if capability in (Capability.generate, Capability.chat):
        named = ", ".join(f"'{name}'" for name in targets)
        answers = named or ("nothing" if kind is Kind.space else "its targets")
        fix = "Fit one that does: polymodal fit TABLE --prompt '{column} …' --answer '{column}'"
        return f"answers no words, but {answers}. {fix}"
    if kind is Kind.space:
        fix = f"Tune it first: polymodal fit TABLE --target COLUMN --from {folder}"
        return f"was pre-trained without targets and has no answers. {fix}"
    if capability is Capability.probabilities:
        return "answers in words, which have no probabilities a class"
    uses = [use.value for use in _COMMANDS if use in CAPABILITIES[kind]]
    listed = f"{', '.join(uses[:-1])} or {uses[-1]}"
    return f"answers in words, and can do no such thing. Use {listed}"


_COMMANDS = (
    Capability.predict, Capability.evaluate, Capability.report, Capability.embed, Capability.chat,
)  # fmt: skip
"""What a refusal names in the place of what was requested."""
