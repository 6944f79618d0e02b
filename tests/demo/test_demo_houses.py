"""The tables of the documentation: what they hold, and that an engineer can fit them at once."""

import filecmp
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from polymodal.demo.demo_houses import INPUTS, TABLES, TARGETS, write_houses
from tests.support.command import polymodal


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("houses")
    result = polymodal("demo", "--data", "houses", folder=folder)
    assert result.status == 0 and "polymodal fit houses.csv --target price" in result.out
    return folder


def test_the_tables_name_photos_that_are_there(folder):
    for name, count in TABLES.items():
        table = pd.read_csv(folder / name)
        is_new = name == "new_houses.csv"
        assert list(table.columns) == [*INPUTS, *(() if is_new else TARGETS)] and len(table) == count
        photos = table["photo"].dropna()
        assert photos.is_unique and all((folder / photo).is_file() for photo in photos)
        assert 0 < table["note"].isna().sum() < count / 4
    with Image.open(folder / "photos" / "0.png") as image:
        assert image.size == (64, 64)


def test_the_check_reads_every_column_without_a_warning(folder):
    result = polymodal("check", "houses.csv", "--target", "price", folder=folder)
    assert result.status == 0 and "warning" not in result.out + result.err
    for column, kind in {"photo": "image", "note": "text", "built": "number", "district": "category"}.items():
        assert any(line.split()[:3] == [column, "input", kind] for line in result.out.splitlines()), (
            result.out
        )


def test_the_same_seed_writes_the_same_files(folder, tmp_path):
    write_houses(tmp_path)
    for name in (*TABLES, "photos/7.png"):
        assert filecmp.cmp(folder / name, tmp_path / name, shallow=False)
    small = write_houses(tmp_path / "small", tables={"a.csv": 3, "b.csv": 2})
    assert [len(pd.read_csv(path)) for path in small] == [3, 2]


@pytest.mark.parametrize("name", ["more_houses.csv", "photos/7.png"])
def test_files_of_the_user_are_not_replaced(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    result = polymodal("demo", "--data", "houses", folder=tmp_path)
    assert result.status == 1 and result.err.startswith(f"error: {name}: is there already")
    assert (tmp_path / name).read_text() == "mine" and not (tmp_path / "houses.csv").exists()


def test_writing_them_loads_no_torch(tmp_path):
    code = (
        "import sys; from polymodal.cli import main; sys.argv = ['polymodal', 'demo', '--data', 'houses']\n"
        "try: main()\nfinally: print('torch' in sys.modules, 'sklearn' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.stderr.split()[-2:] == ["False", "False"] and (tmp_path / "houses.csv").is_file()
