"""Small whole files of every kind, to be damaged."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from unittest import mock

import av
import numpy as np
import pandas as pd
import soundfile
from PIL import Image

from tests.support.searches import in_short
from tests.support.tables import ALONE, house_rows, tiny

CODECS = {
    "flac.flac": "flac", "lame.mp3": "libmp3lame", "aac.m4a": "aac", "opus.ogg": "libopus",
    "float.wav": "pcm_f32le", "eight.wav": "pcm_u8",
}  # fmt: skip
"""Recordings by name, and the codec each is written with."""
YAML = """\
# A declaration with something of everything.
data: {train: houses.csv, validation: 0.2, test: 0.1, group: null, on_error: refuse, seed: 1}
inputs:
  photo: {modality: image, encoder: {type: resnet, depths: [1, 1], hidden_sizes: [16, 32]}, size: 16}
  note: {modality: text, max_length: 16, encoder: {type: bert, hidden_size: 32}}
  voice: {modality: audio, seconds: 0.1, rate: 4000, masking: 0.2}
  bedrooms:
    modality: number
  district: {modality: category}
  walk: {modality: sequence, length: 8, masking: 0.1, items: 2, encoder: {type: bert, hidden_size: 16}}
targets:
  kind: {task: classification, class_weights: balanced, label_smoothing: 0.05}
  price: {task: regression, transform: log, weight: 0.5, interval: 0.8}
  tags: {task: multilabel, separator: "|", thresholds: 0.4}
fusion: {name: bottleneck, width: 32, dropout: 0.1, layers: 1}
train:
  epochs: 2
  batch_size: 16
  learning_rate: 1e-3
  metric: kind.macro_f1
  patience: 5
  max_grad_norm: 1.0
  weighting: fixed
  layer_decay: 1.0
  device: cpu
