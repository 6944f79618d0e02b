"""Every evaluation of a run on a table in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from polymodal.embedding_eval.linear_probe import LinearProbe, linear_probe
from polymodal.embedding_eval.probe_inputs import blamed_on
from polymodal.embedding_eval.probe_table import Reading
from polymodal.embedding_eval.retrieval_eval import required_retrieval
from polymodal.embedding_eval.zero_shot import ZeroShot, zero_shot
from polymodal.errors import RunError, option, worded
from polymodal.evaluation.metrics.retrieval import Retrieval
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.records import OPTIONAL, Record


@dataclass(frozen=True, kw_only=True)
class Measured(Record):
    """Evaluations of a run; None where one was not requested.

    Attributes:
        targets: Every metric by target.
        retrieval: By ``photo → note``.
        zero_shot: Zero-shot classification.
        linear_probe: A linear probe.
    """

    targets: dict[str, dict[str, float]] | None = field(default=None, metadata=OPTIONAL)
    retrieval: dict[str, Retrieval] | None = field(default=None, metadata=OPTIONAL)
    zero_shot: ZeroShot | None = field(default=None, metadata=OPTIONAL)
    linear_probe: LinearProbe | None = field(default=None, metadata=OPTIONAL)


def measure(
    run: PredictionRun,
    source: Any,
    *,
    retrieval: bool = False,
    labels: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    inputs: Sequence[str] = (),
    **reading: Any,
) -> Measured:
    """The requested evaluations; by default the run's targets, or the retrieval of a run without targets.

    Args:
        run: To measure.
        source: A table.
        retrieval: Measure retrieval as well.
        labels: Arguments of :func:`zero_shot`, with its ``target``; replaces the targets.
        probe: Arguments of :func:`linear_probe`, with its ``target``; replaces the targets.
        inputs: Of retrieval and of zero-shot classification.
        reading: See :class:`Reading`.

    Raises:
        PolymodalError: If the run or the table does not fit the request.
    """
    result = Measured()
    has_targets, others = bool(run.targets), labels is not None or probe is not None
    if not has_targets and not (retrieval or others or run.shares_space):
        fix = f"Measure its vectors with {worded('--linear-probe TARGET', 'run.linear_probe(table, target)')}"
        raise RunError(f"{run.folder}: it has no targets, and its inputs share no space. {fix}")
    if inputs and has_targets and not retrieval and labels is None:
        raise RunError(f"{option('inputs')} goes with retrieval or labels without training")
    if has_targets and not others:
        result = replace(result, targets=_targets(run, source, Reading(**reading)))
    if retrieval or not (has_targets or others):
        result = replace(result, retrieval=required_retrieval(run.fused, source, inputs=inputs, **reading))
    if labels is not None:
        result = replace(result, zero_shot=zero_shot(run.fused, source, inputs=inputs, **labels, **reading))
    if probe is not None:
        result = replace(result, linear_probe=linear_probe(run.fused, source, **probe, **reading))
    return result


def _targets(run: PredictionRun, source: Any, request: Reading) -> dict[str, dict[str, float]]:
    rejected: list[Any] = []
    table = request.table(run, source)
    with blamed_on(request.instead):
        result = run.evaluate(
            table, batch_size=request.batch_size, on_error=request.on_error, rejected=rejected,
            quiet=request.quiet,
        )  # fmt: skip
    request.reject(rejected)
    return result
