"""``--verbose`` and ``--log``: tracebacks and copies, and nothing of them without these options."""

import logging

import pytest

from tests.support.command import polymodal


@pytest.fixture
def folder(tmp_path):
    rows = "".join(f"{n % 7},{n % 3}\n" for n in range(40))
    (tmp_path / "t.csv").write_text(f"a,b\n{rows}")
    return tmp_path


def test_a_log_holds_all_that_is_printed_and_the_versions(folder):
    result = polymodal("check", "t.csv", "--target", "b", "--log", "all.txt", folder=folder)
    text = (folder / "all.txt").read_text()
    assert result.status == 0 and result.out in text
    assert "polymodal check t.csv --target b" in text and "Python 3." in text and "lightgbm" in text
    polymodal("runs", "nothing", "--log", "all.txt", folder=folder)
    again = (folder / "all.txt").read_text()
    assert (
        again.startswith(text) and "Traceback" in again and "error: nothing: there is no such folder" in again
    )


def test_an_error_has_a_traceback_only_where_it_is_wanted(folder):
    plain = polymodal("fit", "none.csv", "--target", "b", folder=folder)
    verbose = polymodal("fit", "none.csv", "--target", "b", "--verbose", folder=folder)
    assert plain.status == verbose.status == 1
    assert "Traceback" not in plain.err and "Traceback" in verbose.err
    assert verbose.err.endswith(plain.err)


def test_the_process_is_as_before(folder):
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    polymodal("check", "t.csv", "--target", "b", "--verbose", "--log", "all.txt", folder=folder)
    assert logging.getLogger().handlers == handlers and logging.getLogger().level == level
    size = (folder / "all.txt").stat().st_size
    assert "Traceback" not in polymodal("runs", "nothing", folder=folder).err
    assert (folder / "all.txt").stat().st_size == size


def test_a_log_that_cannot_be_written_is_one_line(folder):
    result = polymodal("runs", ".", "--log", "no/such/folder.txt", folder=folder)
    assert result.status == 2 and "cannot be written (No such file or directory)" in result.err


def test_an_error_in_the_program_is_in_the_log_too(folder, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("polymodal.artifact.run_list.list_runs", fail)
    with pytest.raises(ZeroDivisionError):
        polymodal("runs", ".", "--log", "all.txt", folder=folder)
    assert "ZeroDivisionError: ours" in (folder / "all.txt").read_text()