"""


def pictures() -> dict[str, bytes]:
    """Pictures by file name: every format and several modes."""
    random = np.random.default_rng(0)
    colour = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    clear = Image.fromarray(random.integers(0, 256, (24, 32, 4), dtype=np.uint8))
    deep = Image.fromarray(random.integers(0, 2**16, (24, 32), dtype=np.uint16))
    modes = {
        "rgb.png": colour, "rgba.png": clear, "deep.png": deep, "palette.png": colour.quantize(16),
        "rgb.jpg": colour, "cmyk.jpg": colour.convert("CMYK"), "palette.gif": colour.quantize(16),
        "rgb.webp": colour, "rgba.webp": clear, "rgb.bmp": colour, "rgb.tiff": colour, "deep.tiff": deep,
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = 6
    found = {}
    Image.init()
    for name, image in modes.items():
        file = BytesIO()
        more = {"exif": exif} if name == "rgb.jpg" else {}
        if name == "palette.gif":
            more = {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
        image.save(file, Image.registered_extensions()[f".{name.rpartition('.')[2]}"], **more)
        found[name] = file.getvalue()
    file = BytesIO()
    colour.save(file, "TIFF", compression="tiff_lzw")
    return found | {"lzw.tiff": file.getvalue()}


def recordings() -> dict[str, bytes]:
    """Recordings by file name, mono and stereo, of every format that libav writes here."""
    samples = (8000 * np.sin(np.arange(8000) / 5)).astype(np.int16)
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((2, 2, 8000, 0, "NONE", ""))
        sound.writeframes(np.stack([samples, -samples], axis=1).tobytes())
    vorbis = BytesIO()
    soundfile.write(vorbis, samples / 2**15, 8000, format="OGG", subtype="VORBIS")
    found = {"stereo.wav": file.getvalue(), "vorbis.ogg": vorbis.getvalue()}
    for name, codec in CODECS.items():
        if codec in av.codecs_available:
            found[name] = _encode(samples, codec, name.rpartition(".")[2])
    return found


def _encode(samples: np.ndarray, codec: str, suffix: str) -> bytes:
    file, rate = BytesIO(), 8000 if codec != "libopus" else 48_000
    with av.open(file, "w", format={"m4a": "mp4"}.get(suffix, suffix)) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, "mono", rate, frame_size=stream.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def clips() -> dict[str, bytes]:
    """Clips by file name."""
    random, found = np.random.default_rng(0), {}
    for name, codec in {"h264.mp4": "libx264", "vp8.webm": "libvpx", "mpeg4.avi": "mpeg4"}.items():
        if codec in av.codecs_available:
            file = BytesIO()
            with av.open(file, "w", format=name.rpartition(".")[2]) as container:
                stream = container.add_stream(codec, rate=10)
                stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
                for _ in range(20):
                    pixels = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                container.mux(stream.encode(None))
            found[name] = file.getvalue()
    return found


def sequences() -> dict[str, bytes]:
    """Feature sequences by file name: kinds of numbers, one and two dimensions, archives."""
    random = np.random.default_rng(0)
    steps = random.normal(size=(12, 5))
    arrays = {
        "float.npy": steps.astype(np.float32), "double.npy": np.asfortranarray(steps),
        "half.npy": steps.astype(np.float16), "whole.npy": (100 * steps).astype(np.int16),
        "line.npy": steps[:, 0], "truth.npy": steps > 0, "swapped.npy": steps.astype(">f4"),
    }  # fmt: skip
    found = {}
    for name, array in arrays.items():
        file = BytesIO()
        np.save(file, array)
        found[name] = file.getvalue()
    for name, save in {"plain.npz": np.savez, "packed.npz": np.savez_compressed}.items():
        file = BytesIO()
        save(file, features=steps.astype(np.float32))
        found[name] = file.getvalue()
    return found


def tables(folder: Path) -> dict[str, bytes]:
    """A table of houses in every format, its pictures and recordings in ``folder``."""
    rows = house_rows(folder, 24)
    random = np.random.default_rng(0)
    for row in rows:
        walk = random.normal(size=(int(random.integers(1, 7)), 2)).round(3)
        row |= {"walk": json.dumps(walk.tolist()), "tags": "|".join(sorted({row["kind"], "roof"}))}
    rows[3] |= {"walk": None, "tags": "roof"}
    frame = pd.DataFrame(rows).convert_dtypes()
    plain = json.loads(frame.to_json(orient="records"))
    parquet = BytesIO()
    frame.to_parquet(parquet, index=False)
    return {
        "houses.csv": frame.to_csv(index=False).encode(),
        "houses.tsv": frame.to_csv(index=False, sep="\t").encode(),
        "houses.jsonl": "\n".join(map(json.dumps, plain)).encode(),
        "houses.json": json.dumps(plain).encode(),
        "houses.parquet": parquet.getvalue(),
    }


def runs(folder: Path) -> dict[str, bytes]:
    """The files of a run in ``folder``, that loading reads."""
    import polymodal as pm  # not needed for media, and it loads torch

    rows = house_rows(folder, 24)
    inputs, settings = ["photo", "note", "bedrooms"], tiny("photo", train__epochs=1, **ALONE)
    (folder / "houses.csv").write_bytes(pd.DataFrame(rows).convert_dtypes().to_csv(index=False).encode())
    run = pm.fit(
        folder / "houses.csv", target="kind", inputs=inputs, output=folder / "run", settings=settings
    )
    read = json.loads((run.folder / "checksums.json").read_text())["sha256"]
    return {f"run/{name}": (run.folder / name).read_bytes() for name in read}


def blends(folder: Path) -> dict[str, bytes]:
    """The files of a blend of the neural model and of every plain one, in ``folder``, that loading reads."""
    import polymodal as pm
    from polymodal.candidates import choosing

    def every_model(job, target, tried, head, truth):
        names = [name for entry in tried.values() for name in entry.models.get(target, ())]
        return replace(choose(job, target, tried, head, truth), weights=dict.fromkeys(names, 1 / len(names)))

    choose = choosing._choose
    inputs = ["note", "bedrooms", "district"]
    settings = tiny(train__epochs=1, train__candidates="[plain, fused]", train__encoders="scratch")
    rows = pd.DataFrame(house_rows(folder, 40)).convert_dtypes()
    (folder / "houses.csv").write_bytes(rows.to_csv(index=False).encode())
    with in_short(), mock.patch.object(choosing, "_choose", every_model):
        run = pm.fit(
            folder / "houses.csv",
            target=["kind", "price"],
            inputs=inputs,
            output=folder / "blend",
            settings=settings,
        )
    read = json.loads((run.folder / "checksums.json").read_text())["sha256"]
    first = ["blend.json", *(name for name in read if name != "blend.json")]
    return {f"blend/{name}": (run.folder / name).read_bytes() for name in first}


INTACT = {"runs": 1, "blends": 1}
"""Whole files that are tried, by kind, where not all are: one case reads all files of a run."""


def intact(kind: str, whole: dict[str, bytes]) -> int:
    """How many of the whole files are tried before the damaged ones."""
    return INTACT.get(kind, len(whole))


def samples(kind: str, folder: Path) -> dict[str, bytes]:
    """Whole files of ``kind`` by name; what they refer to is written to ``folder``."""
    if kind == "tables":
        return tables(folder)
    if kind == "runs":
        return runs(folder)
    if kind == "blends":
        return blends(folder)
    if kind == "declarations":
        (folder / "houses.csv").write_bytes(tables(folder)["houses.csv"])
        return {"run.yaml": YAML.encode()}
    made = {"pictures": pictures, "recordings": recordings, "clips": clips, "sequences": sequences}
    return made[kind]()
