"""A model that goes on from another: what means the same is copied to the last bit, and nothing else."""

import pytest
import torch

from polymodal.errors import RunError
from polymodal.models.encoders import CategoryEncoder, ImageEncoder, NumberEncoder, TextEncoder
from polymodal.models.fusion import FUSIONS, FeatureFusion
from polymodal.models.modeling import PolymodalModel
from polymodal.models.outputs import EmbeddedInput
from polymodal.training.warm_start.fusion_tensors import meanings
from polymodal.training.warm_start.transfer import continue_from, copy_fusion

WIDTH = 16
OWN = [name for name in FUSIONS if FUSIONS[name].tensor_rules]


def fusion(name, inputs, seed=0, **options):
    torch.manual_seed(seed)
    made = FeatureFusion(name, width=WIDTH, inputs=inputs, **options)
    for parameter in made.parameters():  # norms and biases start alike everywhere
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval()


def embedded(inputs, rows=3):
    """Tokens that hang on the input's name, not on its place."""
    made = {}
    for name in inputs:
        random = torch.Generator().manual_seed(ord(name))
        tokens = torch.randn(rows, 4, WIDTH, generator=random)
        made[name] = EmbeddedInput(tokens, torch.ones(rows, 4, dtype=torch.bool), torch.ones(rows).bool())
    return made


def model(seed=0, name="transformer", width=WIDTH, **encoders):
    torch.manual_seed(seed)
    made = PolymodalModel.from_parts(encoders or parts(), FeatureFusion(name, width=width))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval()


def parts(*names):
    made = {
        "photo": lambda: ImageEncoder("resnet", size=16, hidden_sizes=[8, 8], depths=[1, 1]),
        "size": lambda: NumberEncoder(features=3),
        "kind": lambda: CategoryEncoder(categories=3),
        "note": lambda: TextEncoder("bert", hidden_size=8, num_hidden_layers=1, num_attention_heads=2),
    }
    return {name: made[name]() for name in names or ("photo", "size", "kind")}


def test_every_fusion_of_ours_has_its_rules():
    assert {*OWN} == {name for name in FUSIONS if FUSIONS[name].__module__.startswith("polymodal.models")}


@pytest.mark.parametrize("name", OWN)
def test_the_same_inputs_are_the_same_weights_to_the_last_bit(name):
    old, new = model(0, name), model(1, name)
    done = continue_from(old, new)
    before, after = old.state_dict(), new.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert {name for name, _ in new.named_parameters()} <= new.continued
    assert done.new == [] and f"fusion '{name}'" in done.loaded


@pytest.mark.parametrize("name", [name for name in OWN if name != "tensor"])
@pytest.mark.parametrize("inputs", ["ab", "abc", "abcde"])
def test_inputs_in_another_order_give_the_same_answer(name, inputs):
    old, new = fusion(name, [*inputs]), fusion(name, [*inputs[::-1]], seed=1)
    with torch.no_grad():
        whole = copy_fusion(old, new)
        torch.testing.assert_close(
            new(embedded(inputs[::-1])).pooled, old(embedded(inputs)).pooled, rtol=1e-4, atol=1e-5
        )
    assert len(whole) == len(new.state_dict())


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("inputs", [("abc", "ac"), ("abc", "cabd"), ("abcd", "db"), ("ab", "bxy")])
def test_only_what_is_common_is_copied(name, inputs):
    """What comes from the old fusion is alike in two that began differently, the rest stays as it was."""
    before, after = inputs
    old = fusion(name, [*before])
    made = [fusion(name, [*after], seed) for seed in (1, 2)]
    fresh = [{key: value.clone() for key, value in one.state_dict().items()} for one in made]
    with torch.no_grad():
        whole = [copy_fusion(old, one) for one in made]
    assert whole[0] == whole[1]
    values = torch.cat([value.flatten() for value in old.state_dict().values()])
    for key, value in made[0].state_dict().items():
        other = made[1].state_dict()[key]
        same = value == other
        assert same.all() == (key in whole[0]), key
        assert torch.isin(value[same], values).all(), key
        assert torch.equal(value[~same], fresh[0][key][~same]), key
    assert made[0](embedded(after)).pooled.isfinite().all()


