"""What every test stands on: no network, one thread, and the folder of real data where there is one."""

import os

# Read once, when torch and tokenizers are first imported: nothing above this may import them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import gc
import shutil
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from tests.support.searches import in_short
from tests.support.sharing import made_once

# Nothing is read from the user's cache or left there, by what several tests share either.
SHARED_CACHE = tempfile.TemporaryDirectory(prefix="polymodal-tests-")
os.environ["POLYMODAL_CACHE"] = SHARED_CACHE.name


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector passes over it."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup() -> None:
    """No collection of garbage in each ``Trainer.train``: with all that is imported here, they took a tenth
    of the time of all tests. Python's own go on."""
    if memory := sys.modules.get("accelerate.utils.memory"):
        memory.gc = SimpleNamespace(collect=lambda: 0)


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that are not there yet, for the cache of each test: ``mktemp`` lists all that are there."""
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def own_cache(caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds what another one left."""
    monkeypatch.setenv("POLYMODAL_CACHE", str(next(caches)))


@pytest.fixture(scope="session", autouse=True)
def neural_model_alone() -> Iterator[None]:
    """What a fit tries where a test names nothing: most tests are of the neural model, and plain models and
    pretrained encoders would take seconds more in each. Tests of the default request ``default_fit``."""
    from polymodal.training.declaration import candidate_choice

    with mock.patch.multiple(candidate_choice, SEVERAL=candidate_choice.NEURAL, ENCODERS="scratch"):
        yield


@pytest.fixture(scope="session", autouse=True)
def short_searches() -> Iterator[None]:
    """Plain models try a few settings, of few trees each: their searches would take seconds in each fit.
    Tests of the learners search as users do (``tests/plain/conftest.py``)."""
    with in_short():
        yield


@pytest.fixture(scope="session", autouse=True)
def plots_not_drawn() -> Iterator[None]:
    """Drawing takes two thirds of the time of a report; tests that look at plots do it
    (:func:`tests.support.plots.drawn`)."""
    from tests.support.plots import not_drawn

    with not_drawn():
        yield


@pytest.fixture(scope="session", autouse=True)
def no_lines_of_progress() -> Iterator[None]:
    """What a slow machine prints about work of more than ten seconds is not in what tests compare."""
    from polymodal.utils import progress

    with mock.patch.object(progress, "FIRST_LINE", 1e6):
        yield


@pytest.fixture(scope="session", autouse=True)
def no_replay_at_the_end() -> Iterator[None]:
    """A fit does not load its run once more, which takes a third of a second; tests of that request
    ``replaying``."""
    from polymodal.pipelines import fit_samples

    with mock.patch.object(fit_samples, "REPLAYS", False):
        yield


@pytest.fixture
def replaying(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit ends as it does for users: it loads the run and answers the kept rows again."""
    from polymodal.pipelines import fit_samples

    monkeypatch.setattr(fit_samples, "REPLAYS", True)


@pytest.fixture
def default_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit tries what it tries for users."""
    from polymodal.training.declaration import candidate_choice

    monkeypatch.setattr(candidate_choice, "SEVERAL", ("plain", "frozen", "fused", "tuned"))
    monkeypatch.setattr(candidate_choice, "ENCODERS", "auto")


REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real data that ``POLYMODAL_DATA`` names; tests that need them are skipped where they are not."""
    folder = Path(os.environ.get("POLYMODAL_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set POLYMODAL_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def fitted_houses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with its media, and ``run``, fitted to both targets."""
    made = made_once(tmp_path_factory, "houses", _fit_houses)
    return shutil.copytree(made, tmp_path_factory.mktemp("base"), dirs_exist_ok=True)


def _fit_houses(folder: Path) -> None:
    from tests.support.command import polymodal, settings
    from tests.support.tables import write_houses

    write_houses(folder)
    # Few layers: an export to ONNX takes seconds for each.
    small = {
        "fusion.layers": 1,
        "inputs.note.encoder": "{type: bert, num_hidden_layers: 1}",
        "inputs.photo.encoder": "{type: resnet, hidden_sizes: [32, 64], depths: [1, 1]}",
        "train.epochs": 2,
    }
    inputs = ["-t", "kind", "-t", "price", "-i", "photo,note,bedrooms"]
    fit = ["fit", "houses.csv", *inputs, "-o", "run", *settings("photo", **small)]
    result = polymodal(*fit, folder=folder)
    assert result.status == 0, result.err


@pytest.fixture(scope="session")
def exported_houses(fitted_houses: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of an export to ONNX of the run in ``fitted_houses``, to read alone; what was printed."""
    from tests.support.command import polymodal

    for library in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(library)

    def export(folder: Path) -> None:
        words = ["export", "run", "--to", "onnx", "-o", str(folder / "export"), "--rows", "houses.csv"]
        result = polymodal(*words, folder=fitted_houses)
        assert result.status == 0, result.err
        (folder / "printed.txt").write_text(result.out)

    made = made_once(tmp_path_factory, "exported", export)
    return made / "export", (made / "printed.txt").read_text()


@pytest.fixture(scope="session")
def spoken_houses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with its media, ``run``, fitted to answer most of it in words, and what that fit printed."""
    from tests.support.command import polymodal
    from tests.support.tables import write_houses
    from tests.support.talks import language_options

    folder = tmp_path_factory.mktemp("words")
    write_houses(folder)
    ask = [
        "--prompt",
        "{photo} {note}: flat or house?",
        "--answer",
        "{kind}",
        "--set",
        "inputs.photo.size=16",
    ]
    more = language_options(train__epochs=4, train__learning_rate=0.01, report__write=True)
    fit = ["fit", "houses.csv", "--task", "generation", *ask, "-o", "run", *more]
    result = polymodal(*fit, folder=folder)
    assert result.status == 0, result.err
    (folder / "printed.txt").write_text(result.out)
    return folder


@pytest.fixture
def folder(fitted_houses: Path, tmp_path: Path) -> Path:
    """A copy of ``fitted_houses`` to break."""
    shutil.copytree(fitted_houses, tmp_path, dirs_exist_ok=True)
    return tmp_path
