"""What the page and the command write of the models that were tried."""

from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.report.leaderboard_text import leaders
from polymodal.training.portfolio_results import ModelFigures, Portfolio, Standing


def figures(score, loss, weight=0.0):
    standing = Standing(score=Estimate(value=score, low=None, high=None), metrics={})
    own = {"validation": {"price": standing}, "test": {}, "seconds": 1.0}
    return ModelFigures(weights={"price": weight}, losses={"price": loss}, **own)


def board(**models):
    named = {name.replace("_", "."): entry for name, entry in models.items()}
    return Portfolio(
        scores={"price": "r2"}, models=named, blend={}, losses={}, reasons={"price": "chance"}, left_out={}
    )


def test_the_best_model_is_the_one_with_the_best_score_that_is_shown():
    first, best = leaders(board(plain_linear=figures(0.888, 0.1, 1.0), fused=figures(0.898, 0.2)), "price")
    assert first == "‘plain.linear’ alone predicts: chance."
    assert best == "The best single model on the validation rows is the neural model: ‘fused’ (R² 0.898)."


def test_of_equal_scores_the_smaller_loss_is_better():
    *_, best = leaders(board(plain_linear=figures(1.0, 0.1, 1.0), fused=figures(1.0, 0.2)), "price")
    assert "is a plain model: ‘plain.linear’ (R² 1.000; ‘fused’: R² 1.000)" in best
