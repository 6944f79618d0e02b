"""Every source of rows gives the same plain table; every fault in one is named with its row."""

import json
import os
import time

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from polymodal.data.media import load_image
from polymodal.data.tables.table import Table, read_table

ROWS = [{"photo": "a.png", "note": "one"}, {"photo": "b.png", "note": None}, {"photo": None, "note": "three"}]


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def cells(table: Table, column: str) -> list:
    return table.values(column).to_pylist()


def as_csv(folder):
    return write(folder / "t.csv", "photo,note\na.png,one\nb.png,\n,three\n")


def as_tsv(folder):
    return write(folder / "t.TSV", "photo\tnote\na.png\tone\nb.png\t\n\tthree\n")


def as_jsonl(folder):
    return write(folder / "t.jsonl", "\n".join(json.dumps(row) for row in ROWS) + "\n\n")


def as_json(folder):
    return write(folder / "t.json", json.dumps(ROWS, indent=1))


def as_parquet(folder):
    pa.parquet.write_table(pa.Table.from_pylist(ROWS), folder / "t.parquet")
    return folder / "t.parquet"


def as_folder(folder):
    datasets.Dataset.from_list(ROWS).save_to_disk(folder / "saved")
    return folder / "saved"


def as_categorical_frame(folder):
    return pd.DataFrame(ROWS).astype({"photo": "category", "note": "string"})


SOURCES = {
    "csv": as_csv,
    "tsv": as_tsv,
    "jsonl": as_jsonl,
    "json": as_json,
    "parquet": as_parquet,
    "folder": as_folder,
    "frame": lambda folder: pd.DataFrame(ROWS),
    "categorical": as_categorical_frame,
    "dataset": lambda folder: datasets.Dataset.from_list(ROWS),
    "torch_format": lambda folder: datasets.Dataset.from_list(ROWS).with_format("numpy"),
    "list": lambda folder: ROWS,
    "table": lambda folder: read_table(ROWS),
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_every_source_gives_the_same_rows(tmp_path, make):
    table = read_table(make(tmp_path))
    assert table.columns == ["photo", "note"]
    assert len(table) == 3
    assert list(table.rows()) == ROWS
    assert [table.row(index) for index in range(3)] == ROWS
    assert cells(table, "note") == ["one", None, "three"]


@pytest.mark.parametrize("make", [as_csv, as_jsonl, as_parquet])
def test_media_paths_refer_to_the_tables_folder(tmp_path, make):
    table = read_table(str(make(tmp_path)))
    assert (os.fspath(table.root), table.name) == (str(tmp_path), str(next(tmp_path.iterdir())))


def test_rows_in_memory_have_no_folder():
    assert read_table(ROWS).root is None
    assert read_table(ROWS, name="mine").name == "mine"


# --- selecting


def test_selected_rows_keep_the_order_asked_for():
    table = read_table([{"n": number} for number in range(3000)])
    wanted = np.random.default_rng(0).permutation(3000)[:2500]
    part = table.select(wanted)
    assert cells(part, "n") == wanted.tolist()
    assert [row["n"] for row in part.rows()] == wanted.tolist()
    assert [row["n"] for row in part.rows([2, 0])] == wanted[[2, 0]].tolist()
    assert part.row(7) == {"n": wanted[7]}
    assert cells(part.select([1, 0]), "n") == wanted[[1, 0]].tolist()


def test_no_rows_selected():
    part = read_table(ROWS).select([])
    assert (len(part), cells(part, "note"), list(part.rows())) == (0, [], [])


# --- text files


def test_csv_cells_stay_as_written(tmp_path):
    text = 'code,country,amount,truth,quoted\n007,NA,1e3,True,""\nnan,null,  5,,"NA"\n'
    table = read_table(write(tmp_path / "t.csv", text))
    assert list(table.rows()) == [
        {"code": "007", "country": "NA", "amount": "1e3", "truth": "True", "quoted": None},
        {"code": None, "country": "null", "amount": "  5", "truth": None, "quoted": "NA"},
    ]
    assert read_table(tmp_path / "t.csv").raw("code").to_pylist() == ["007", "nan"]


def test_csv_cells_with_newlines_commas_and_quotes(tmp_path):
    text = 'a,b\r\n"line one\nline two","1,5"\r\n"say ""hi""",x\r\n'
    table = read_table(write(tmp_path / "t.csv", text))
    assert list(table.rows()) == [{"a": "line one\nline two", "b": "1,5"}, {"a": 'say "hi"', "b": "x"}]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n"])
def test_csv_last_line_may_end_or_not(tmp_path, end):
    assert len(read_table(write(tmp_path / "t.csv", "a,b\n1,2\n3,4" + end))) == 2


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path, suffix):
    text = {"csv": "a,b\nä,2\n", "tsv": "a\tb\nä\t2\n", "jsonl": '{"a": "ä", "b": "2"}\n'}[suffix[1:]]
    table = read_table(write(tmp_path / f"t{suffix}", text, "utf-8-sig"))
    assert list(table.rows()) == [{"a": "ä", "b": "2"}]


