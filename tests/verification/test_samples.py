"""Which rows are kept, and how each kind of cell becomes JSON and a file."""

from __future__ import annotations

import base64
import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from polymodal.artifact.samples import Sample, Samples, data_uri
from polymodal.data.media import load_audio, load_image
from polymodal.data.media.sequence import load_sequence
from polymodal.data.tables.table import read_table
from polymodal.verification.comparing import compare, size_of
from polymodal.verification.sample_cells import CellWriter, Column, UnkeptError, wave_file
from polymodal.verification.sample_rows import row_order
from tests.support.tables import write_picture


def kept(folder: Path, cell: object, column: Column, room: int = 10**6) -> object:
    writer = CellWriter(folder / "samples", room)
    result = writer.row({"x": cell}, {"x": column}, folder)["x"]
    writer.write()
    return result


@pytest.mark.parametrize(
    ("cell", "column", "expected"),
    [
        ("5", Column("number"), 5),
        ("1.234,5", Column("number", written="1.234,5"), 1234.5),
        (True, Column("number"), 1),
        (Decimal("2.50"), Column("number"), 2.5),
        (float("nan"), Column("number"), None),
        ("n/a", Column("number"), None),
        ("?", Column("number", written="$1,234"), None),
        (3.0, Column("category"), "3"),
        (False, Column("category"), "False"),
        (" north", Column("category"), " north"),
        (datetime.date(2020, 2, 1), Column("date"), "2020-02-01"),
        (datetime.datetime(2020, 2, 1, 3, 4), Column("date"), "2020-02-01 03:04:00"),
        ("a|b", Column("categories", separator="|"), ["a", "b"]),
        ('["b", "a"]', Column("categories"), ["b", "a"]),
        ([], Column("categories"), []),
        (["one", None], Column("text"), ["one", None]),
        ("[not JSON", Column("text"), "[not JSON"),
    ],
)
def test_values_are_kept_as_json(tmp_path: Path, cell: object, column: Column, expected: object) -> None:
    assert kept(tmp_path, cell, column) == expected


@pytest.mark.parametrize("cell", [b"raw", {"path": "a"}])
def test_what_json_does_not_hold_is_not_kept(tmp_path: Path, cell: object) -> None:
    with pytest.raises(UnkeptError):
        kept(tmp_path, cell, Column("text"))


def test_a_picture_is_kept_as_it_is_however_it_is_given(tmp_path: Path) -> None:
    write_picture(tmp_path / "a picture.PNG", 0.5, np.random.default_rng(0))
    content = (tmp_path / "a picture.PNG").read_bytes()
    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    cells = ["a picture.PNG", content, {"bytes": content, "path": None}, uri, {"path": "a picture.PNG"}]
    places = [kept(tmp_path, cell, Column("image")) for cell in cells]
    assert all(place == places[0] for place in places)
    file = tmp_path / "samples" / places[0]["file"]
    assert file.suffix == ".png" and file.read_bytes() == content and data_uri(file) == uri
    assert kept(tmp_path, ["a picture.PNG", None], Column("image")) == [places[0], None]


def test_arrays_become_files_that_read_back_as_the_same_numbers(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    wave = random.uniform(-1, 1, 500).astype(np.float32)
    place = kept(tmp_path, {"array": wave.tolist(), "sampling_rate": 4000}, Column("audio"))
    np.testing.assert_array_equal(load_audio(place["file"], tmp_path / "samples", rate=4000), wave)
    steps = random.normal(size=(5, 3)).astype(np.float32)
    place = kept(tmp_path, steps.tolist(), Column("sequence"))
    np.testing.assert_array_equal(load_sequence(place["file"], tmp_path / "samples"), steps)
    pixels = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    (cell,) = read_table([{"x": pixels}]).rows()
    place = kept(tmp_path, cell["x"], Column("image"))
    np.testing.assert_array_equal(np.asarray(load_image(place["file"], tmp_path / "samples")), pixels)


def test_the_files_of_messages_are_kept_too(tmp_path: Path) -> None:
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    content = [{"type": "image", "path": "a.png"}, {"type": "text", "text": "what?"}]
    cell = [{"role": "user", "content": content}, {"role": "assistant", "content": "a path"}]
    (message, answer) = kept(tmp_path, cell, Column(""))
    assert message["content"][1] == content[1] and answer == cell[1]
    assert (tmp_path / "samples" / message["content"][0]["path"]["file"]).is_file()


def test_media_that_are_too_large_are_not_kept(tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_bytes(wave_file(np.zeros(1000), 4000))
    with pytest.raises(UnkeptError, match="too large"):
        kept(tmp_path, "long.wav", Column("audio"), room=3000)


def test_the_first_rows_have_all_classes_and_missing_inputs() -> None:
    rows = [{"x": 1.0, "note": "a", "kind": "common"} for _ in range(50)]
    rows[40] |= {"kind": "rare"}
    rows[45] |= {"x": None}
    rows[47] |= {"note": None}
    order = list(row_order(read_table(rows), ["x", "note"], ["kind"]))
    assert set(order[:4]) == {0, 40, 45, 47} and sorted(order) == list(range(50))


def test_differences_are_absolute_below_one_and_relative_above() -> None:
    assert size_of(0.5, 0.5001) == pytest.approx(1e-4) and size_of(-2000.0, -2001.0) == pytest.approx(5e-4)
    assert size_of(float("inf"), float("inf")) == 0 and size_of(1.0, float("nan")) == float("inf")


def test_a_lost_part_of_an_answer_is_a_difference() -> None:
    answer = {"values": {"y": 1.0}, "intervals": {"y": [0.0, 2.0]}, "missing": ["a"]}
    sample = Sample(7, {}, answer)
    assert not compare([sample], [answer], 1e-5).differences
    for lost in answer:
        found = {key: value for key, value in answer.items() if key != lost}
        (difference,) = compare([sample], [found], 1e-5).differences
        assert difference.row == 7 and difference.size is None
    assert not compare([sample], [{"values": {"y": 1.0}}], 1e-5, sections=["values"]).differences


def test_rows_without_files_are_shown_as_requests_have_them(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media/a.txt").write_text("hello")
    cells = {"x": {"file": "media/a.txt"}, "y": [1, {"file": "media/a.txt"}], "z": None}
    samples = Samples(tmp_path, "test", "cpu", [Sample(1, cells, {})])
    assert samples.named() == [{"x": "media/a.txt", "y": [1, "media/a.txt"], "z": None}]
    assert samples.embedded()[0]["x"] == "data:text/plain;base64,aGVsbG8="
