"""Single cells that no model can learn from, through the command line: too large, too long, never seen."""

import struct
import wave
import zlib

import pandas as pd

from tests.support.command import error, errors, polymodal


def table_with(folder, column, cells):
    """``bad.csv``: the houses with other cells in ``column``, by row from 1."""
    frame = pd.read_csv(folder / "houses.csv", dtype=str)
    if column not in frame:
        frame[column] = None
    for row, cell in cells.items():
        frame.loc[row - 1, column] = cell
    frame.to_csv(folder / "bad.csv", index=False)


def write_bomb(path, width, height):
    """A PNG of a few bytes whose header promises ``width × height`` pixels."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def test_a_picture_of_more_pixels_than_the_limit_is_refused_by_its_header(folder):
    write_bomb(folder / "large.png", 10_001, 10_000)  # above our limit, below Pillow's
    write_bomb(folder / "bomb.png", 60_000, 60_000)
    table_with(folder, "photo", {3: "large.png", 4: "bomb.png"})
    cure = "expected at most 100,000,000 pixels. Make the picture smaller."
    assert errors(folder, "fit", "bad.csv", "-t", "kind", "-i", "photo,note", "-o", "other") == [
        f"bad.csv, row 3, column 'photo': large.png has 10001 x 10000 pixels, {cure}",
        f"bad.csv, row 4, column 'photo': bomb.png has 3,600,000,000 pixels, {cure}",
    ]


def test_a_recording_longer_than_the_limit(folder):
    with wave.open(str(folder / "long.wav"), "wb") as file:
        file.setparams((1, 2, 1000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 601 * 1000))
    table_with(folder, "voice", {5: "long.wav"})
    assert error(folder, "fit", "bad.csv", "-t", "kind", "-i", "voice,note", "-o", "other") == (
        "bad.csv, row 5, column 'voice': long.wav is longer than 600 seconds, expected at most 600 seconds. "
        "Cut the recording."
    )


def test_a_text_named_mp4(folder):
    (folder / "clip.mp4").write_text("this is no clip")
    table_with(folder, "clip", {6: "clip.mp4", 7: "clip.mp4"})
    assert sorted(errors(folder, "fit", "bad.csv", "-t", "kind", "-i", "clip,note", "-o", "other")) == [
        f"bad.csv, row {row}, column 'clip': clip.mp4 cannot be decoded (Invalid data found when processing "
        "input), expected a clip. Replace the file, or leave the cell empty."
        for row in (6, 7)
    ]


def test_a_class_in_the_test_split_that_training_never_saw(folder):
    table_with(folder, "split", dict.fromkeys(range(1, 31), "train") | dict.fromkeys(range(31, 36), "val"))
    frame = pd.read_csv(folder / "bad.csv", dtype=str).fillna({"split": "test"})
    frame.loc[[37, 39], "kind"] = "castle"
    frame.to_csv(folder / "bad.csv", index=False)
    assert error(folder, "fit", "bad.csv", "-t", "kind", "-i", "note", "-o", "other") == (
        "bad.csv, row 38, column 'kind': classes that training never saw: 'castle' (2 of 5 test rows). "
        "They cannot be answered rightly: add training rows of them, or leave these rows out."
    )
    said = error(folder, "fit", "bad.csv", "-t", "color", "-i", "note", "-o", "other")
    assert said.startswith("bad.csv: no column 'color'.")


def test_a_number_that_no_loss_can_bear(folder):
    table_with(folder, "price", {2: "1e19", 3: "-2e30"})
    expected = "expected a number up to 1e+18. Scale the column."
    assert errors(folder, "fit", "bad.csv", "-t", "price", "-i", "note", "-o", "other") == [
        f"bad.csv, row 2, column 'price': '1e19', {expected}",
        f"bad.csv, row 3, column 'price': '-2e30', {expected}",
    ]
    assert polymodal("check", "bad.csv", "-t", "price", "-i", "note", folder=folder).status == 1
