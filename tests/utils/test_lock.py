"""One writer a run folder, and what is said of one that cannot be written."""

import errno
import os
import stat
from unittest import mock

import pytest

import polymodal as pm
from polymodal.utils.atomic import require_file, require_folder, writing
from polymodal.utils.lock import claimed
from tests.support.command import error


def test_the_second_fit_into_a_folder_is_refused(tmp_path, fitted_houses):
    with claimed(tmp_path / "run"):
        said = error(fitted_houses, "fit", "houses.csv", "-t", "kind", "-o", tmp_path / "run")
    assert f"is being written by process {os.getpid()}" in said and "Wait until it is done" in said
    assert not (tmp_path / "run").exists()  # nothing was written to it


def test_a_lock_leaves_what_was_written_and_nothing_of_its_own(tmp_path):
    for _ in range(2):
        with claimed(tmp_path / "run"):
            (tmp_path / "run/a.txt").write_text("a")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "Free space"),
        (errno.EFBIG, "Free space"),
        (errno.EACCES, "owner and mode"),
        (errno.EROFS, "read-only"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.ENOENT, "make it"),
        (errno.ENOTDIR, "A file lies where a folder is needed"),
    ],
)
def test_space_is_named_only_where_it_is_lacking(number, fix):
    with pytest.raises(pm.RunError, match=fix) as caught, writing("run"):
        raise OSError(number, os.strerror(number), "run/file")
    assert ("Free space" in str(caught.value)) == (number in (errno.ENOSPC, errno.EFBIG))


@pytest.mark.parametrize("name", ["file/below", "n" * 300])
@pytest.mark.parametrize("require", [require_file, require_folder])
def test_a_place_that_cannot_be_written_is_refused(tmp_path, name, require):
    (tmp_path / "file").touch()
    with pytest.raises(pm.RunError, match="cannot be written"):
        require(tmp_path / name)


@pytest.mark.parametrize("command", ["predict", "embed", "report", "explain", "compare", "fit"])
def test_an_output_is_refused_before_the_work(fitted_houses, command):
    """``houses.csv`` is a file, in which no folder can be made."""
    given = {"report": ["run"], "compare": ["run", "run"], "fit": ["houses.csv", "-t", "kind"]}
    words = given.get(command, ["run", "houses.csv"])
    with (
        mock.patch("polymodal.models.inference.run_model", side_effect=AssertionError),
        mock.patch("polymodal.training.job.Job.check", side_effect=AssertionError),
    ):
        said = error(fitted_houses, command, *words, "-o", "houses.csv/new.parquet")
    assert said.startswith("houses.csv/new.parquet: cannot be written (")
    assert "A file lies where a folder is needed: give another place with -o" in said


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path):
    require_file(tmp_path / "new/answers.parquet")
    require_folder(tmp_path / "new/report")
    assert not list(tmp_path.iterdir())


def test_weights_have_the_mode_of_their_neighbours(fitted_houses):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (fitted_houses / "run").rglob("*.*")}
    assert len(modes) == 1
