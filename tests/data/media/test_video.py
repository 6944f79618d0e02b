"""Real clips in, frames sampled evenly out, upright RGB; damage comes out as one line."""

import base64
import resource
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from PIL import Image

from polymodal.data.media import decoding, video
from polymodal.data.media.cells import Limits, MediaError, recognise
from polymodal.data.media.video import VideoInfo, load_video, sample_frames, video_info
from polymodal.data.tables.table import read_table
from tests.data.media.test_audio import PLAYLISTS, TEXTS, encoded
from tests.support.clips import ramp, write_clip

TIMED = [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg", ".flv", ".gif", ".apng"]
LONG = 120


def brightness(clip):
    """The mean of each frame, from 0 to 1 along the ramp."""
    return (clip.mean(axis=(1, 2, 3)) - 29.5) / 190


@pytest.mark.parametrize("suffix", [*TIMED, ".h264"])
def test_frames_are_the_middles_of_equal_stretches_in_every_format(tmp_path, suffix):
    write_clip(tmp_path / f"a{suffix}", ramp())
    clip = load_video(f"a{suffix}", tmp_path, frames=8, size=32)
    assert clip.shape == (8, 32, 32, 3) and clip.dtype == np.uint8
    np.testing.assert_allclose(brightness(clip), np.arange(2, 32, 4) / 31, atol=0.015)
    assert video_info(f"a{suffix}", tmp_path) == VideoInfo(pytest.approx(32 / 25), 64, 48, 32)


@pytest.mark.parametrize(("wanted", "places"), [(1, [8]), (2, [4, 12]), (16, range(16)), (3, [2, 8, 13])])
def test_which_frames_are_taken(wanted, places):
    clip = load_video(ramp(16), frames=wanted, size=8)
    np.testing.assert_allclose(brightness(clip), np.array(places) / 15, atol=0.01)


def test_a_clip_of_fewer_frames_gives_some_several_times(tmp_path):
    write_clip(tmp_path / "a.mp4", ramp(3))
    clip = load_video("a.mp4", tmp_path, frames=6, size=16)
    np.testing.assert_allclose(brightness(clip), [0, 0, 0.5, 0.5, 1, 1], atol=0.02)


@pytest.mark.parametrize("kind", ["path", "bytes", "uri", "dict", "path in a dict", "array"])
def test_every_kind_of_cell_gives_the_same_frames(tmp_path, kind):
    raw = write_clip(tmp_path / "a.mp4", ramp(8), crf="1").read_bytes()
    cell = {
        "path": tmp_path / "a.mp4",
        "bytes": raw,
        "uri": "data:video/mp4;base64," + base64.b64encode(raw).decode(),
        "dict": {"path": "elsewhere.mp4", "bytes": raw},
        "path in a dict": {"path": "a.mp4", "bytes": None},
        "array": np.stack([np.asarray(image) for image in sample_frames(raw, frames=8)]),
    }[kind]
    clip = load_video(cell, tmp_path, frames=4, size=16)
    np.testing.assert_array_equal(clip, load_video(raw, frames=4, size=16))
    assert video_info(cell, tmp_path)[1:] == (64, 48, 8)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_clip_of_a_phone_held_on_its_side_is_upright(tmp_path, rotation):
    frames = np.zeros((4, 32, 64, 3), np.uint8)
    frames[:, :12, :12] = 255  # bright corner: top left as stored
    write_clip(tmp_path / "a.mp4", frames, rotation=rotation)
    (image,) = sample_frames("a.mp4", tmp_path, frames=1)
    corner = {90: (3, -4), 180: (-4, -4), 270: (-4, 3)}[rotation]  # x, y after turning against the clock
    x, y = (place % size for place, size in zip(corner, image.size, strict=True))
    assert image.getpixel((x, y))[0] > 200
    assert image.size == ((64, 32) if rotation == 180 else (32, 64))
    assert video_info("a.mp4", tmp_path)[1:3] == image.size


SHADES = (10, 90, 170, 250)


def uneven(tmp_path, suffix):
    """Four shades, of which the first is shown for 2 seconds and each other for 0.1."""
    frames = [Image.new("RGB", (32, 32), (shade,) * 3) for shade in SHADES]
    path = tmp_path / f"a{suffix}"
    if suffix in (".mp4", ".mkv"):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"crf": "0"})
            stream.width = stream.height = 32
            stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 10)
            for image, time in zip(frames, (0, 20, 21, 22), strict=True):
                frame = av.VideoFrame.from_image(image)
                frame.pts, frame.time_base = time, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path
    options = {"lossless": True} if suffix == ".webp" else {"quality": 90} if suffix == ".avif" else {}
    form = {".apng": "PNG"}.get(suffix, suffix[1:])
    shown = [2000, 100, 100, 100]
    frames[0].save(path, form, save_all=True, append_images=frames[1:], duration=shown, **options)
    return path


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp", ".avif", ".mp4", ".mkv"])
def test_a_frame_that_is_shown_longer_is_taken_more_often(tmp_path, suffix):
    path = uneven(tmp_path, suffix)
    clip = load_video(path, frames=23, size=8)
    shades = [min(SHADES, key=lambda shade: abs(shade - frame.mean())) for frame in clip]
    assert shades == [10] * 20 + [90, 170, 250]
    assert video_info(path)[1:] == (32, 32, 4)


