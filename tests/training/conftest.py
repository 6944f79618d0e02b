"""Houses with a run on them, from which fits start."""

import shutil

import pytest

from tests.support.starts import make_houses


@pytest.fixture(scope="session")
def houses_once(tmp_path_factory):
    """See :func:`tests.support.starts.make_houses`."""
    folder = tmp_path_factory.mktemp("started")
    make_houses(folder)
    return folder


@pytest.fixture
def houses_and_run(houses_once, tmp_path):
    """A copy to work in."""
    shutil.copytree(houses_once, tmp_path, dirs_exist_ok=True)
    return tmp_path
