"""The leaderboard of candidates in sentences."""

from __future__ import annotations

from polymodal.candidates.checks import IN_CONTEXT, NEURAL
from polymodal.evaluation import number_text as words
from polymodal.training.portfolio_results import ModelFigures, Portfolio


def leaders(board: Portfolio, target: str) -> list[str]:
    """Which models predict a target, and which is the best on the validation rows."""
    shares = {
        name: entry.weights[target] for name, entry in board.models.items() if entry.weights.get(target)
    }
    ordered = sorted(shares, key=lambda name: -shares[name])
    if len(ordered) == 1:
        first = f"‘{ordered[0]}’ alone predicts: {board.reasons[target]}."
    else:
        parts = [f"‘{name}’ ({100 * shares[name]:.0f} %)" for name in ordered]
        first = f"A blend predicts: {', '.join(parts[:-1])} and {parts[-1]}. Why: {board.reasons[target]}."
    return [first, *_best(board, target)]


def _best(board: Portfolio, target: str) -> list[str]:
    """The model with the best score on the validation rows, beside the neural one; of equal ones the one with
    the smallest loss."""
    score = board.scores[target]
    known = {
        name: (value, -loss)
        for name, entry in board.models.items()
        if (value := _value(entry, target)) is not None and (loss := entry.losses[target]) is not None
    }
    if len(known) < 2:
        return []
    best = max(known, key=lambda name: known[name])
    others = {NEURAL: "the neural model", IN_CONTEXT: "TabICL"}
    kind = others.get(best, "a plain model")
    own = _score(board.models[best], target, score)
    line = f"The best single model on the validation rows is {kind}: ‘{best}’ ({own}"
    neural = board.models.get(NEURAL)
    beside = "" if neural is None or best == NEURAL else f"; ‘fused’: {_score(neural, target, score)}"
    return [f"{line}{beside})."]


def _score(model: ModelFigures, target: str, score: str) -> str:
    return f"{words.name(score)} {words.number(score, _value(model, target))}"


def _value(model: ModelFigures, target: str) -> float | None:
    """The score on the validation rows."""
    standing = model.validation.get(target)
    return standing.score.value if standing and standing.score else None
