"""Real recordings in, one channel in [-1, 1] out; damage comes out as one line."""

import base64
import json
from io import BytesIO
from pathlib import Path

import av
import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from polymodal.data.media import Limits, MediaError, audio_info, load_audio
from polymodal.data.media import audio as recordings
from polymodal.data.media.reading_notes import collect_notes
from polymodal.data.tables.table import read_table
from tests.support.tables import write_sound


def tone(seconds: float = 0.5, rate: int = 8000, hertz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def pitch(sound: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(sound)).argmax() * rate / len(sound))


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [
        ("PCM_U8", 1e-2),
        ("PCM_16", 1e-4),
        ("PCM_24", 1e-6),
        ("PCM_32", 1e-6),
        ("FLOAT", 1e-6),
        ("DOUBLE", 1e-6),
        ("ULAW", 3e-2),
    ],
)
def test_every_sample_format_of_wav_has_full_scale_one(tmp_path, subtype, tolerance):
    soundfile.write(tmp_path / "a.wav", tone(), 8000, subtype=subtype)
    sound = load_audio("a.wav", tmp_path, rate=8000)
    assert sound.dtype == np.float32
    np.testing.assert_allclose(sound, tone(), atol=tolerance)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_are_averaged(tmp_path, channels):
    each = np.stack([tone(level=0.1 * (1 + channel)) for channel in range(channels)], axis=1)
    soundfile.write(tmp_path / "a.wav", each, 8000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio("a.wav", tmp_path, rate=8000), each.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
def test_resampling_keeps_pitch_length_and_level(tmp_path, rate):
    stereo = np.stack([tone(1.0, 44100)] * 2, axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44100)
    sound = load_audio("a.wav", tmp_path, rate=rate)
    assert abs(len(sound) - rate) <= 1
    assert pitch(sound, rate) == pytest.approx(440, abs=2)
    assert np.abs(sound[rate // 4 : -rate // 4]).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_a_title_in_an_old_encoding_is_no_damage(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "a house by the sea"
        stream = container.add_stream({"flac": "flac", "mp3": "libmp3lame"}[suffix], rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray((tone()[None] * 2**15).astype(np.int16), "s16", "mono")
        frame.sample_rate = 8000
        resampler = av.AudioResampler(stream.format, "mono", 8000, frame_size=stream.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    raw = path.read_bytes()
    words = b"by the sea"
    assert words in raw
    old = raw.replace(words, b"am M\xe9er...")
    assert len(load_audio(old, rate=8000)) == pytest.approx(4000, abs=1200)
    assert audio_info(old)[1] == 8000


def encoded(path: Path, codec: str, rate: int, **options: str) -> None:
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(1.0, rate)[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.frame_size or None)
        for part in resampler.resample(frame) + resampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "a.m4a", "a.aac", "a.opus", "a.mka"])
def test_every_format_gives_the_same_tone(tmp_path, name):
    if name in ("a.mp3", "a.flac", "a.ogg"):
        soundfile.write(tmp_path / name, tone(1.0, 16000), 16000)
        own = 16000
    else:
        own = 48000
        encoded(tmp_path / name, {"a.opus": "libopus"}.get(name, "aac"), own)
    sound = load_audio(name, tmp_path, rate=16000)
    assert len(sound) == pytest.approx(16000, rel=0.06)
    assert pitch(sound, 16000) == pytest.approx(440, abs=3)
    seconds, rate = audio_info(name, tmp_path)
    assert seconds == pytest.approx(1.0, rel=0.15)
    assert rate == own


@pytest.mark.parametrize("kind", ["bytes", "uri", "dict", "array"])
def test_every_kind_of_cell_gives_the_same_recording(kind):
    file = BytesIO()
    soundfile.write(file, tone(), 8000, format="WAV", subtype="FLOAT")
    raw = file.getvalue()
    cell = {
        "bytes": raw,
        "uri": "data:audio/wav;base64," + base64.b64encode(raw).decode(),
        "dict": {"path": None, "bytes": raw},
        "array": {"array": tone().tolist(), "sampling_rate": 8000},
    }[kind]
    np.testing.assert_allclose(load_audio(cell, rate=8000), tone(), atol=1e-6)
    assert audio_info(cell) == (0.5, 8000)


@pytest.mark.parametrize("shape", [(2, 4000), (4000, 2)])
def test_array_of_two_channels_either_way_round(shape):
    array = np.stack([tone(), 0 * tone()]).reshape(2, 4000)
    cell = {"array": array if shape[0] == 2 else array.T, "sampling_rate": 8000}
    np.testing.assert_allclose(load_audio(cell, rate=8000), tone() / 2, atol=1e-6)


WIDTHS = {np.int8: 2**7, np.int16: 2**15, np.int32: 2**31, np.float32: 1, np.float64: 1}


def in_table(cell, tmp_path):
    return read_table([{"a": cell}]).row(0)["a"]


def in_frame(cell, tmp_path):
    return read_table(pd.DataFrame({"a": [None, cell]})).row(1)["a"]


def in_parquet(cell, tmp_path):
    array = pa.array([{"array": cell["array"], "sampling_rate": cell["sampling_rate"]}, None])
    pq.write_table(pa.table({"a": array}), tmp_path / "a.parquet")
    return read_table(tmp_path / "a.parquet").row(0)["a"]


def in_dataset(cell, tmp_path):
    samples = datasets.List(datasets.Value(str(cell["array"].dtype)))
    features = datasets.Features({"a": {"array": samples, "sampling_rate": datasets.Value("int64")}})
    return read_table(datasets.Dataset.from_dict({"a": [cell]}, features=features)).row(0)["a"]


def alone(cell, tmp_path):
    return cell


@pytest.mark.parametrize("carrier", [alone, in_table, in_frame, in_parquet, in_dataset])
@pytest.mark.parametrize("dtype", WIDTHS)
def test_samples_have_the_full_scale_of_their_type_in_every_carrier(tmp_path, carrier, dtype):
    samples = (tone() * (WIDTHS[dtype] - (dtype == np.int8))).astype(dtype)
    sound = load_audio(carrier({"array": samples, "sampling_rate": 8000}, tmp_path), rate=8000)
    np.testing.assert_allclose(sound, tone(), atol=2e-2 if dtype == np.int8 else 1e-4)


@pytest.mark.parametrize("carrier", [alone, in_table])
def test_unsigned_samples_and_channels_keep_their_meaning(tmp_path, carrier):
    unsigned = (tone() * 127 + 128).astype(np.uint8)
    both = np.stack([unsigned, unsigned])
    for samples in (unsigned, both, both.T):
        sound = load_audio(carrier({"array": samples, "sampling_rate": 8000}, tmp_path), rate=8000)
        np.testing.assert_allclose(sound, tone(), atol=2e-2)


@pytest.mark.parametrize(("bits", "level"), [(16, 0.9), (16, 0.01), (24, 0.5), (32, 0.5)])
@pytest.mark.parametrize("form", ["list", "int64", "float64", "jsonl"])
def test_whole_numbers_without_a_type_have_the_smallest_full_scale_that_holds_them(
    tmp_path, bits, level, form
):
    samples = np.rint(tone(level=level) * 2.0 ** (bits - 1)).astype(np.int64)
    cell = {"array": samples if form == "int64" else samples.astype(float), "sampling_rate": 8000}
    if form == "list":
        cell["array"] = samples.tolist()
    if form == "jsonl":
        (tmp_path / "a.jsonl").write_text(json.dumps({"a": cell | {"array": samples.tolist()}}) + "\n")
        cell = read_table(tmp_path / "a.jsonl").row(0)["a"]
    with collect_notes() as notes:
        sound = load_audio(cell, rate=8000)
    np.testing.assert_allclose(sound, tone(level=level), atol=1e-4)
    assert list(notes) == [f"whole numbers without a type, read as samples of {bits} bits"]


@pytest.mark.parametrize(("level", "clipped"), [(1.5, True), (50.0, False)])
def test_floats_over_full_scale_are_clipped_and_counted_or_refused(level, clipped):
    cell = {"array": tone(level=level), "sampling_rate": 8000}
    if not clipped:
        with pytest.raises(MediaError, match=r"holds samples to 50, expected floats from -1 to 1\. Divide"):
            load_audio(cell, rate=8000)
        return
    with collect_notes() as notes:
        assert np.abs(load_audio(cell, rate=8000)).max() == 1.0
    assert notes == {"louder than full scale, clipped at it": 1}


def test_a_recording_of_which_no_sample_is_left_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(1), 44100)
    with pytest.raises(MediaError, match=r"a\.wav holds 1 samples at 44100 Hz, which are none at 8000 Hz"):
        load_audio("a.wav", tmp_path, rate=8000)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
@pytest.mark.parametrize("rate", [16000, 11025])
def test_decoding_no_further_than_is_kept_changes_nothing(tmp_path, name, rate):
    random = np.random.default_rng(0)
    soundfile.write(tmp_path / name, random.normal(0, 0.1, 5 * 44100), 44100)
    whole = load_audio(name, tmp_path, rate=rate)
    kept = load_audio(name, tmp_path, rate=rate, seconds=1.0)
    assert len(kept) == rate
    np.testing.assert_allclose(kept, whole[:rate], atol=1e-6)


def test_what_is_resampled_piece_by_piece_is_the_same(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).normal(0, 0.1, 5 * 44100), 44100)
    whole = load_audio("a.flac", tmp_path, rate=16000)
    monkeypatch.setattr(recordings, "STREAMED", 10_000)
    pieces = load_audio("a.flac", tmp_path, rate=16000)
    np.testing.assert_allclose(pieces[: len(whole)], whole[: len(pieces)], atol=1e-4)
    assert abs(len(pieces) - len(whole)) <= 1


def test_values_over_full_scale_are_clipped(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(level=3.0), 8000, subtype="FLOAT")
    assert np.abs(load_audio("a.wav", tmp_path, rate=8000)).max() == 1.0


def test_wav_written_to_a_pipe_is_read_whole(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), 8000, subtype="PCM_16")
    raw = bytearray((tmp_path / "a.wav").read_bytes())
    raw[4:8] = raw[40:44] = b"\xff\xff\xff\xff"  # its length was not known when the header was written
    assert len(load_audio(raw, rate=8000)) == 4000


