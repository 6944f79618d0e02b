"""A language model is tried before its conversations are packed."""

import pytest

from polymodal.errors import ConfigError
from polymodal.training.loop.packed_attention import check_packing, keeps_apart
from tests.support.small_conversations import language_model


@pytest.mark.parametrize("kind", ["llama", "qwen3", "qwen3 sliding", "gpt2"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_models_that_mask_by_positions_pass(kind, attention):
    model = language_model(kind, attention)
    assert keeps_apart(model)
    check_packing(model)


def test_in_half_precision_too():
    assert keeps_apart(language_model("qwen3").bfloat16())
    assert not keeps_apart(language_model("opt").bfloat16())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_model_whose_conversations_see_each_other_is_refused(attention):
    """OPT reckons its positions from the attention mask."""
    with pytest.raises(ConfigError, match=r"'opt'.*see each other.*Leave 'pack' out"):
        check_packing(language_model("opt", attention))


@pytest.mark.parametrize("training", [True, False])
def test_trying_leaves_the_model_as_it_was(training):
    model = language_model("gpt2").train(training)
    keeps_apart(model)
    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())
