"""Ensemble selection: weights of several models whose mean prediction has the smallest loss on given rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from polymodal.utils.records import Record

ROUNDS, BAGS = 25, 20
SURE = 2.0
"""Standard errors of a paired difference of two losses, beyond which it is more than chance."""
FAR = 3.0
"""Standard errors within which a loss is not clearly above the smallest."""
LEAST = 0.05
"""Share below which a model is left out: it costs as much as others to keep and to run."""
MOST_LOST = 1.05
"""Loss of the blend without such models, relative to that with them, up to which they are left out."""
SMALLEST = 1e-7
"""Probabilities are at least this: no log loss is infinite."""

RowLoss: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Predictions ``(rows, …)`` → the loss of each row ``(rows,)``."""
Choice = Literal["blend", "single"]


@dataclass(frozen=True, kw_only=True)
class Selection(Record):
    """The weights of a blend, and the losses that they were chosen by.

    Attributes:
        weights: By model, above 0, sum 1; models of weight 0 are left out.
        choice: Whether several models are blended or the best one remains alone.
        reason: Why, in one line.
        best: The model with the smallest loss.
        losses: Mean loss of each model on the rows.
        blend_loss: Mean loss of the blend on the rows, also where it was not chosen. Its weights were chosen
            on the same rows, so that it is a little too small.
    """

    weights: dict[str, float]
    choice: Choice
    reason: str
    best: str
    losses: dict[str, float]
    blend_loss: float


def select(
    predictions: Mapping[str, np.ndarray],
    loss: RowLoss,
    weights: np.ndarray | None = None,
    *,
    clusters: np.ndarray | None = None,
    equal: float = 0.0,
    rounds: int = ROUNDS,
    bags: int = BAGS,
    seed: int = 0,
) -> Selection:
    """Choose the weights of a blend by greedy selection with replacement (Caruana et al. 2004).

    Each round adds the model that makes the mean of all added ones best; it begins with the best single
    model. This is repeated on bootstrap samples of the rows and the weights are averaged, so that few rows
    decide little. Models with a share below 5 % are left out, unless the loss grows by more than 5 % without
    them. The best model remains alone where it is better than every other by more than chance and the blend
    is not better than it by more than chance; and where the loss of the blend is larger by more than 5 %.

    Args:
        predictions: By model, ``(rows, …)`` predictions for the same rows, none of which the model was fitted
            to: out-of-fold predictions, or those of validation rows.
        loss: The loss of each row of such predictions, see :func:`row_loss`.
        weights: ``(rows,)`` weights of the rows; None for equal ones.
        clusters: ``(rows,)`` the cluster of each row; rows of one cluster are drawn together.
        equal: Share of the weights that all models get alike that are not worse than the best by more than
            three standard errors: a few large errors of a long tail rank such models by chance.
        rounds: Models added per bootstrap sample.
        bags: Bootstrap samples.
        seed: Seed of the samples.

    Raises:
        ValueError: If there is no model, no row that counts, or a loss that is not finite.
    """
    names = list(predictions)
    if not names:
        raise ValueError("no model to blend")
    members = np.stack([np.asarray(predictions[name], dtype=float) for name in names])
    rows = _Rows(loss, members.shape[1], weights, clusters)
    single = np.stack([rows.losses(member) for member in members])
    if len(names) == 1:
        shares, blended = np.ones(1), single[0]
    else:
        alike, bagged = rows.near(single), _bagged(members, rows, rounds, bags, seed)
        least = min(rows.mean(losses) for losses in single)
        shares, blended = _pruned((1 - equal) * bagged + equal * alike / alike.sum(), members, rows)
        if equal and rows.mean(blended) > least:  # a model with a row that is far off is not clearly worse
            shares, blended = _pruned(bagged, members, rows)
    return _guarded(names, shares, single, blended, rows)


