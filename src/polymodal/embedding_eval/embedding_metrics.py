"""Everything that a run may be asked about a table at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polymodal.embedding_eval.column_override import blamed_on
from polymodal.embedding_eval.linear_probe import linear_probe
from polymodal.embedding_eval.probe_table import Reading
from polymodal.embedding_eval.retrieval_eval import required_retrieval
from polymodal.embedding_eval.zero_shot import zero_shot
from polymodal.errors import RunError

if TYPE_CHECKING:
    from polymodal.run import Run


def measure(
    run: Run,
    source: Any,
    *,
    retrieval: bool = False,
    labels: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    inputs: Sequence[str] = (),
    **reading: Any,
) -> dict[str, Any]:
    """What was asked for; else the run's targets, or the retrieval of a run that has none.

    Args:
        run: To measure.
        source: A table.
        retrieval: Beside the targets.
        labels: Of :func:`zero_shot`, with its ``target``; in the place of the targets.
        probe: Of :func:`linear_probe`, with its ``target``; in the place of the targets.
        inputs: That take part in retrieval and in labelling.
        reading: See :class:`Reading`.

    Returns:
        ``targets``, ``retrieval``, ``zero_shot``, ``linear_probe``, as far as they were measured.

    Raises:
        PolymodalError: If the run or the table does not fit what was asked.
    """
    found: dict[str, Any] = {}
    has_targets, others = bool(run.model.config.head_names), labels is not None or probe is not None
    if not has_targets and not (retrieval or others or run.shares_space):
        cure = "Measure its vectors with --linear-probe TARGET"
        raise RunError(f"{run.folder}: it has no targets, and its inputs share no space. {cure}")
    if inputs and has_targets and not retrieval and labels is None:
        raise RunError("--inputs (inputs=) goes with retrieval or labels without training")
    if has_targets and not others:
        found["targets"] = _targets(run, source, Reading(**reading))
    if retrieval or not (has_targets or others):
        found["retrieval"] = required_retrieval(run, source, inputs=inputs, **reading)
    if labels is not None:
        found["zero_shot"] = zero_shot(run, source, inputs=inputs, **labels, **reading)
    if probe is not None:
        found["linear_probe"] = linear_probe(run, source, **probe, **reading)
    return found


def _targets(run: Run, source: Any, asked: Reading) -> dict[str, dict[str, float]]:
    rejected: list[Any] = []
    table = asked.table(run, source)
    with blamed_on(asked.instead):
        found = run.evaluate(table, batch_size=asked.batch_size, on_error=asked.on_error, rejected=rejected)
    asked.reject(rejected)
    return found