def test_csv_cell_longer_than_a_read_block(tmp_path):
    long = "data:image/png;base64," + "A" * 3_000_000
    table = read_table(write(tmp_path / "t.csv", f'a,b\n1,"{long}"\n2,x\n'))
    assert [len(cell) for cell in cells(table, "b")] == [len(long), 1]


def test_fifty_thousand_csv_rows_read_in_under_a_second(tmp_path):
    lines = "".join(f'{n},images/{n}.png,"a note, of row {n}",{n * 0.5}\n' for n in range(50_000))
    path = write(tmp_path / "t.csv", "id,image,note,amount\n" + lines)
    start = time.perf_counter()
    assert len(read_table(path)) == 50_000
    assert time.perf_counter() - start < 1.0


def test_json_null_nan_and_absent_key_are_empty(tmp_path):
    text = '{"a": 1, "b": null}\n{"a": NaN, "b": "x", "c": [0.5, 1]}\n'
    table = read_table(write(tmp_path / "t.jsonl", text))
    assert list(table.rows()) == [{"a": 1, "b": None, "c": None}, {"a": None, "b": "x", "c": [0.5, 1.0]}]


def test_json_date_stays_text(tmp_path):
    table = read_table(write(tmp_path / "t.jsonl", '{"a": "2020-01-01"}\n'))
    assert cells(table, "a") == ["2020-01-01"]


# --- objects


def test_picture_in_a_cell_becomes_a_file_in_the_table():
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    table = read_table(
        [{"photo": picture}, {"photo": np.asarray(picture)}, {}, {"photo": picture.convert("CMYK")}]
    )
    stored = cells(table, "photo")
    assert stored[0]["path"] is None and stored[0]["bytes"].startswith(b"\x89PNG")
    assert stored[2] is None
    for row in (0, 1, 3):
        np.testing.assert_array_equal(np.asarray(load_image(stored[row])), np.asarray(picture))


def test_picture_of_a_turned_camera_is_stored_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    table = read_table([{"photo": Image.open(tmp_path / "a.jpg")}])
    assert load_image(cells(table, "photo")[0]).size == (20, 40)


def test_arrays_become_lists():
    rows = [{"x": np.array([0.5, 1.0], np.float32), "y": np.eye(2), "n": np.int64(3), "s": (1, 2)}]
    row = read_table(rows).row(0)
    assert row == {"x": [0.5, 1.0], "y": [[1.0, 0.0], [0.0, 1.0]], "n": 3, "s": [1, 2]}


def test_recording_as_array_keeps_its_rate():
    cell = {"array": np.zeros(3, np.float32), "sampling_rate": 8000}
    assert read_table([{"voice": cell}]).row(0)["voice"] == {"array": [0.0, 0.0, 0.0], "sampling_rate": 8000}