def is_clearly_smaller(
    losses: np.ndarray,
    others: np.ndarray,
    weights: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    *,
    unseen: float = 0.0,
) -> bool:
    """Whether losses of the same rows are smaller than others by more than :data:`SURE` standard errors.

    Args:
        losses: ``(rows,)``.
        others: ``(rows,)``.
        weights: ``(rows,)`` weights of the rows; None for equal ones.
        clusters: ``(rows,)`` the cluster of each row.
        unseen: What ``losses`` are larger by in one more row. Few rows hold no rare large loss: models that
            answer all of them correctly differ by their confidence alone, with a small standard error.
    """
    if unseen:
        losses, others = np.append(losses, unseen), np.append(others, 0.0)
        weights = None if weights is None else np.append(weights, np.mean(weights[weights > 0]))
        clusters = None if clusters is None else np.append(clusters, clusters.max() + 1)
    rows = _Rows(lambda answers: answers, len(losses), weights, clusters)
    return rows.is_better(losses[rows.counted], others[rows.counted])


def row_loss(
    kind: Literal["classes", "labels", "numbers"], truth: np.ndarray, *, spread: np.ndarray | None = None
) -> RowLoss:
    """The loss that a blend of one target is chosen by.

    Of numbers, half the squared error in variances plus half the absolute error in mean absolute deviations
    from the median: R² and the mean absolute error count the same. What predicts the median of a long tail
    well predicts its mean badly, and neither is the better answer.

    Args:
        kind: "classes": log loss; "labels": mean log loss of the labels; "numbers": see above.
        truth: ``(rows,)`` class from 0, ``(rows, labels)`` 0 or 1, or ``(rows,)`` number.
        spread: Numbers whose variance and deviation are these units; by default ``truth``.

    Returns:
        A function of the predictions: ``(rows, classes)``, ``(rows, labels)`` or ``(rows,)``.
    """
    if kind == "classes":
        return lambda answers: -np.log(np.clip(answers[np.arange(len(truth)), truth], SMALLEST, 1))
    if kind == "labels":
        return lambda answers: (
            -np.log(np.clip(np.where(truth > 0, answers, 1 - answers), SMALLEST, 1)).mean(1)
        )
    known = truth if spread is None or not len(spread) else spread
    squared = float(np.var(known)) if len(known) else 1.0
    absolute = float(np.abs(known - np.median(known)).mean()) if len(known) else 1.0
    return partial(_number_loss, truth=truth, squared=squared or 1.0, absolute=absolute or 1.0)


def _number_loss(answers: np.ndarray, *, truth: np.ndarray, squared: float, absolute: float) -> np.ndarray:
    errors = np.asarray(answers, dtype=float) - truth
    return errors**2 / (2 * squared) + np.abs(errors) / (2 * absolute)


class _Rows:
    """Mean losses over the rows with a weight above 0, and standard errors over their clusters."""

    def __init__(
        self, loss: RowLoss, count: int, weights: np.ndarray | None, clusters: np.ndarray | None
    ) -> None:
        given = np.ones(count) if weights is None else np.asarray(weights, dtype=float)
        self.loss, self.counted = loss, given > 0
        if not self.counted.any():
            raise ValueError("no row with a weight above 0 to choose a blend by")
        self.weights = given[self.counted] / given.max()
        groups = (np.arange(count) if clusters is None else np.asarray(clusters))[self.counted]
        self.codes = np.unique(groups, return_inverse=True)[1].reshape(-1)
        self.count = int(self.codes.max()) + 1

    def losses(self, answers: np.ndarray) -> np.ndarray:
        """``(counted rows,)`` losses of answers for all rows.

        Raises:
            ValueError: If one is not finite.
        """
        result = self.counted_losses(answers)
        if not np.isfinite(result).all():
            raise ValueError("a loss of a row is not finite")
        return result

    def counted_losses(self, answers: np.ndarray) -> np.ndarray:
        """The same, not checked."""
        return np.asarray(self.loss(answers), dtype=float)[self.counted]

    def mean(self, losses: np.ndarray) -> float:
        """The weighted mean."""
        return float(np.average(losses, weights=self.weights))

    def error(self, differences: np.ndarray) -> float:
        """The standard error of the mean of paired differences, by linearization over clusters."""
        if self.count < 2:
            return float("inf")
        spread = self.weights * (differences - self.mean(differences))
        sums = np.bincount(self.codes, spread, minlength=self.count)
        return float(np.sqrt(self.count / (self.count - 1) * (sums @ sums)) / self.weights.sum())

    def is_better(self, one: np.ndarray, other: np.ndarray, sure: float = SURE) -> bool:
        """Whether the losses ``one`` are smaller than ``other`` by more than so many standard errors."""
        differences = other - one
        return self.mean(differences) > sure * self.error(differences)

    def near(self, losses: np.ndarray) -> np.ndarray:
        """``(members,)`` which losses ``(members, counted rows)`` are not clearly above the smallest."""
        best = losses[int(np.argmin([self.mean(each) for each in losses]))]
        return np.array([not self.is_better(best, each, FAR) for each in losses])


