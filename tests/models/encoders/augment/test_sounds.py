"""Recordings at another time and over noise: within bounds, the rest is silence, the count is right."""

import pytest
import torch

from polymodal.models.encoders.augment.signals import QUIETER, add_noise, shift_time, stretch

SAMPLES = 1000


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def counted(items, length, behind=7.0):
    """Recordings 1, 2, 3, …, and ``behind`` them what is no sound."""
    waveform = torch.arange(1, SAMPLES + 1.0).expand(items, -1)
    length = torch.full((items,), length)
    return waveform.where(torch.arange(SAMPLES) < length.unsqueeze(1), behind), length


@pytest.mark.parametrize("length", [1, 400, 900, SAMPLES])
def test_a_recording_moves_whole_within_its_fixed_length(length):
    waveform, before = counted(300, length)
    moved, after = shift_time(waveform, before, 0.3)
    assert moved.shape == waveform.shape and moved.dtype == waveform.dtype
    assert after.dtype == before.dtype and (after >= 1).all() and (after <= SAMPLES).all()
    for sound, count in zip(moved, after.tolist(), strict=True):
        kept = sound[sound != 0]
        assert torch.equal(
            kept, torch.arange(kept[0].item(), kept[-1].item() + 1)
        )  # a stretch of the recording
        assert not sound[count:].any()
        if kept[0] > 1:  # earlier: its beginning is lost
            assert len(kept) == count == length - (kept[0] - 1) and kept[0] - 1 <= 0.3 * length
        else:  # later: silence, then sound up to where it counts
            assert count == min(SAMPLES, length + count - len(kept)) and count - len(kept) <= 0.3 * length
        assert sound[count - 1] == kept[-1]


def test_moves_are_even_and_each_recordings_own():
    waveform, before = counted(4000, 500)
    _, after = shift_time(waveform, before, 0.4)
    move = (after - before).float() / 500
    assert -0.4 <= move.min() < -0.39 and 0.39 < move.max() <= 0.4
    torch.testing.assert_close(move.mean(), torch.tensor(0.0), atol=0.01, rtol=0)
    torch.testing.assert_close(move.std(), torch.tensor(0.4 / 3**0.5), atol=0.01, rtol=0)


def test_silence_stays_silence_and_nothing_becomes_of_no_sound():
    silence, length = torch.zeros(2, SAMPLES), torch.tensor([SAMPLES, 0])
    assert not add_noise(silence, length, 0.0).any()
    moved, after = shift_time(silence, length, 0.5)
    assert not moved.any() and after[1] == 0


def test_noise_has_the_ratio_that_it_is_said_to_have_and_the_sound_stays_as_loud():
    tone = torch.sin(torch.arange(4000) * 0.3).expand(2000, -1)
    length = torch.full((2000,), 3000)
    tone = tone * (torch.arange(4000) < 3000)
    noisy = add_noise(tone, length, 5.0)
    assert torch.equal(noisy[:, 3000:], tone[:, 3000:])
    sound, heard = tone[:, :3000], noisy[:, :3000]
    power = sound.square().mean(dim=1)
    torch.testing.assert_close(heard.square().mean(dim=1), power, atol=0, rtol=0.1)
    gain = (heard * sound).mean(dim=1) / power
    noise = (heard - gain.unsqueeze(1) * sound).square().mean(dim=1)
    decibels = 10 * (gain.square() * power / noise).log10()
    assert 4.5 < decibels.min() < 6 and 4 + QUIETER < decibels.max() < 5.5 + QUIETER
    torch.testing.assert_close(decibels.mean(), torch.tensor(5 + QUIETER / 2), atol=1, rtol=0)
    white = torch.fft.rfft(heard[0] - gain[0] * sound[0]).abs()[1:].square()
    torch.testing.assert_close(white[:700].mean(), white[-700:].mean(), atol=0, rtol=0.3)


def test_noise_goes_by_the_sound_alone_not_by_what_lies_behind_it():
    waveform = torch.randn(1, 500)
    longer = torch.nn.functional.pad(waveform, (0, 500), value=9.0)
    ways = []
    for sound in (torch.nn.functional.pad(waveform, (0, 500)), longer):
        torch.manual_seed(4)
        ways.append(add_noise(sound, torch.tensor([500]), 0.0)[:, :500])
    assert torch.equal(*ways)


@pytest.mark.parametrize("change", [lambda x, n: shift_time(x, n, 0.5)[0], lambda x, n: add_noise(x, n, 0.0)])
def test_gradients_flow_and_the_same_seed_gives_the_same(change):
    waveform = torch.randn(3, SAMPLES, requires_grad=True)
    length = torch.tensor([SAMPLES, 700, 300])
    ways = []
    for _ in range(2):
        torch.manual_seed(5)
        ways.append(change(waveform, length))
    assert torch.equal(*ways) and not torch.equal(ways[0], waveform)
    ways[0].square().sum().backward()
    assert waveform.grad.isfinite().all() and waveform.grad.any(dim=1).all()


def test_half_precision_stretches_to_the_same_place():
    frames = torch.randn(2, 300, 64)
    ways = []
    for enabled in (False, True):
        torch.manual_seed(6)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            ways.append(stretch(frames, 0.2)[0])
    assert torch.equal(*ways)
