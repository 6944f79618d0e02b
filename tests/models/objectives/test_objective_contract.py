"""The contract of all objectives, over every registered one."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
import torch

import polymodal as pm
from polymodal.errors import ConfigError
from polymodal.models import PolymodalForPreTraining
from tests.support.killing import CONTEXT
from tests.support.objective_cases import Case, make_case, write_rows

EVERY = list(pm.OBJECTIVES)
ROWS = range(12)


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("houses"))


@pytest.fixture(params=EVERY)
def case(request, houses) -> Case:
    return make_case(houses, pm.OBJECTIVES[request.param]())


def test_gradient_reaches_all_that_takes_part(case):
    (objective,) = case.model.objectives
    reached = case.gradients(case.model(**case.batch(ROWS)).loss)
    assert all(torch.isfinite(gradient).all() for gradient in reached.values())
    moving = {name for name, gradient in reached.items() if gradient.abs().sum() > 0}
    for name in objective.taking:
        place = case.model.model.encoder_of[name]
        learning = [n for n, p in case.model.model.encoders[place].named_parameters() if p.requires_grad]
        still = {n for n in learning if f"model.encoders.{place}.{n}" not in moving}
        assert not still, (name, still)
    for name, parameter in case.model.named_parameters():
        if parameter.requires_grad and name.startswith(("objectives.", "model.fusion.", "model.space.")):
            assert name in moving, name


def test_the_order_of_rows_says_nothing(case):
    order = [7, 2, 11, 0, 5, 9, 1, 3, 10, 4, 8, 6]
    whole, shuffled = case.model(**case.batch(ROWS)), case.model(**case.batch(order))
    torch.testing.assert_close(whole.loss, shuffled.loss)
    before = case.gradients(whole.loss)
    for name, gradient in case.gradients(shuffled.loss).items():
        torch.testing.assert_close(gradient, before[name], atol=1e-6, rtol=1e-4, msg=name)


def test_another_epoch_draws_anew_and_the_same_one_again(case):
    def loss(epoch: int) -> float:
        case.rows.set_epoch(epoch)
        with torch.no_grad():
            return float(case.model(**case.batch(ROWS)).loss)

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)


def test_a_saved_model_learns_on_from_the_same_loss(case, tmp_path):
    case.model.save_pretrained(tmp_path / "saved")
    loaded = PolymodalForPreTraining.from_pretrained(tmp_path / "saved").train()
    batch = case.batch(ROWS)
    assert loaded(**batch).loss.item() == case.model(**batch).loss.item()


def test_in_use_it_gives_vectors_and_no_loss(case):
    batch = case.batch(ROWS)
    with torch.no_grad():
        output = case.model.eval()(batch["index"], batch["inputs"])
    assert output.loss is None and output.fused.shape == (12, 16)
    if case.model.config.space:
        for vectors in output.embeddings.values():
            torch.testing.assert_close(vectors.norm(dim=1), torch.ones(12))


def test_it_is_for_evaluation_where_contents_are_given(case):
    case.model.eval()
    with torch.no_grad():
        output = case.model(**case.batch(ROWS))
    name = case.model.objectives[0].name
    assert torch.isfinite(output.loss) and output.parts[name].shape == (12,)


WHOLE = [name for name in EVERY if name != "matching"]
ONE_BY_ONE = [
    (name, 1) if name == "contrastive" else pytest.param(name, 1, marks=pytest.mark.slow) for name in WHOLE
]


@pytest.mark.parametrize(("name", "piece"), [*((name, 5) for name in WHOLE), *ONE_BY_ONE])
def test_pieces_are_the_whole_batch(houses, name, piece):
    case = make_case(houses, pm.OBJECTIVES[name]())
    whole = case.model(**case.batch(ROWS))
    parts = case.model(**case.batch(ROWS), piece=piece)
    torch.testing.assert_close(parts.loss, whole.loss)
    expected, found = case.gradients(whole.loss), case.gradients(parts.loss)
    assert expected.keys() == found.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-6, rtol=1e-4, msg=key)


def one_half(rank: int, place: str, folder: Any, name: str, answers: Any) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{place}", rank=rank, world_size=2)
    case = make_case(folder, pm.OBJECTIVES[name]())
    loss = case.model(**case.batch(range(6 * rank, 6 * rank + 6))).loss
    answers.put((rank, loss.item(), {n: g.numpy() for n, g in case.gradients(loss).items()}))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", EVERY)
def test_two_processes_with_half_of_the_batch_each_are_one(houses, tmp_path, name):
    case = make_case(houses, pm.OBJECTIVES[name]())
    whole = case.model(**case.batch(ROWS)).loss
    expected = case.gradients(whole)
    answers: Any = CONTEXT.Queue()
    started: list[multiprocessing.process.BaseProcess] = [
        CONTEXT.Process(target=one_half, args=(rank, str(tmp_path / "meet"), houses, name, answers))
        for rank in (0, 1)
    ]
    for process in started:
        process.start()
    halves = sorted((answers.get(timeout=120) for _ in started), key=lambda half: half[0])
    for process in started:
        process.join()
    # What DistributedDataParallel makes of them: the mean over the processes.
    assert (halves[0][1] + halves[1][1]) / 2 == pytest.approx(whole.item(), rel=1e-5)
    for key, gradient in expected.items():
        mean = sum(torch.from_numpy(half[2][key]) for half in halves) / 2
        torch.testing.assert_close(mean, gradient, atol=1e-6, rtol=1e-4, msg=key)


@pytest.mark.parametrize("name", EVERY)
def test_what_it_cannot_learn_from_is_refused_in_a_line(name):
    kind = pm.OBJECTIVES[name]
    with pytest.raises(ConfigError, match="nowhere"):
        build({"bedrooms": pm.NumberEncoder()}, kind(inputs=["nowhere"]))
    with pytest.raises(ConfigError, match=name) as refused:
        build(
            {"note": pm.TextEncoder("bert")} if name != "masked_text" else {"n": pm.NumberEncoder()}, kind()
        )
    assert len(str(refused.value).splitlines()) == 1
    if kind.needs_tokens:
        with pytest.raises(ConfigError, match="'concat' has none"):
            build({"a": pm.NumberEncoder(), "b": pm.NumberEncoder()}, kind(), "concat")


def build(parts: dict[str, pm.Encoder], objective: pm.Objective, fusion: str = "transformer") -> Any:
    return pm.PolymodalModel.from_parts(parts, pm.FeatureFusion(fusion, width=8), objectives=[objective])