def test_paths_bytes_and_files_in_one_column():
    given = ["a.png", b"raw", {"path": "b.png", "bytes": None}, None]
    table = read_table([{"photo": cell} for cell in given])
    assert cells(table, "photo") == [
        {"bytes": None, "path": "a.png"},
        {"bytes": b"raw", "path": None},
        {"bytes": None, "path": "b.png"},
        None,
    ]


@pytest.mark.parametrize("make", [lambda rows: rows, pd.DataFrame], ids=["list", "frame"])
def test_word_in_a_number_column_makes_it_text(make):
    table = read_table(make([{"n": 1}, {"n": "two"}, {"n": float("nan")}, {"n": 2.5}]))
    assert cells(table, "n") == ["1", "two", None, "2.5"]


def test_frame_index_is_no_column_and_names_are_text():
    frame = pd.DataFrame({0: [1.0, None], "b": [pd.Timestamp("2020-01-01"), None]}, index=[5, 9])
    table = read_table(frame)
    assert table.columns == ["0", "b"]
    assert cells(table, "0") == [1.0, None]


def test_features_of_datasets_do_not_decode(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    data = datasets.Dataset.from_dict(
        {"image": [str(tmp_path / "a.png")] * 2, "label": [1, -1], "voice": [None] * 2}
    )
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog"]), voice=datasets.Audio()
    )
    table = read_table(data.cast(features).select([1, 0]))
    assert cells(table, "label") == [None, "dog"]
    assert next(table.rows()) == table.row(0)
    assert table.row(0) == {
        "image": {"bytes": None, "path": str(tmp_path / "a.png")}, "label": None, "voice": None
    }  # fmt: skip


def test_features_in_parquet_do_not_decode(tmp_path):
    data = datasets.Dataset.from_list([{"image": {"bytes": b"x", "path": "a.png"}}])
    data.cast_column("image", datasets.Image()).to_parquet(tmp_path / "t.parquet")
    assert cells(read_table(tmp_path / "t.parquet"), "image") == [{"bytes": b"x", "path": "a.png"}]


def test_nested_pictures_do_not_decode():
    data = datasets.Dataset.from_list([{"images": [{"bytes": b"x", "path": None}]}])
    table = read_table(data.cast(datasets.Features(images=datasets.List(datasets.Image()))))
    assert table.row(0) == {"images": [{"bytes": b"x", "path": None}]}


def test_folder_named_like_a_share_adds_no_column(tmp_path):
    (tmp_path / "split=train").mkdir()
    assert read_table(as_parquet(tmp_path / "split=train")).columns == ["photo", "note"]


def test_a_column_is_read_in_the_place_of_another():
    table = read_table([{"a": n, "b": str(n), "c": None if n == 2 else 10 * n} for n in range(4)])
    part = table.select([3, 2]).reading({"a": "c", "new": "b"})
    assert part.columns == ["a", "b", "c", "new"] and part.places.tolist() == [3, 2]
    assert list(part.rows()) == [
        {"a": 30, "b": "3", "c": 30, "new": "3"},
        {"a": None, "b": "2", "c": None, "new": "2"},
    ]
    swapped = table.reading({"a": "b", "b": "a"})
    assert swapped.row(1) == {"a": "1", "b": 1, "c": 10} and table.row(1) == {"a": 1, "b": "1", "c": 10}
    with pytest.raises(KeyError):
        table.reading({"a": "none"})


def test_messages_of_several_forms_stand_as_json(tmp_path):
    told = [
        [{"role": "user", "content": "hi"}],
        [
            {"role": "user", "content": [{"type": "text", "text": "höre"}]},
            {"role": "assistant", "content": "x"},
        ],
        None,
    ]
    path = tmp_path / "talks.jsonl"
    path.write_text("\n".join(json.dumps({"messages": cell}) for cell in told), encoding="utf-8")
    cells = read_table(path).values("messages").to_pylist()
    assert [None if cell is None else json.loads(cell) for cell in cells] == told