@pytest.mark.parametrize("form", ["webp", "avif"])
def test_a_still_picture_is_no_clip(form):
    with pytest.raises(MediaError, match="holds one picture and no clip"):
        load_video(still(form), frames=2, size=8)


FORMS = {
    "bytes": lambda clip: clip,
    "channels first": lambda clip: np.moveaxis(clip, -1, 1),
    "floats": lambda clip: clip.astype(np.float32) / 255,
    "16 bits": lambda clip: clip.astype(np.uint16) * 257,
    "tensor": lambda clip: torch.from_numpy(clip),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_array_of_frames_is_a_clip_alone_and_in_a_table(form):
    clip = ramp(8, 24, 16)
    array = FORMS[form](clip)
    cell = read_table(pd.DataFrame({"a": [None, array]})).row(1)["a"]
    assert recognise(array) == recognise(cell) == "video"
    for each in (array, cell):
        np.testing.assert_array_equal(
            load_video(each, frames=4, size=16), load_video(clip, frames=4, size=16)
        )


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_no_clip(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name])
    for load in (video_info, lambda *cell: load_video(*cell, frames=2, size=8)):
        with pytest.raises(MediaError, match=r"cannot be decoded \(.+\), expected a clip"):
            load(name, tmp_path)


def test_a_codec_beside_those_on_the_list_is_not_opened(tmp_path, monkeypatch):
    write_clip(tmp_path / "a.avi", ramp(4))
    monkeypatch.setattr(decoding, "CODECS", ("h264",))
    with pytest.raises(MediaError, match=r"a\.avi is encoded as mpeg4, which is not opened"):
        load_video("a.avi", tmp_path, frames=2, size=8)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(decoded=32 * 64 * 48 // 2), "pixels lie before the frames that are read"),
        (Limits(memory=50_000), "decoding frames of 64 x 48 pixels may take"),
    ],
)
def test_what_decoding_takes_is_limited(tmp_path, limits, message):
    write_clip(tmp_path / "a.mp4", ramp(), gop=100)
    with pytest.raises(MediaError, match=message):
        load_video("a.mp4", tmp_path, frames=8, size=8, limits=limits)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A clip with a key frame every ten."""
    return write_clip(tmp_path_factory.mktemp("long") / "a.mp4", ramp(LONG), gop=10, bf="0")


def count_decoded(monkeypatch):
    """How many frames come out of the decoder from now on."""
    passed = []
    real = video._decode

    def counting(*arguments):
        for each in real(*arguments):
            passed.append(each[0])
            yield each

    monkeypatch.setattr(video, "_decode", counting)
    return passed


def test_frames_between_those_wanted_are_jumped_over(long, monkeypatch):
    passed = count_decoded(monkeypatch)
    clip = load_video(long, frames=3, size=16)
    assert len(passed) < 45
    np.testing.assert_allclose(brightness(clip), np.array([20, 60, 100]) / (LONG - 1), atol=0.01)


def test_a_wrong_table_of_key_frames_costs_time_alone(long):
    class TooFar:
        """A container that seeks behind what was asked for."""

        def __init__(self, container):
            self.container, self.decode, self.seeks = container, container.decode, []

        def seek(self, offset, stream):
            self.seeks.append(offset)
            self.container.seek(offset and offset + 40 * 512, stream=stream)

    index = video._read_index(long, None, Limits())
    wanted = [index.times[place] for place in (50, 75, 119)]
    with video._opened(long, None, Limits()) as (container, stream):
        broken = TooFar(container)
        found = [frame.pts for frame in video._reach(broken, stream, index, wanted, long, Limits())]
    assert found == wanted and len(broken.seeks) == 2


def test_a_clip_is_never_held_whole(tmp_path):
    write_clip(tmp_path / "a.mpg", np.zeros((1, 480, 640, 3), np.uint8).repeat(300, axis=0), gop=300)
    list(sample_frames("a.mpg", tmp_path, frames=1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert load_video("a.mpg", tmp_path, frames=16, size=8).shape == (16, 8, 8, 3)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50_000  # kilobytes; all 300 frames are 276,000 as RGB


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(seconds=1.2), r"a\.mp4 is longer than 1\.2 seconds, expected at most 1\.2 seconds\. Cut"),
        (Limits(pixels=3000), r"a\.mp4 has frames of 64 x 48 pixels, expected at most 3,000 pixels\. Make"),
        (Limits(frames=31), r"a\.mp4 has more than 31 frames, expected at most 31 frames\. Cut the clip"),
        (Limits(bytes=100), r"a\.mp4 holds [\d,]+ bytes, expected at most 100 bytes"),
    ],
)
def test_limits_hold(tmp_path, limits, message):
    write_clip(tmp_path / "a.mp4", ramp())
    with pytest.raises(MediaError, match=message):
        load_video("a.mp4", tmp_path, frames=2, size=8, limits=limits)


@pytest.mark.parametrize("suffix", [".mkv", ".h264"])
def test_the_limit_of_seconds_holds_where_the_header_says_none(tmp_path, suffix):
    write_clip(tmp_path / f"a{suffix}", ramp(60))
    with pytest.raises(MediaError, match=r"longer than 1 seconds"):
        load_video(f"a{suffix}", tmp_path, frames=2, size=8, limits=Limits(seconds=1))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".flv", "fast.mp4"])
def test_a_clip_cut_short_is_refused(tmp_path, suffix, share):
    options = {"movflags": "+faststart"} if suffix == "fast.mp4" else {}
    whole = write_clip(tmp_path / f"a{suffix}", ramp(), **options).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(MediaError, match=r"^cut (is cut short: it ends|cannot be decoded \()") as caught:
        load_video("cut", tmp_path, frames=4, size=8)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.5, 0.96])
@pytest.mark.parametrize("suffix", [".gif", ".wmv", ".mkv", ".webm"])
def test_a_clip_that_lacks_its_end_is_refused(tmp_path, suffix, share):
    whole = write_clip(tmp_path / f"a{suffix}", ramp()).read_bytes()
    assert load_video(whole, frames=4, size=8).shape == (4, 8, 8, 3)
    with pytest.raises(MediaError, match=r"is cut short: .* expected a whole clip"):
        load_video(whole[: int(share * len(whole))], frames=4, size=8)


def test_damage_in_the_middle_is_no_other_kind_of_error(tmp_path):
    for suffix in (".mp4", ".mkv", ".avi"):
        whole = write_clip(tmp_path / f"a{suffix}", ramp(16)).read_bytes()
        random = np.random.default_rng(0)
        for _ in range(40):
            damaged = bytearray(whole)
            for place in random.integers(8, len(whole), 8):
                damaged[place] = random.integers(256)
            try:
                assert load_video(bytes(damaged), frames=4, size=8).shape == (4, 8, 8, 3)
            except MediaError as error:
                assert "\n" not in str(error)


def test_a_title_in_an_old_encoding_is_no_damage(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        container.metadata["title"] = "a house by the sea"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in ramp(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    raw = (tmp_path / "a.mp4").read_bytes()
    assert b"by the sea" in raw
    old = raw.replace(b"by the sea", b"am M\xe9er...")
    assert len(old) == len(raw) and load_video(old, frames=2, size=8).shape == (2, 8, 8, 3)


def still(format):
    file = BytesIO()
    Image.new("RGB", (32, 32), "red").save(file, format)
    return file.getvalue()


def wave():
    file = BytesIO()
    soundfile.write(file, np.zeros(800), 8000, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("load", [video_info, lambda *cell: load_video(*cell, frames=2, size=8)])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.mp4: the file is empty\. Replace the file, or leave the cell empty"),
        (b"This is no clip, but text.\n" * 99, r"a\.mp4 cannot be decoded \(.+\), expected a clip\. Replace"),
        (still("PNG"), r"a\.mp4 cannot be decoded \(no format that is opened\), expected a clip\. Replace"),
        (still("JPEG"), r"a\.mp4 cannot be decoded \(no format that is opened\), expected a clip"),
        (wave(), r"a\.mp4 has no video in it that can be decoded, expected a clip"),
    ],
    ids=["empty", "text", "png", "jpeg", "wav"],
)
def test_what_is_no_clip_is_refused(tmp_path, load, content, message):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=message):
        load("a.mp4", tmp_path)


def test_the_cover_of_a_recording_is_no_clip(tmp_path):
    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        sound, cover = container.add_stream("aac", rate=48000), container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(picture) + cover.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 48000
        container.mux(sound.encode(silence) + sound.encode(None))
    with pytest.raises(MediaError, match=r"song\.mp4 has no video in it"):
        load_video("song.mp4", tmp_path, frames=2, size=8)


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.uint8), np.zeros((2, 7, 4, 2)), ramp(2)[:0]])
def test_an_array_that_is_no_clip_is_refused(array):
    with pytest.raises(MediaError, match=r"expected numbers of shape \(frames, height, width, channels\)"):
        load_video(array, frames=2, size=8)


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlist_opens_no_other_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    encoded(tmp_path / "other.aac", "aac", 48000)
    (tmp_path / name).write_text(PLAYLISTS[name])
    for cell in (name, PLAYLISTS[name].encode()):
        with pytest.raises(MediaError):
            load_video(cell, tmp_path, frames=2, size=8)
