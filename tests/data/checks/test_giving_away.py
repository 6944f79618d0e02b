"""What a file or a line gives away: no folder of the machine, no formula, nothing that a terminal obeys."""

import csv

import pytest

from polymodal.data.checks.rejected import write_rejected
from polymodal.errors import Problem, terminal_text


@pytest.mark.parametrize(
    ("found", "written"),
    [
        ("=HYPERLINK(0)", "'=HYPERLINK(0)"),
        ("+1", "'+1"),
        ("-1 is no class", "'-1 is no class"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", r"\t=1"),
        ("a\x1b[31mred\r\n", r"a\x1b[31mred\r\n"),
        ("/home/jane/photos/a.png does not exist", "…/a.png does not exist"),
        ("file:///home/jane/a.png is an address", "file://…/a.png is an address"),
        ("3 km/h is no number", "3 km/h is no number"),
        ("photos/a.png does not exist", "photos/a.png does not exist"),
    ],
)
def test_rejected_rows_are_written_as_they_may_be_shared(tmp_path, found, written):
    write_rejected(tmp_path, [Problem(file="/home/jane/t.csv", row=3, column="=photo", found=found)])
    (row,) = csv.DictReader((tmp_path / "rejected.csv").open(encoding="utf-8"))
    assert row == {"file": "t.csv", "row": "3", "column": "'=photo", "found": written, "expected": ""}


def test_a_terminal_shows_what_it_would_obey():
    assert terminal_text("a\nb\tc 👩‍👩‍👧 é") == "a\nb\tc 👩‍👩‍👧 é"
    assert terminal_text("\x1b]0;x\x07\r\u202e") == r"\x1b]0;x\x07\r\u202e"