def test_an_input_in_the_place_of_another_does_not_get_its_weights():
    old, new = fusion("tensor", ["a", "b"]), fusion("tensor", ["a", "x"], seed=1)
    fresh = {key: value.clone() for key, value in new.state_dict().items()}
    with torch.no_grad():
        copy_fusion(old, new)
    after, before = new.state_dict(), old.state_dict()
    for key in fresh:
        copied = key.startswith("fusion.reduce.0.")
        assert torch.equal(after[key], (before if copied else fresh)[key]), key


def test_the_answers_of_a_linear_fusion_fall_by_what_was_dropped():
    old, new = fusion("sum", [*"abc"]), fusion("sum", [*"ca"], seed=1)
    with torch.no_grad():
        copy_fusion(old, new)
        vote = old.fusion.project[1](embedded("b")["b"].tokens.mean(dim=1))
        expected = old(embedded("abc")).pooled - vote
        torch.testing.assert_close(new(embedded("ca")).pooled, expected)


def test_a_fusion_that_no_rule_knows_goes_on_with_the_same_inputs_alone():
    assert meanings(fusion("sum", ["a"])).keys() == fusion("sum", ["a"]).state_dict().keys()
    unknown = fusion("sum", ["a", "b"])
    unknown.fusion.tensor_rules = {}
    assert meanings(unknown) == {}


def test_added_and_dropped_inputs_leave_the_others_as_they_were():
    old = model(0, photo=parts()["photo"], size=NumberEncoder(features=3), kind=CategoryEncoder(categories=3))
    new = model(1, **parts("kind", "photo", "note"))
    fresh = {key: value.clone() for key, value in new.state_dict().items()}
    done = continue_from(old, new)
    before, after = old.state_dict(), new.state_dict()
    places = {"kind": (2, 0), "photo": (0, 1)}
    for was, is_now in places.values():
        for key in before:
            head, _, rest = key.partition(f".{was}.")
            if head in ("encoders", "embedding.project", "embedding.position"):
                assert torch.equal(after[f"{head}.{is_now}.{rest}"], before[key]), key
        for table in ("segment", "missing"):
            rows = after[f"embedding.{table}.weight"], before[f"embedding.{table}.weight"]
            assert torch.equal(rows[0][is_now], rows[1][was])
    assert torch.equal(after["embedding.segment.weight"][2], fresh["embedding.segment.weight"][2])
    assert all(torch.equal(after[key], fresh[key]) for key in fresh if key.startswith("encoders.2."))
    assert done.new == ["input note"]
    assert done.loaded == ["encoder of kind", "encoder of photo", "embedding", "fusion 'transformer'"]
    assert "embedding.segment.weight" not in new.continued  # a row of it is new
    assert not any(name.startswith("encoders.2.") for name in new.continued)


def test_another_width_makes_embedding_and_fusion_new():
    old, new = model(0), model(1, width=24)
    fresh = {key: value.clone() for key, value in new.state_dict().items()}
    done = continue_from(old, new)
    assert done.new == ["embedding (width 24, before 16)", "fusion 'transformer'"]
    assert all(torch.equal(v, fresh[k]) for k, v in new.state_dict().items() if not k.startswith("encoders"))
    assert all(name.startswith("encoders.") for name in new.continued)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"name": "concat"}, "fusion 'concat' (before 'transformer')"),
        ({"heads": 2}, "fusion 'transformer' (other options)"),
    ],
)
def test_another_fusion_is_new_though_its_tensors_have_the_same_shapes(other, said):
    torch.manual_seed(1)
    new = PolymodalModel.from_parts(parts(), FeatureFusion(**{"width": WIDTH} | other))
    done = continue_from(model(0), new)
    assert done.new == [said] and "embedding" in done.loaded
    assert not any(name.startswith("fusion.") for name in new.continued)


def test_known_categories_keep_their_row():
    old = model(0, kind=CategoryEncoder(categories=2))
    new = model(1, kind=CategoryEncoder(categories=4))
    fresh = new.encoders[0].embed.weight.clone()
    continue_from(old, new)
    weight = new.encoders[0].embed.weight
    assert torch.equal(weight[:3], old.encoders[0].embed.weight) and torch.equal(weight[3:], fresh[3:])
    assert "encoders.0.embed.weight" not in new.continued


def test_an_encoder_of_another_kind_is_refused():
    with pytest.raises(RunError, match="the encoder of size is another than in the run"):
        continue_from(model(0, size=NumberEncoder(features=3)), model(1, size=NumberEncoder(features=4)))