@pytest.mark.parametrize("kept", [10, 30, 44, 2000])
def test_wav_cut_short_is_refused(tmp_path, kept):
    soundfile.write(tmp_path / "whole.wav", tone(), 8000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:kept])
    with pytest.raises(MediaError, match=r"^cut\.wav (is cut short|cannot be decoded)"):
        load_audio("cut.wav", tmp_path, rate=8000)


CUT = {
    "a.mp3": ("libmp3lame", {}), "untagged.mp3": ("libmp3lame", {"write_xing": "0"}), "a.flac": ("flac", {}),
    "a.ogg": ("libopus", {}), "a.m4a": ("aac", {}), "first.m4a": ("aac", {"movflags": "+faststart"}),
    "a.aac": ("aac", {}), "a.aiff": ("pcm_s16be", {}), "a.au": ("pcm_s16be", {}), "a.caf": ("pcm_s16le", {}),
    "a.w64": ("pcm_s16le", {}), "24.wav": ("pcm_s24le", {}), "a.mka": ("aac", {}), "a.webm": ("libopus", {}),
    "a.mp2": ("mp2", {}), "a.ac3": ("ac3", {}), "a.flv": ("libmp3lame", {}), "a.avi": ("libmp3lame", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_half_a_recording_is_refused_in_every_format_that_tells(tmp_path, name):
    codec, options = CUT[name]
    rate = 44100 if name in ("a.flv", "a.avi") else 48000
    encoded(tmp_path / name, codec, rate, **options)
    whole = (tmp_path / name).read_bytes()
    assert len(load_audio(whole, rate=16000)) == pytest.approx(16000, rel=0.15)
    for kept in (0.31, 0.52, 0.86):
        for seconds in (None, 0.2):
            with pytest.raises(MediaError, match=r"is cut short|cannot be decoded"):
                load_audio(whole[: int(kept * len(whole))], rate=16000, seconds=seconds)


def test_what_follows_the_sound_is_no_sign_of_a_cut(tmp_path):
    encoded(tmp_path / "a.mp3", "libmp3lame", 44100, write_xing="0")
    encoded(tmp_path / "a.ogg", "libopus", 48000)
    for name in ("a.mp3", "a.ogg"):
        tagged = (tmp_path / name).read_bytes() + b"TAG" + b"title".ljust(125, b"\0")
        assert len(load_audio(tagged, rate=16000)) == pytest.approx(16000, rel=0.1)


def test_wav_without_samples_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8000)
    with pytest.raises(MediaError, match=r"a\.wav holds no sound"):
        load_audio("a.wav", tmp_path, rate=8000)


def test_not_a_number_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.0, np.nan], np.float32), 8000, subtype="FLOAT")
    with pytest.raises(MediaError, match="values that are no numbers"):
        load_audio("a.wav", tmp_path, rate=8000)


