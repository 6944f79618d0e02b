"""Cells of a table's file name files below its folder: everywhere that cells are opened."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.data.media import MediaError, load_image
from polymodal.data.media.path_access import NOWHERE, MediaAccess
from polymodal.data.tables.table import read_table
from tests.support.command import polymodal
from tests.support.tables import write_picture

LINKED, ABSOLUTE, ABOVE = "link.png", "absolute", "../outside.png"


@pytest.fixture
def folder(tmp_path):
    """A table's folder with a picture in it, one beside it, and a link to that."""
    random = np.random.default_rng(0)
    write_picture(tmp_path / "outside.png", 0.5, random)
    write_picture(tmp_path / "table/photos/in.png", 0.5, random)
    (tmp_path / "table" / LINKED).symlink_to(tmp_path / "outside.png")
    return tmp_path / "table"


def table_of(folder: Path, cell: str) -> Path:
    cell = str(folder.parent / "outside.png") if cell == ABSOLUTE else cell
    rows = [{"photo": cell if row == 2 else "photos/in.png", "kind": "ab"[row % 2]} for row in range(30)]
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


@pytest.mark.parametrize("cell", [LINKED, ABSOLUTE, ABOVE, "photos/../../outside.png", "../none.png"])
def test_a_cell_that_leads_out_of_the_folder_is_refused_by_its_row(folder, cell):
    result = polymodal("check", table_of(folder, cell), "-t", "kind")
    lines = [line for line in result.out.splitlines() if line.startswith("problem: ")]
    assert result.status == 1 and len(lines) == 1
    assert "row 3, column 'photo': " in lines[0]
    assert "outside the table's folder" in lines[0] and "--media-anywhere" in lines[0]
    assert str(folder.parent / "outside.png") not in lines[0]


@pytest.mark.parametrize("cell", [LINKED, ABSOLUTE, ABOVE])
@pytest.mark.parametrize("options", [["--media-anywhere"], ["--set", "data.media_anywhere=true"]])
def test_it_may_be_allowed(folder, cell, options):
    result = polymodal("check", table_of(folder, cell), "-t", "kind", *options)
    assert result.status == 0, result.out


def test_root_is_where_paths_start_and_what_they_may_not_leave(folder):
    def checked(*options):
        return polymodal("check", folder / "t.csv", "-t", "kind", "-i", "photo", *options)

    frame = pd.DataFrame({"photo": ["in.png"] * 20, "kind": ["a", "b"] * 10})
    frame.to_csv(folder / "t.csv", index=False)
    assert "none of its 20 files is there" in checked().out
    assert checked("--root", folder / "photos").status == checked("--root", "photos").status == 0
    frame.assign(photo=f"../{LINKED}").to_csv(folder / "t.csv", index=False)
    assert "outside the table's folder" in checked("--root", "photos").out
    (said,) = checked("--root", "none").errors
    assert said.endswith(
        "data.root 'none' is no folder. Give the folder that the paths in the table start from."
    )


def test_a_frame_or_dicts_may_name_any_file(folder):
    rows = [{"photo": str(folder.parent / "outside.png"), "kind": "ab"[row % 2]} for row in range(20)]
    for source in (rows, pd.DataFrame(rows)):
        assert pm.check(source, target="kind", inputs=["photo"]).ok


def test_a_declared_root_goes_for_every_table(folder):
    (folder / "other").mkdir()
    frame = pd.DataFrame({"photo": ["in.png"] * 20, "kind": ["a", "b"] * 10})
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "other/v.csv", index=False)
    declared = {
        "data": {"train": "t.csv", "validation": "other/v.csv", "test": 0, "root": "photos"},
        "inputs": {"photo": {"modality": "image"}}, "targets": {"kind": {"task": "classification"}},
    }  # fmt: skip
    (folder / "run.yaml").write_text(json.dumps(declared))
    assert polymodal("check", folder / "run.yaml").status == 0


def test_messages_of_a_file_are_held_to_it_too(folder):
    def row(path):
        asked = {
            "role": "user",
            "content": [{"type": "image", "path": path}, {"type": "text", "text": "What?"}],
        }
        return json.dumps({"messages": [asked, {"role": "assistant", "content": "a house"}]})

    rows = [row("photos/in.png")] * 20
    (folder / "talks.jsonl").write_text("\n".join([*rows[:19], row(ABOVE)]))
    setting = ["--set", "generation.messages=messages"]
    result = polymodal("check", folder / "talks.jsonl", *setting)
    assert result.status == 1 and "outside the table's folder" in result.out
    assert polymodal("check", folder / "talks.jsonl", *setting, "--media-anywhere").status == 0


def test_the_hub_cache_keeps_files_behind_links(tmp_path, folder):
    blobs, snapshot = tmp_path / "hub/blobs", tmp_path / "hub/snapshots/1"
    blobs.mkdir(parents=True), snapshot.mkdir(parents=True)
    os.rename(folder / "photos/in.png", blobs / "ab12")
    (snapshot / "in.png").symlink_to("../../blobs/ab12")
    load_image("in.png", MediaAccess.inside(snapshot))
    with pytest.raises(MediaError, match="outside"):
        load_image(f"../../../{folder.name}/{LINKED}", MediaAccess.inside(snapshot))


def test_whoever_asks_from_outside_names_no_file(folder):
    with pytest.raises(MediaError, match="the path of a file, expected the file's bytes or a data: URI"):
        load_image(str(folder / "photos/in.png"), NOWHERE)
    load_image((folder / "photos/in.png").read_bytes(), NOWHERE)


def test_a_row_of_a_file_keeps_its_access(folder):
    table = read_table(table_of(folder, ABOVE))
    with pytest.raises(MediaError):
        load_image(table.row(2)["photo"], table.select([2]).root)
    allowed = read_table(table_of(folder, ABOVE), media_anywhere=True)
    load_image(allowed.row(2)["photo"], allowed.root)