def _pruned(shares: np.ndarray, members: np.ndarray, rows: _Rows) -> tuple[np.ndarray, np.ndarray]:
    """The shares without small ones, where the losses of the blend allow it; and these losses."""
    kept = np.where(shares < LEAST, 0, shares)
    whole = rows.losses(np.tensordot(shares, members, axes=1))
    if not kept.any():
        return shares, whole
    kept /= kept.sum()
    fewer = rows.losses(np.tensordot(kept, members, axes=1))
    return (kept, fewer) if rows.mean(fewer) <= MOST_LOST * rows.mean(whole) else (shares, whole)


def _bagged(members: np.ndarray, rows: _Rows, rounds: int, bags: int, seed: int) -> np.ndarray:
    """``(members,)`` mean weights over bootstrap samples of the clusters."""
    random = np.random.default_rng(seed)
    shares = np.zeros(len(members))
    for _ in range(bags):
        drawn = random.multinomial(rows.count, np.full(rows.count, 1 / rows.count))
        weights = rows.weights * drawn[rows.codes]
        if not weights.sum() > 0:  # the only rows that count were not drawn
            weights = rows.weights
        shares += _greedy(members, rows.counted_losses, weights, rounds)
    return shares / shares.sum()


def _greedy(members: np.ndarray, loss: RowLoss, weights: np.ndarray, rounds: int) -> np.ndarray:
    """``(members,)`` how often each was added in the best of the rounds, as shares."""
    counts, total = np.zeros(len(members)), np.zeros(members.shape[1:])
    best, least = counts, float("inf")
    for number in range(1, rounds + 1):
        means = [float(weights @ loss((total + member) / number)) for member in members]
        added = int(np.argmin(means))
        counts = counts + np.eye(len(members))[added]
        total = total + members[added]
        if means[added] < least:
            best, least = counts / number, means[added]
    return best


def _guarded(
    names: list[str], shares: np.ndarray, single: np.ndarray, blended: np.ndarray, rows: _Rows
) -> Selection:
    """The blend, or the best model alone where that is clearly the best."""
    means = [rows.mean(losses) for losses in single]
    best = int(np.argmin(means))
    others = [losses for number, losses in enumerate(single) if number != best]
    clear = all(rows.is_better(single[best], other) for other in others)
    gained = rows.is_better(blended, single[best])
    choice, reason = _choice(names, best, clear, gained)
    if rows.mean(blended) > MOST_LOST * means[best]:
        choice, reason = "single", f"the loss of a blend is larger than that of {names[best]}"
    if choice == "single":
        shares = np.eye(len(names))[best]
    return Selection(
        weights={name: float(share) for name, share in zip(names, shares, strict=True) if share > 0},
        choice=choice,
        reason=reason,
        best=names[best],
        losses=dict(zip(names, means, strict=True)),
        blend_loss=rows.mean(blended),
    )


def _choice(names: list[str], best: int, clear: bool, gained: bool) -> tuple[Choice, str]:
    """Whether to blend, and why."""
    if len(names) == 1:
        return "single", "there is one model"
    if gained:
        return "blend", f"better than {names[best]} by more than chance"
    if clear:
        return (
            "single",
            f"{names[best]} is better than every other model, and the blend gains nothing beyond chance",
        )
    return "blend", f"{names[best]} is not clearly better than the others"
