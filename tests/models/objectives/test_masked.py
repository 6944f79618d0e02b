"""What masked objectives hide, what they ask for, and that nothing else counts."""

from __future__ import annotations

import pytest
import torch

import polymodal as pm
from polymodal.models.objectives.joint import seen
from polymodal.models.objectives.patches import ClipPatches, PicturePatches, SoundPatches, StepPatches
from polymodal.models.objectives.row_rng import gumbel_pairs, salt, uniform
from polymodal.models.outputs import TokenSequence
from tests.support.objective_cases import make_case, write_rows

ROWS = range(12)


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("houses"))


def view_of(case):
    return seen(**case.batch(ROWS))


def some(patches, items):
    """Half of the patches of some items."""
    return uniform(torch.arange(items), 7, patches.count) < 0.5


def test_a_picture_is_hidden_by_patches_and_told_by_its_pixels():
    patches = PicturePatches(pm.ImageEncoder("resnet", size=32))
    assert patches.shape == (8, 8)
    pixels = torch.arange(8).repeat_interleave(4)[:, None] * 8 + torch.arange(8).repeat_interleave(4)
    values = {"row": torch.arange(2), "pixel_values": pixels.to(torch.uint8).expand(2, 3, 32, 32).clone()}
    where = some(patches, 2)
    answers = patches.answers(values)
    expected = (torch.arange(64) / 127.5 - 1).expand(2, 64).unsqueeze(-1).expand_as(answers)
    torch.testing.assert_close(answers, expected)  # patch k is of brightness k
    hidden = patches.hide(values, where)["pixel_values"][:, 0]
    shown = hidden.view(2, 8, 4, 8, 4).transpose(2, 3).reshape(2, 64, 16)
    assert (shown[where] == 128).all()
    assert (shown[~where] == torch.arange(64).expand(2, 64)[~where].unsqueeze(-1)).all()


def test_a_clip_is_hidden_by_blocks_and_told_by_the_mean_of_its_frames():
    patches = ClipPatches(pm.VideoEncoder("resnet", frames=8, size=16))
    assert patches.shape == (4, 4, 4)
    clip = torch.zeros(1, 8, 3, 16, 16, dtype=torch.uint8)
    for step in range(4):
        for row in range(4):
            for column in range(4):
                block = clip[
                    :, 2 * step : 2 * step + 2, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4
                ]
                block[:, 0], block[:, 1] = 16 * step + 4 * row + column, 16 * step + 4 * row + column + 2
    values, where = {"row": torch.zeros(1, dtype=torch.long), "pixel_values": clip}, some(patches, 1)
    answers = patches.answers(values)
    expected = ((torch.arange(64) + 1) / 127.5 - 1).view(1, 64, 1).expand_as(answers)
    torch.testing.assert_close(answers, expected)
    hidden = (patches.hide(values, where)["pixel_values"] == 128)[:, ::2, 0, ::4, ::4].flatten(1)
    assert hidden.equal(where)


