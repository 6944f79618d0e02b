"""Small files that unfold into much: what reading them takes is bounded while they are read."""

import json
import struct
import subprocess
import sys
import zipfile
import zlib
from io import BytesIO

import av
import numpy as np
from PIL import Image

READ = """
import json, os, resource, sys, time
from polymodal.data.cells import MediaError
from polymodal.data.readers import READERS
for name, modality, settings, path in json.load(sys.stdin):
    if os.fork():
        os.wait()
        continue
    reader = READERS[modality](**settings)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        reader.read(path, None)
        outcome = "read"
    except MediaError as error:
        outcome = str(error)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(json.dumps([name, grown, time.process_time() - began, outcome]), flush=True)
    os._exit(0)
"""
"""Each is read by a process of its own, so that none sees what another took; the imports are shared."""


def png(side, colour, bits, channels):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    packer = zlib.compressobj(1)
    line = bytes(1 + side * channels * bits // 8)
    content = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def npz(shape, dtype):
    file = BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a.npy", "w") as part,
    ):
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(part, header)
        block, left = bytes(2**20), int(np.prod(shape)) * np.dtype(dtype).itemsize
        while left > 0:
            part.write(block[: min(left, len(block))])
            left -= len(block)
    return file.getvalue()


def flac(rate, seconds):
    file = BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=rate, layout="7.1")
        for place in range(rate * seconds // 4608):
            frame = av.AudioFrame(format="s16", layout="7.1", samples=4608)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate, frame.pts = rate, place * 4608
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def gif(side, frames):
    file = BytesIO()
    shades = [Image.new("L", (side, side), shade % 256) for shade in range(frames)]
    shades[0].save(file, "GIF", save_all=True, append_images=shades[1:])
    return file.getvalue()


BOMBS = {
    "900 million pixels": ("image", {}, lambda: png(30000, 0, 1, 1), "has 900,000,000 pixels"),
    "16 bits, four channels": ("image", {}, lambda: png(4800, 6, 16, 4), "bytes to decode"),
    "16 bits of gray": ("image", {}, lambda: png(5000, 0, 16, 1), "read"),
    "eight channels of silence": ("audio", {"seconds": 4.0}, lambda: flac(655350, 12), "read"),
    "bytes that become floats": ("sequence", {}, lambda: npz((120_000_000, 1), np.int8), "bytes to read"),
    "a long sequence": ("sequence", {}, lambda: npz((30_000_000, 1), np.float32), "read"),
    "thousands of frames": ("video", {"frames": 8}, lambda: gif(24, 3000), "read"),
}


def test_small_files_take_no_more_than_the_limits(tmp_path):
    jobs = []
    for number, (name, (modality, settings, make, _)) in enumerate(BOMBS.items()):
        path = tmp_path / str(number)
        path.write_bytes(make())
        assert path.stat().st_size < 2**20
        jobs.append((name, modality, settings, str(path)))
    command = [sys.executable, "-W", "ignore", "-c", READ]
    run = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, check=True)
    taken = {name: more for name, *more in map(json.loads, run.stdout.splitlines())}
    for name, (*_, expected) in BOMBS.items():
        grown, seconds, outcome = taken[name]
        assert grown < 512 and seconds < 20, name
        assert expected in outcome, name
