"""Pictures of two rows: what is where, whose it is, and what is expected of them."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import polymodal as pm
from polymodal.errors import ConfigError
from polymodal.models import PolymodalForPreTraining
from polymodal.models.objectives.cutmix import cut_and_mix, cut_and_mixed
from polymodal.models.objectives.joint import seen
from polymodal.models.objectives.pairs import equal_contents, info_nce, sigmoid_pairs
from tests.models.objectives.test_pairs import BIAS, SCALE, unit
from tests.support.killing import CONTEXT
from tests.support.objective_cases import Case, make_case, write_rows

ROWS = range(12)


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("houses"))


def cutmix(name: str = "contrastive", **options: Any) -> pm.Objective:
    return pm.OBJECTIVES[name](fused=False, cutmix="photo", **options)


def plain(rows: list[int], height: int = 10, width: int = 16) -> dict[str, torch.Tensor]:
    """Pictures each of one brightness, that of its place in the batch."""
    brightness = torch.arange(len(rows), dtype=torch.uint8)[:, None, None, None]
    return {
        "pixel_values": brightness.expand(-1, 3, height, width).contiguous(),
        "row": torch.tensor(rows),
    }


def test_a_picture_shows_by_area_whose_it_is():
    values, shares = cut_and_mix(plain([0, 1, 2, 4, 5]), torch.arange(5) + 7, rows=6)
    assert values["pixel_values"].dtype == torch.uint8
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
    assert shares[3, 3] == 1  # a row without a picture
    seen = set()
    for item, row in enumerate([0, 1, 2, 4, 5]):
        picture = values["pixel_values"][item]
        for other, from_row in enumerate([0, 1, 2, 4, 5]):
            share = (picture == other).float().mean()
            torch.testing.assert_close(shares[row, from_row], share)
            if share and other != item:
                seen.add(other)
                rows, columns = (picture[0] == other).nonzero().unbind(dim=1)
                box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
                assert len(rows) == box  # one box, whole
    assert len(seen) >= 4  # everyone gives to another


def test_several_pictures_of_a_row_share_its_line():
    values, shares = cut_and_mix(plain([0, 0, 1, 2, 2, 2]), torch.arange(6), rows=3)
    places = torch.tensor([0, 0, 1, 2, 2, 2])
    for row in range(3):
        whose = places[values["pixel_values"][places == row].long()]
        expected = torch.stack([(whose == other).float().mean() for other in range(3)])
        torch.testing.assert_close(shares[row], expected)


def test_a_picture_alone_stays_as_it_is():
    values, shares = cut_and_mix(plain([1]), torch.tensor([3]), rows=2)
    assert (values["pixel_values"] == 0).all()
    torch.testing.assert_close(shares, torch.eye(2))


def test_areas_are_even():
    _, shares = cut_and_mix(plain(list(range(4000)), 32, 32), torch.arange(4000), rows=4000)
    own = shares.diag()
    assert own.mean() == pytest.approx(0.5, abs=0.02) and own.std() == pytest.approx(12**-0.5, abs=0.02)


@pytest.mark.parametrize("loss", [info_nce, lambda *v, **k: sigmoid_pairs(*v, BIAS, **k)])
def test_shares_are_what_is_expected(loss):
    a, b = unit(), unit(seed=1)
    torch.testing.assert_close(loss(a, b, SCALE, shares=torch.eye(6)), loss(a, b, SCALE))
    mixed = torch.eye(6)
    mixed[0, 0], mixed[0, 1] = 0.7, 0.3
    point = a.clone().requires_grad_()
    loss(point, b, SCALE, shares=mixed).backward()
    nearer = F.normalize(a - 0.05 * point.grad, dim=1)
    assert loss(nearer, b, SCALE, shares=mixed) < loss(a, b, SCALE, shares=mixed)
    # Whose text equals the own one is the own: neither a second answer nor a mistake.
    same = torch.zeros(6, 6, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    torch.testing.assert_close(loss(a, b, SCALE, same=same, shares=mixed), loss(a, b, SCALE, same=same))


def test_info_nce_of_shares_is_its_formula():
    a, b = unit(), unit(seed=1)
    shares = 0.6 * torch.eye(6) + 0.4 * torch.eye(6).roll(1, dims=1)
    logs = SCALE * a @ b.T
    there = -(shares * logs.log_softmax(dim=1)).sum(dim=1).mean()
    back = -(shares * logs.log_softmax(dim=0)).sum(dim=0).mean()
    torch.testing.assert_close(info_nce(a, b, SCALE, shares=shares), (there + back) / 2)


def test_a_partner_without_a_text_counts_nowhere():
    a, b = unit(), unit(seed=1)
    valid = torch.tensor([True, True, True, True, True, False])
    mixed = torch.eye(6)
    mixed[0, 0], mixed[0, 5] = 0.5, 0.5
    expected = info_nce(a[:5], b[:5], SCALE)
    torch.testing.assert_close(info_nce(a, b, SCALE, valid=valid, shares=mixed), expected)


@pytest.mark.parametrize("name", ["contrastive", "sigmoid"])
def test_it_is_for_training_alone_and_changes_the_pairs_of_its_pictures_alone(houses, name):
    case, without = make_case(houses, cutmix(name)), make_case(houses, pm.OBJECTIVES[name](fused=False))
    batch = case.batch(ROWS)
    losses, plain_losses = case.model(**batch).losses, without.model(**batch).losses
    for part, loss in losses.items():
        if "photo" in part or part == name:
            assert loss != plain_losses[part], part
        else:
            torch.testing.assert_close(loss, plain_losses[part])
    case.model.eval(), without.model.eval()
    with torch.no_grad():
        assert case.model(**batch).loss == without.model(**batch).loss


@pytest.mark.parametrize("name", ["contrastive", "sigmoid"])
def test_neither_order_nor_pieces_change_it(houses, name):
    case = make_case(houses, cutmix(name))
    whole = case.model(**case.batch(ROWS)).loss
    before = case.gradients(whole)
    order = [7, 2, 11, 0, 5, 9, 1, 3, 10, 4, 8, 6]
    for other in (case.model(**case.batch(order)), case.model(**case.batch(ROWS), piece=5)):
        torch.testing.assert_close(other.loss, whole)
        for key, gradient in case.gradients(other.loss).items():
            torch.testing.assert_close(gradient, before[key], atol=1e-6, rtol=1e-4, msg=key)


def test_a_batch_without_pictures_is_learned_from(houses):
    case = make_case(houses, cutmix())
    batch = case.batch(ROWS)
    batch["inputs"]["photo"] = {
        "pixel_values": torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "row": torch.empty(0, dtype=torch.long)
    }  # fmt: skip
    assert torch.isfinite(case.model(**batch).loss)


def test_it_is_saved_and_built_again(houses, tmp_path):
    case: Case = make_case(houses, cutmix())
    case.model.save_pretrained(tmp_path)
    loaded = PolymodalForPreTraining.from_pretrained(tmp_path).train()
    assert loaded.objectives[0].settings()["cutmix"] == "photo"
    batch = case.batch(ROWS)
    assert loaded(**batch).loss == case.model(**batch).loss


def half(case: Case, number: int) -> dict[str, Any]:
    return case.batch(range(6 * number, 6 * number + 6))


def one_half(rank: int, place: str, folder: Any, answers: Any) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{place}", rank=rank, world_size=2)
    case = make_case(folder, cutmix(inputs=["photo", "note"]))
    answers.put(case.model(**half(case, rank)).loss.item())
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_mix_what_each_has_and_compare_all(houses, tmp_path):
    answers: Any = CONTEXT.Queue()
    started: list[multiprocessing.process.BaseProcess] = [
        CONTEXT.Process(target=one_half, args=(rank, str(tmp_path / "meet"), houses, answers))
        for rank in (0, 1)
    ]
    for process in started:
        process.start()
    losses = [answers.get(timeout=120) for _ in started]
    for process in started:
        process.join()
    case = make_case(houses, cutmix(inputs=["photo", "note"]))
    (objective,) = case.model.objectives
    mixed = [cut_and_mixed(seen(**half(case, number)), "photo") for number in (0, 1)]
    made = [objective.vectors(case.model.model, view) for view, _ in mixed]
    together = {key: torch.cat([one[key] for one in made]) for key in made[0]}
    shares = torch.block_diag(*[share for _, share in mixed])
    holds = (together[f"{name} holds"] for name in ("photo", "note"))
    same = torch.stack([equal_contents(one) for one in holds]).any(dim=0)
    valid = together["photo is there"] & together["note is there"]
    expected = info_nce(together["photo"], together["note"], objective.scale, same, valid, shares)
    assert losses == pytest.approx([expected.item()] * 2, rel=1e-5)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"cutmix": "photo"}, "set fused to false"),
        ({"cutmix": "foto", "fused": False}, "'foto', which is no input of it. Did you mean 'photo'"),
        ({"cutmix": "note", "fused": False}, "'note', which is text, expected pictures"),
    ],
)
def test_what_cannot_be_mixed_is_refused_in_a_line(options, said):
    with pytest.raises((ConfigError, ValueError), match=said):
        build(pm.OBJECTIVES["contrastive"](**options))


def test_a_frozen_encoder_is_refused():
    photo = pm.ImageEncoder("resnet", size=16, freeze=True)
    with pytest.raises(ConfigError, match="which is frozen"):
        build(cutmix(), photo)


def build(objective: pm.Objective, photo: Any = None) -> Any:
    parts = {"photo": photo or pm.ImageEncoder("resnet", size=16), "note": pm.TextEncoder("bert")}
    return pm.PolymodalModel.from_parts(
        parts, pm.FeatureFusion("transformer", width=8), objectives=[objective]
    )
