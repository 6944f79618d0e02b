"""Interaction of inputs: the empirical multimodally-additive projection (EMAP; Hessel & Lee 2020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from polymodal.data.row_dataset import RowDataset
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap, Estimate, estimate
from polymodal.importance.subsets import Embedded, KeptRows, embed_rows, logits_of
from polymodal.models.heads import Head
from polymodal.models.predictor import Predictor
from polymodal.utils.progress import steps
from polymodal.utils.records import Record

MOST_ROWS = 500
PAIRS = 100_000
"""Pairs of rows that the fusion sees in all: with ``n`` rows it must see ``n²`` of them for each input."""
AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class Interaction(Record):
    """The share of a score due to the interaction of one input with all others.

    Attributes:
        all: The score of the model.
        additive: The score of its additive projection.
        interaction: ``all`` less ``additive``.
    """

    all: Estimate
    additive: Estimate
    interaction: Estimate


@dataclass(frozen=True, kw_only=True)
class InteractionFigures(Record):
    """Interactions by target and input.

    Attributes:
        rows: Number of sampled rows.
        targets: By target that a sampled row knows, and by input.
    """

    rows: int
    targets: dict[str, dict[str, Interaction]]


def emap(
    model: Predictor,
    rows: RowDataset,
    scores: dict[str, Score],
    *,
    most_rows: int = MOST_ROWS,
    groups: np.ndarray | None = None,
    precision: str = "fp32",
    seed: int = 0,
    kept: KeptRows | None = None,
    shown: str = "",
) -> InteractionFigures:
    """The score that each target loses when no input may interact with the others (EMAP).

    The logits ``f(a, b)`` of an input ``a`` and the rest ``b`` are replaced by the nearest sum of a function
    of ``a`` and one of ``b`` over all pairs of rows: ``mean_j f(a_i, b_j) + mean_j f(a_j, b_i) - mean f``
    (Hessel & Lee 2020, equation 2). The score that this loses is due to interaction.

    Args:
        model: With two inputs or more.
        rows: With targets; a seeded sample of at most ``most_rows`` is taken, and of fewer with many inputs,
            so that the fusion sees ``PAIRS`` pairs in all.
        scores: The metric of each target.
        most_rows: The size of the sample, at most.
        groups: ``(rows,)`` cluster ids; by default every row is a cluster of its own.
        precision: Of the forward pass, such as ``fp32``.
        seed: Of the sample and the resamples.
        kept: Keeps embedded rows for other analyses.
        shown: Description of a progress bar; empty: none.
    """
    names = model.config.input_names
    against_rest = names[:1] if len(names) == 2 else names  # of two, each is the other's rest
    most = min(most_rows, rows_of_pairs(len(names), PAIRS))
    order = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
    (batch,) = embed_rows(model, rows, batch_size=len(order), precision=precision, order=order, kept=kept)
    bootstrap_groups = (np.arange(len(rows)) if groups is None else groups)[order]
    weights = None if rows.weights is None else torch.from_numpy(rows.weights[order]).float()
    whole = logits_of(model, batch.embedded, precision)
    targets: dict[str, dict[str, Interaction]] = {name: {} for name in scores}
    with steps(shown, len(against_rest) * len(_starts(len(order)))) as step:
        for name in against_rest:
            additive = {
                target: additive_projection(pairs, weights)
                for target, pairs in paired_logits(model, batch.embedded, [name], precision, step).items()
            }
            for target, score in scores.items():
                head, truth = model.head(target), batch.targets[target]
                both = whole[target], additive[target]
                entry = _compare(head, score, truth, both, weights, bootstrap_groups, seed)
                if entry:
                    targets[target] |= dict.fromkeys(names if len(names) == 2 else [name], entry)
    known = {target: entries for target, entries in targets.items() if entries}
    return InteractionFigures(rows=len(order), targets=known)


def rows_of_pairs(inputs: int, pairs: float) -> int:
    """The size of a sample of which the fusion sees so many pairs in all."""
    return int((pairs / (1 if inputs == 2 else inputs)) ** 0.5)


def paired_logits(
    model: Predictor,
    embedded: Embedded,
    first: Sequence[str],
    precision: str = "fp32",
    step: Callable[[], None] = lambda: None,
) -> dict[str, Tensor]:
    """Logits ``(rows, rows, outputs)`` by target: at i, j inputs ``first`` are row i's, the others j's.

    ``step`` is called after every batch of pairs.
    """
    count = len(next(iter(embedded.values())).present)
    starts = _starts(count)
    parts: dict[str, list[Tensor]] = {}
    for start in starts:
        taken = torch.arange(start, min(start + starts.step, count))
        left = taken.repeat_interleave(count)
        right = torch.arange(count).repeat(len(taken))
        pairs = {name: entry.pick(left if name in first else right) for name, entry in embedded.items()}
        for target, logits in logits_of(model, pairs, precision).items():
            parts.setdefault(target, []).append(logits.unflatten(0, (len(taken), count)))
        step()
    return {target: torch.cat(pieces) for target, pieces in parts.items()}


def _starts(count: int) -> range:
    """The first rows of the batches whose pairs with all rows are predicted together."""
    return range(0, count, max(1, AT_ONCE // count))


def additive_projection(pairs: Tensor, weights: Tensor | None = None) -> Tensor:
    """The nearest sum of two functions to ``pairs`` ``(rows, rows, outputs)``, for each row with itself.

    Least squares; ``weights`` ``(rows,)`` are sample weights.
    """
    if weights is None or not weights.any():
        return pairs.mean(dim=1) + pairs.mean(dim=0) - pairs.mean(dim=(0, 1))
    share = (weights / weights.sum()).to(pairs.dtype)
    over_second, over_first = torch.einsum("ijo,j->io", pairs, share), torch.einsum("ijo,i->jo", pairs, share)
    return over_second + over_first - share @ over_second


def _compare(
    head: Head,
    score: Score,
    target: Tensor,
    logits_of_both: tuple[Tensor, Tensor],
    weights: Tensor | None,
    groups: np.ndarray,
    seed: int,
) -> Interaction | None:
    """The interaction for one target; None where no row has a ground truth."""
    known = head.known(target) if weights is None else head.known(target) & (weights > 0)
    if not known.any():
        return None
    device = head.device
    statistics = []
    for logits in logits_of_both:
        answer = head.answer(logits.to(device)).cpu()[known]
        statistics.append(score.statistics(answer, target[known], head.decide(answer)))
    both = np.stack(statistics)
    if weights is not None:
        both = both * weights[known].double().numpy()[:, None]
    points = score.value(both.sum(axis=1))
    samples = score.value(Bootstrap(groups[known.numpy()], seed=seed).resample(both))
    return Interaction(
        all=estimate(points[0], samples[:, 0]),
        additive=estimate(points[1], samples[:, 1]),
        interaction=estimate(points[0] - points[1], samples[:, 0] - samples[:, 1]),
    )
