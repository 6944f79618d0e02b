"""The temperature of heads that give probabilities."""

import pytest
import torch

from polymodal.answers import ClassDecoder
from polymodal.tasks.base import Tuning
from polymodal.tasks.temperature import before_and_after, tune_temperature


def rows(seed, times, count=60):
    """Logits that are ``times`` too large, and answers drawn from the probabilities they should give."""
    generator = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(count, 3, generator=generator)
    target = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)
    return Tuning(times * logits, target)


@pytest.mark.parametrize("times", [1.0, 3.0])
def test_a_temperature_that_makes_calibration_worse_is_not_kept(times):
    kept = 0
    for seed in range(20):
        decoder, given = ClassDecoder(["a", "b", "c"]), rows(seed, times)
        tuned = tune_temperature(decoder, given)
        effect = before_and_after(decoder, given.logits, given.target)
        assert effect.after.nll <= effect.before.nll and effect.after.ece <= effect.before.ece
        assert tuned.entry["temperature"] == effect.temperature
        kept += effect.temperature != 1
    assert kept == 20 if times > 1 else 0 < kept < 20  # of calibrated ones it is chance
