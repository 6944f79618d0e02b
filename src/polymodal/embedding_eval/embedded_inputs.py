"""Which inputs of a run take part, and whether their vectors can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polymodal.errors import RunError, did_you_mean

if TYPE_CHECKING:
    from polymodal.run import Run


def require_space(run: Run, wish: str) -> None:
    """See that vectors of different inputs can be compared, as ``wish`` takes it.

    Raises:
        RunError: If they cannot.
    """
    if not run.shares_space:
        cure = "Pre-train one with the objective contrastive or sigmoid: polymodal pretrain"
        raise RunError(f"{run.folder}: its inputs share no space, without which there is no {wish}. {cure}")


def chosen_inputs(run: Run, names: Sequence[str]) -> list[str]:
    """Some inputs of a run in declared order; all where none is named.

    Raises:
        RunError: If it has no such input.
    """
    known = run.model.config.input_names
    for name in names:
        if name not in known:
            raise RunError(f"{run.folder}: there is no input '{name}'. {did_you_mean(name, known)}")
    return [name for name in known if not names or name in names]
