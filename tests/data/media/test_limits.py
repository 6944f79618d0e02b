"""Small files that unfold into much: what reading them takes is bounded while they are read."""

import json
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from io import BytesIO

import av
import numpy as np
import openpyxl
import pytest
from PIL import Image

import polymodal as pm
from polymodal.errors import DataError

READ = """
import json, os, resource, sys, time
from polymodal.data.media.cells import MediaError
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


def silence(name, codec, layout="mono"):
    """A tenth of a second; ``layout`` of 8 channels is decoded into planes."""
    file = BytesIO()
    with av.open(file, "w", format=name) as container:
        stream = container.add_stream(codec, rate=48000, layout=layout)
        for place in range(5):
            frame = av.AudioFrame(format="s16", layout=layout, samples=1024)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate, frame.pts = 48000, place * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def flac_cover(side):
    """A recording whose cover is large."""
    raw, picture = silence("flac", "flac"), png(side, 2, 8, 3)
    about = struct.pack(">II9sI5II", 3, 9, b"image/png", 0, 16, 16, 24, 0, len(picture), 0)[:-4] + picture
    return raw[:4] + b"\0" + raw[5:42] + b"\6" + len(about).to_bytes(3, "big") + about + raw[42:]


def box(kind, *parts):
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def mp4(samples, tracks=1):
    """Tracks of ``samples`` pictures of a byte each, which are not there."""
    picture = struct.pack(">6xH16xHHIIIH32xHh", 1, 16, 16, 0x480000, 0x480000, 0, 1, 24, -1)
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">4xI", 1), box(b"png ", picture)),
        box(b"stts", struct.pack(">4xIII", 1, samples, 2)),
        box(b"stsc", struct.pack(">4xIIII", 1, 1, samples, 1)),
        box(b"stsz", struct.pack(">4xII", 1, samples)),
        box(b"stco", struct.pack(">4xII", 1, 40)),
    )
    about = box(b"mdhd", struct.pack(">4xIIIIHH", 0, 0, 8000, samples, 0x55C4, 0))
    media = box(b"mdia", about, box(b"hdlr", bytes(8), b"vide", bytes(13)), box(b"minf", table))
    return box(b"ftyp", b"isom", bytes(4)) + box(b"moov", *[box(b"trak", media)] * tracks) + bytes(4096)


def webp(side):
    """Two frames that each fill a canvas, of one colour."""
    file = BytesIO()
    Image.new("RGB", (side, side)).save(file, "WEBP", lossless=True, method=0)
    edge = (side - 1).to_bytes(3, "little")
    frame = bytes(6) + 2 * edge + b"\x28\0\0\0" + file.getvalue()[12:]
    frame = b"ANMF" + struct.pack("<I", len(frame)) + frame + b"\0" * (len(frame) % 2)
    head = b"VP8X" + struct.pack("<II", 10, 2) + 2 * edge + b"ANIM" + struct.pack("<I6x", 6)
    return b"RIFF" + struct.pack("<I", 4 + len(head) + 2 * len(frame)) + b"WEBP" + head + 2 * frame


def tiff(tile):
    """A picture of 16 pixels a side in one tile of ``tile``."""
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile, 324: 0, 325: 2**16}
    place = 14 + 12 * len(tags)
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, place if tag == 324 else value) for tag, value in tags.items()
    )
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(bytes(tile)) for _ in range(tile // 2)) + packer.flush()
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + packed


def jpeg(scans):
    """A progressive JPEG, its last scan repeated."""
    file = BytesIO()
    Image.new("L", (64, 64)).save(file, "JPEG", progressive=True)
    raw = file.getvalue()
    last = raw.rindex(b"\xff\xda")
    return raw[:last] + raw[last:-2] * scans + raw[-2:]


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
    "a cover": ("audio", {}, lambda: flac_cover(14000), "read"),
    "sound of eight planes": ("audio", {}, lambda: silence("mp4", "aac", "7.1"), "read"),
    "an index of millions": ("video", {"frames": 8}, lambda: mp4(60_000_000), "bytes of samples"),
    "indexes of a million": ("video", {"frames": 8}, lambda: mp4(1_000_000, 40), "bytes of samples"),
    "a large animation": ("video", {"frames": 8}, lambda: webp(9000), "bytes to decode"),
    "a tile larger than its picture": ("image", {}, lambda: tiff(22000), "bytes to decode"),
    "thousands of scans": ("image", {}, lambda: jpeg(5000), "5,0"),
    "thousands of frames": ("video", {"frames": 8}, lambda: gif(24, 3000), "read"),
}


def test_small_files_take_no_more_than_the_limits(tmp_path):
    jobs = []
    for number, (name, (modality, settings, make, _)) in enumerate(BOMBS.items()):
        path = tmp_path / str(number)
        path.write_bytes(make())
        assert path.stat().st_size < 4 * 2**20
        jobs.append((name, modality, settings, str(path)))
    command = [sys.executable, "-W", "ignore", "-c", READ]
    run = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, check=True)
    taken = {name: more for name, *more in map(json.loads, run.stdout.splitlines())}
    for name, (*_, expected) in BOMBS.items():
        grown, seconds, outcome = taken[name]
        assert grown < 512 and seconds < 20, name
        assert expected in outcome, name


def workbook(rows):
    """A sheet of ``rows`` in XML, below two columns."""
    file = BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["x", "kind"])
    book.save(file)
    packed = BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry).replace(b"</sheetData>", rows + b"</sheetData>")
            new.writestr(entry.filename, content)
    return packed.getvalue()


TABLES = {
    "lines of comments": ("t.csv", lambda: b"# a\n" * 500_000 + b"x,x\n", "same name"),
    "keys in cells": (
        "t.jsonl",
        lambda: b"".join(b'{"x": [{"k%d": 1}], "kind": "a"}\n' % at for at in range(20_000)),
        "20,000 different keys",
    ),
    "cells far to the right": (
        "t.xlsx",
        lambda: workbook(b"".join(b'<row><c r="XFD%d"><v>1</v></c></row>' % at for at in range(2, 90))),
        "too many cells",
    ),
    "a row far below": ("t.xlsx", lambda: workbook(b'<row r="900000000"><c><v>1</v></c></row>'), "cells"),
    "a workbook of blanks": ("t.xlsx", lambda: workbook(b" " * 2**25), "MB unpacked"),
}


@pytest.mark.parametrize("name", TABLES)
def test_small_tables_that_unfold_are_one_line(tmp_path, name):
    file, make, expected = TABLES[name]
    (tmp_path / file).write_bytes(make())
    with pytest.raises(DataError, match="no rows"):
        pm.check({})  # imports what the time of the check is not to hold
    began = time.process_time()
    with pytest.raises(DataError, match=expected):
        pm.check(tmp_path / file, target=["kind"])
    assert time.process_time() - began < 10