def test_a_recording_is_hidden_where_it_sounds_and_told_by_its_log_mel():
    encoder = pm.AudioEncoder("resnet", rate=4000, seconds=1.0, bins=16)
    patches = SoundPatches(encoder)
    waveform = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    waveform[1, 1600:] = 0
    values = {"row": torch.arange(2), "waveform": waveform, "length": torch.tensor([4000, 1600])}
    where = some(patches, 2)
    hidden = patches.hide(values, where)["waveform"]
    assert (hidden[0].view(16, 250)[where[0]] == 0).all() and (
        hidden[1, :1600].view(16, 100)[where[1]] == 0
    ).all()
    assert hidden[0].view(16, 250)[~where[0]].equal(waveform[0].view(16, 250)[~where[0]])
    frames, mask = encoder.mel(waveform, values["length"])
    answers = patches.answers(values).unflatten(2, (2, 16))
    count = int(mask[1].sum())
    torch.testing.assert_close(answers[1, 0, 0], frames[1, : -(-count // 32)].mean(dim=0))
    longer = torch.nn.functional.pad(waveform, (0, 0))
    longer[1, 1600:] = 5.0  # what lies behind the sound has no part in it
    torch.testing.assert_close(patches.answers({**values, "waveform": longer})[0], answers.flatten(2)[0])


def test_a_sequence_is_told_by_the_means_of_its_own_length():
    patches = StepPatches(pm.SequenceEncoder("resnet", features=1, length=64))
    steps = torch.arange(64.0).view(1, 64, 1).repeat(2, 1, 1)
    values = {"row": torch.arange(2), "steps": steps, "length": torch.tensor([64, 32])}
    answers = patches.answers(values)
    torch.testing.assert_close(answers[0, :2], torch.tensor([[0.5, 2.5], [4.5, 6.5]]))
    torch.testing.assert_close(answers[1, :2], torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    hidden = patches.hide(values, torch.ones(2, 16, dtype=torch.bool))["steps"]
    assert (hidden[1, :32] == 0).all() and hidden[1, 32:].equal(steps[1, 32:])


def test_the_nearest_token_tells_a_patch():
    patches = PicturePatches(pm.ImageEncoder("resnet", size=32))
    grid = TokenSequence(torch.zeros(1, 8, 4), torch.ones(1, 8, dtype=torch.bool), torch.zeros(1), (2, 4))
    places = patches.nearest_tokens(grid).view(8, 8)
    assert places[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3] and places[7].tolist() == [4, 4, 5, 5, 6, 6, 7, 7]
    sound = SoundPatches(pm.AudioEncoder("resnet", rate=4000, seconds=1.0))
    mask = torch.arange(6) < torch.tensor([[4], [1]])
    along = sound.nearest_tokens(TokenSequence(torch.zeros(2, 6, 4), mask, torch.arange(2), (6,)))
    assert along[0].tolist() == [n for n in range(4) for _ in range(4)] and not along[1].any()


def test_only_hidden_patches_count(houses):
    case = make_case(houses, pm.MaskedPatchObjective(inputs=["photo"]))
    (objective,) = case.model.objectives
    view = view_of(case)
    with torch.no_grad():
        before = objective.loss(case.model.model, view)[0]
        inputs, hidden = objective.hide(case.model.model, view)
        hidden["photo"].answers[~hidden["photo"].where] += 100.0
        objective.hide = lambda *_: (inputs, hidden)
        assert objective.loss(case.model.model, view)[0].equal(before)
        hidden["photo"].answers[hidden["photo"].where] += 100.0
        assert objective.loss(case.model.model, view)[0] > before + 100


def test_a_cell_is_hidden_only_where_the_row_holds_something_else(houses):
    case = make_case(houses, pm.MaskedPatchObjective(inputs=["bedrooms", "district"], share=0.9))
    (objective,) = case.model.objectives
    batch = case.batch(ROWS)
    batch["inputs"] = {name: batch["inputs"][name] for name in ("bedrooms", "district")}
    view = seen(**batch)
    inputs, hidden = objective.hide(case.model.model, view)
    before = torch.cat([view.inputs[name]["row"] for name in view.inputs]).unique()
    left = torch.cat([inputs[name]["row"] for name in inputs]).unique()
    assert left.equal(before) and sum(len(found.where) for found in hidden.values()) > 3
    for name, found in hidden.items():
        assert not set(found.where.tolist()) & set(inputs[name]["row"].tolist()), name
        whole = view.inputs[name]
        known = dict(zip(whole["row"].tolist(), whole["value"], strict=True))
        for row, answer in zip(found.where.tolist(), found.answers, strict=True):
            assert answer == (known[row][0] if known[row].ndim else known[row])


def test_words_are_hidden_as_bert_hides_them(houses):
    case = make_case(houses, pm.MaskedTextObjective())
    (objective,) = case.model.objectives
    words = objective.words["note"]
    ids = torch.full((4000, 12), 200)
    ids[:, 0], ids[:, 10:] = words["special"][2], 0
    content = torch.ones_like(ids, dtype=torch.bool)
    content[:, 10:] = False
    shown, hidden = objective._mask("note", ids, content, torch.arange(4000))
    assert hidden.ids.equal(ids) and not hidden.where[:, 0].any() and not hidden.where[:, 10:].any()
    assert hidden.where.any(dim=1).all()  # a text of words has one to tell
    assert shown[~hidden.where].equal(ids[~hidden.where])
    share = hidden.where[:, 1:10].float().mean().item()
    assert 0.15 < share < 0.15 + 0.85**9 / 9 + 0.02
    told = shown[hidden.where]
    assert (told == words["mask"]).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert (told == 200).float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_long_texts_are_cut_to_the_tokens_that_their_encoder_gives(houses):
    case = make_case(houses, pm.MaskedTextObjective())
    case.model.model.encoders[1].tokens = 5
    inputs, hidden = case.model.objectives[0].hide(case.model.model, view_of(case))
    assert inputs["note"]["input_ids"].shape[1] == 5 == hidden["note"][0].ids.shape[1]
    assert torch.isfinite(case.model(**case.batch(ROWS)).loss)


def test_what_resembles_is_exchanged_and_what_is_equal_never(houses):
    case = make_case(houses, pm.MatchingObjective(inputs=["photo", "note"], temperature=0.01))
    (objective,), model = case.model.objectives, case.model.model
    view = view_of(case)
    embedded = view.embedded(model)
    near = torch.nn.functional.normalize(
        torch.randn(12, 2, 8, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    near[3] = near[2]  # row 3 looks exactly like row 2, in both inputs
    drawn = objective._draw(embedded, near, view)
    both = embedded["photo"].present & embedded["note"].present
    assert drawn.valid.equal(both)
    assert not (drawn.partner == torch.arange(12))[both].any()
    if both[2] and both[3]:
        assert drawn.partner[2] == 3 and drawn.partner[3] == 2
    contents = {name: numbers.clone() for name, numbers in view.contents.items()}
    contents["photo"][3] = contents["photo"][2]
    view.contents = contents
    again = objective._draw(embedded, near, view)
    if both[2] and both[3]:
        assert again.partner[2] != 3 and again.partner[3] != 2


def test_chance_is_even_and_hangs_on_the_draw_alone():
    draws = torch.arange(20000)
    numbers = uniform(draws, salt("a"), 3)
    assert numbers.min() >= 0 and numbers.max() < 1
    torch.testing.assert_close(numbers.mean(dim=0), torch.full((3,), 0.5), atol=0.01, rtol=0)
    assert (
        abs(torch.corrcoef(torch.cat([numbers, uniform(draws, salt("b"), 3)], dim=1).T).triu(1)).max() < 0.03
    )
    order = torch.randperm(20000)
    assert uniform(draws[order], salt("a"), 3).equal(numbers[order])
    noise = gumbel_pairs(draws[:300], draws[:300] + 7, salt("a"))
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.02)  # Euler's constant
    assert noise.var().item() == pytest.approx(1.6449, abs=0.05)  # π² / 6


def test_dates_and_sets_of_categories_are_hidden_whole_and_predicted():
    torch.manual_seed(0)
    labels = ["cellar", "garden", "lift"]
    rows = [
        {"day": f"2024-{n % 12 + 1}-{n + 1}", "has": [labels[n % 3], labels[n % 2]], "size": n}
        for n in range(24)
    ]
    rows[3] |= {"day": None, "has": []}
    parts = {
        "day": pm.DateEncoder(width=8),
        "has": pm.CategoriesEncoder(categories=3, width=8),
        "size": pm.NumberEncoder(features=3, width=8),
    }
    fusion = pm.FeatureFusion("transformer", width=16, layers=1, heads=2)
    model = pm.PolymodalModel.from_parts(parts, fusion, objectives=[pm.MaskedPatchObjective()]).train()
    output = model(**pm.PolymodalProcessor.for_model(model, rows)(rows))
    output.loss.backward()
    assert output.loss.isfinite()
    for name, encoder in parts.items():
        assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters()), name