@pytest.mark.parametrize("load", [audio_info, lambda cell: load_audio(cell, rate=8000)])
def test_picture_holds_no_audio(load):
    file = BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG")
    with pytest.raises(
        MediaError, match=r"cannot be decoded \(no format that is opened\), expected a recording"
    ):
        load(file.getvalue())


def test_too_long_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2.0), 8000)
    with pytest.raises(MediaError, match=r"a\.wav is longer than 1\.5 seconds"):
        load_audio("a.wav", tmp_path, rate=8000, limits=Limits(seconds=1.5))
    with pytest.raises(MediaError, match=r"longer than 1\.5 seconds"):
        load_audio({"array": tone(2.0), "sampling_rate": 8000}, rate=8000, limits=Limits(seconds=1.5))


@pytest.mark.parametrize("rate", [None, 0, "8000"])
def test_array_without_its_rate_is_refused(rate):
    with pytest.raises(MediaError, match="sampling_rate"):
        load_audio({"array": tone(), "sampling_rate": rate}, rate=8000)


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.aac\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile other.aac\n",
}


TEXTS = {
    "notes.txt": "Only text, line by line.\n" * 200,
    "art.nfo": "\x1b[31mred\x1b[0m\n" * 300,
    "art.ans": "\x1b[5;5Hblink\n" * 300,
    "a.srt": "1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 20,
    "a.ass": "[Script Info]\nScriptType: v4.00+\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,,,,,,,hi\n",
    "a.vtt": "WEBVTT\n\n00:00.000 --> 00:10.000\nhello\n",
    "a.svg": "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "a.mpd": "<?xml version='1.0'?><MPD><Period/></MPD>",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
}
"""What libav has demuxers of text for."""


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_no_recording(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name])
    for load in (audio_info, lambda *cell: load_audio(*cell, rate=8000)):
        with pytest.raises(MediaError, match=r"cannot be decoded \(.+\), expected a recording"):
            load(name, tmp_path)


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlist_opens_no_other_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    encoded(tmp_path / "other.aac", "aac", 48000)
    (tmp_path / name).write_text(PLAYLISTS[name])
    for cell in (name, PLAYLISTS[name].encode()):
        with pytest.raises(MediaError):
            load_audio(cell, tmp_path, rate=8000)


def test_a_codec_that_libav_does_not_know_is_one_line(tmp_path):
    write_sound(tmp_path / "a.wav", 440)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[20:22] = b"\x34\x12"  # the codec's number
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(MediaError, match=r"a\.wav is encoded as something unknown, which is not opened"):
        load_audio("a.wav", tmp_path, rate=8000)
