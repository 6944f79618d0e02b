"""Commands whose output goes to a stream of a narrow encoding."""

import io
import json
import sys
from unittest import mock

import pytest

from polymodal.cli.options import printed
from polymodal.cli.streams import write_any_character
from polymodal.utils.progress import Remarks


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_every_character_is_written(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    with mock.patch.object(sys, "stdout", stream):
        write_any_character()
        print("a → b €😀\udcff")
    stream.flush()
    said = stream.buffer.getvalue().decode(encoding)
    assert said.startswith("a ") and said.rstrip().endswith("\\udcff")
    assert ("->" in said) == (encoding != "utf-8")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_stays_json(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    with mock.patch.object(sys, "stdout", stream):
        write_any_character()
        printed({"é€😀": "→"}, True)
    stream.flush()
    assert json.loads(stream.buffer.getvalue().decode(encoding)) == {"é€😀": "→"}


def test_remarks_are_one_line_each_and_obeyed_by_no_terminal(capsys):
    remarks = Remarks()
    remarks.show(["red \x1b[31m\nerror: not ours", "x" * 5000], ["\u202eback"])
    remarks.show(notes=["\u202eback"])  # each is printed once
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == r"warning: red \x1b[31m\nerror: not ours"
    assert second.startswith("warning: xxx") and len(second) < 1100
    assert third == r"note: \u202eback"
