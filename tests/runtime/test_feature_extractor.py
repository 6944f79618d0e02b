"""The feature extractors of an export make what those of Transformers make."""

import re

import numpy as np
import pytest
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from polymodal.data.readers import AudioReader
from polymodal.errors import RunError
from polymodal.runtime.feature_extractor import feature_extractor
from polymodal.runtime.file_part import FILE
from polymodal.utils.json_files import read_json

WHISPER = {
    "whisper": WhisperFeatureExtractor(),
    "of another rate": WhisperFeatureExtractor(
        feature_size=20, sampling_rate=24000, hop_length=200, chunk_length=2, n_fft=512, padding_value=0.1
    ),
}
WAVES = {
    f"{'scaled' if scaled else 'as it is'}, {'with' if mask else 'without'} mask": Wav2Vec2FeatureExtractor(
        do_normalize=scaled, return_attention_mask=mask, padding_value=0.5 if mask else 0.0
    )
    for scaled in (True, False)
    for mask in (True, False)
}
PARTS = WHISPER | WAVES


def sounds(rate, seconds):
    """A tone that fades, noise of two lengths, one click, and nothing."""
    random, time = np.random.default_rng(0), np.arange(round(rate * seconds)) / rate
    noise = random.normal(0, 0.2, len(time))
    click = np.zeros(rate // 3)
    click[100] = 1
    tone = np.sin(2 * np.pi * 440 * time) * np.exp(-5 * time)
    made = [tone, noise, noise[: rate // 5 + 7], click, np.zeros(rate // 4), noise[:1]]
    return [each.astype(np.float32) for each in made]


@pytest.mark.parametrize("name", PARTS)
def test_recordings_become_the_same_tensors(name, tmp_path):
    part = PARTS[name]
    part.save_pretrained(tmp_path)
    written = feature_extractor(read_json(tmp_path / FILE))
    seconds = float(getattr(part, "chunk_length", 1.5))
    readers = [AudioReader(each, rate=part.sampling_rate, seconds=seconds) for each in (part, written)]
    items = sounds(part.sampling_rate, 1.5)
    for chosen in (items, items[2:], items[-1:]):
        own, made = (reader.arrays(chosen) for reader in readers)
        assert own.keys() == made.keys()
        for key, array in own.items():
            assert made[key].dtype == array.dtype
            np.testing.assert_allclose(made[key], array, rtol=0, atol=2e-4)
    whole = [reader.collate_dense(items) for reader in readers]
    assert {key: tensor.shape for key, tensor in whole[0].items()} == {
        key: tensor.shape for key, tensor in whole[1].items()
    }


@pytest.mark.parametrize(
    "settings, problem",
    [
        (ASTFeatureExtractor(num_mel_bins=32).to_dict(), "of the class ASTFeatureExtractor"),
        (WhisperFeatureExtractor(dither=0.1).to_dict(), "with a mask of frames, or with noise"),
        (WhisperFeatureExtractor(return_attention_mask=True).to_dict(), "with a mask of frames"),
        (WhisperFeatureExtractor(padding_side="left").to_dict(), "pads in front of a recording"),
        (WhisperFeatureExtractor().to_dict() | {"n_fft": 1 << 40}, "another n_fft than a whole number"),
        (WhisperFeatureExtractor().to_dict() | {"hop_length": 0}, "another hop_length than"),
        (WhisperFeatureExtractor().to_dict() | {"hop_length": 1}, "hop_length is 1, expected 50 to 400"),
        (WhisperFeatureExtractor().to_dict() | {"hop_length": 401}, "hop_length is 401, expected 50 to 400"),
        (
            WhisperFeatureExtractor().to_dict() | {"sampling_rate": 100, "chunk_length": 1},
            "hop_length is 160, expected 50 to 100",
        ),
        (
            WhisperFeatureExtractor().to_dict() | {"sampling_rate": 192_000, "chunk_length": 600},
            "makes 288,000,000 values of a recording, expected 33,554,432 at most: its chunk_length is 600",
        ),
        (Wav2Vec2FeatureExtractor(feature_size=2).to_dict(), "of several channels"),
    ],
)
def test_what_is_not_known_is_refused(settings, problem):
    with pytest.raises(ValueError, match=problem):
        feature_extractor(settings)


@pytest.mark.parametrize("bins", [80, 128])
def test_the_settings_of_whisper_are_known(bins):
    part = feature_extractor(WhisperFeatureExtractor(feature_size=bins).to_dict())
    assert (part.bins, part.n_fft, part.hop_length, part.n_samples) == (bins, 400, 160, 480_000)


@pytest.mark.parametrize("samples", [100, 480_001])
def test_a_length_without_a_frame_and_one_too_long_are_refused_in_a_line(samples):
    part = feature_extractor(WhisperFeatureExtractor().to_dict())
    line = re.escape(f"is given {samples:,} samples, expected 160 to 480,000. Export again")
    with pytest.raises(RunError, match=line):
        part([np.zeros(4, np.float32)], max_length=samples)
