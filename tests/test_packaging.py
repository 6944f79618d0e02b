"""The wheel and the source distribution: what is in them, and that the wheel works where it is installed.

``pytest -m slow tests/test_packaging.py -k clean`` installs it with all that it needs, for each supported
Python that is on the PATH, and takes minutes; ``-s`` shows the seconds and the versions.
"""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.support.environments import Environment, variables

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [entry.rsplit(" ", 1)[1] for entry in PROJECT["classifiers"] if "Python :: 3." in entry]
TORCH = "torch==2.13.0"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info")
KEPT = ("benchmarks", "docs", "recipes", "src", "tests")
"""Folders of a checkout; others are caches, environments and outputs."""
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
PAGE_SOURCES = r"polymodal/serving/page/(?!built/)"
"""What the page is built from, which the wheel does not need."""
pytestmark = pytest.mark.slow


def built(kind: str, source: Path, into: Path) -> Path:
    """What the build backend makes of a folder: ``kind`` is ``build_sdist`` or ``build_wheel``."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, into],
        cwd=source, env=variables(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return into / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of a copy of the repository: a build writes into the folder it reads."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("sdist")
    for path in REPOSITORY.iterdir():
        if path.is_dir() and path.name in KEPT:
            shutil.copytree(path, folder / "copy" / path.name, ignore=LEFT_OUT)
        elif path.is_file():
            (folder / "copy").mkdir(exist_ok=True)
            shutil.copy(path, folder / "copy")
    return built("build_sdist", folder / "copy", folder)


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the source distribution builds: it holds all that is needed for it."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return built("build_wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)


def sources() -> set[str]:
    """The files of the package, from src/."""
    source = REPOSITORY / "src"
    files = [path for path in (source / "polymodal").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {path.relative_to(source).as_posix() for path in files}


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {"polymodal/py.typed", "polymodal/report/templates/style.css"} <= names
    assert names == {name for name in sources() if not re.match(PAGE_SOURCES, name)}


def test_the_source_distribution_holds_no_tests_pages_or_weights(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        sizes = {member.name: member.size for member in archive.getmembers()}
    assert {f"src/{name}" for name in sources()} <= names
    assert {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} <= names
    others = {name.partition("/")[0] for name in names} - {"", "src"}
    assert others == {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}
    assert max(sizes.values()) < 200_000


def test_the_wheel_says_what_it_is(wheel):
    archive = zipfile.ZipFile(wheel)
    folder = f"polymodal-{PROJECT['version']}.dist-info"
    metadata = HeaderParser().parsestr(archive.read(f"{folder}/METADATA").decode())
    assert (metadata["Name"], metadata["Version"]) == ("polymodal", PROJECT["version"])
    assert metadata["License-Expression"] == "Apache-2.0" and metadata["Requires-Python"] == ">=3.11"
    assert f"{folder}/licenses/LICENSE" in archive.namelist()
    required = {
        re.match(r"[\w-]+", entry)[0] for entry in metadata.get_all("Requires-Dist") if ";" not in entry
    }
    assert required == {re.match(r"[\w-]+", entry)[0] for entry in PROJECT["dependencies"]}
    entries = archive.read(f"{folder}/entry_points.txt").decode()
    assert entries.split() == ["[console_scripts]", "polymodal", "=", "polymodal.cli:main"]


def try_it(environment: Environment, folder: Path) -> None:
    """Help, the demo's tables, and a fit of plain models with its report, outside of the checkout."""
    lies = environment.run("python", "-c", "import polymodal; print(polymodal.__file__)", folder=folder)
    assert Path(lies.strip()).is_relative_to(environment.site_packages)
    assert "Usage: polymodal" in environment.run("polymodal", "--help", folder=folder)
    environment.run("polymodal", "demo", "--data", "houses", folder=folder)
    fit = ("fit", "houses.csv", "--target", "price", "--preset", "fast", "-o", "runs/houses")
    environment.run("polymodal", *fit, folder=folder)
    assert json.loads((folder / "runs/houses/metrics.json").read_text(encoding="utf-8"))
    assert "<style>" in (folder / "runs/houses/report.html").read_text(encoding="utf-8")


def test_the_wheel_works_where_it_is_installed(wheel, tmp_path):
    environment = Environment.new(tmp_path / "environment")
    install = ("pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    environment.run(*install, folder=tmp_path)
    environment.see_packages_of_this_one()
    try_it(environment, tmp_path)


def works(python: str | None) -> bool:
    """Whether it starts a Python: a name on the PATH may belong to a program that chooses among several."""
    return python is not None and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


@pytest.mark.parametrize("version", PYTHONS)
def test_it_installs_and_works_in_a_clean_environment(version, wheel, tmp_path):
    """torch goes first, the rest is what the index gives: no version of ours is set."""
    python = shutil.which(f"python{version}")
    if python is None or not works(python):
        pytest.skip(f"no python{version} on the PATH")
    environment = Environment.new(tmp_path / "environment", python)
    probe = ("pip", "download", "--quiet", "--no-deps", "--dest", "any", "typer")
    if environment.process(*probe, folder=tmp_path).returncode != 0:
        pytest.skip("no index of packages answers")
    began = time.perf_counter()
    for wanted in (TORCH, wheel):
        environment.run("pip", "install", "--quiet", wanted, folder=tmp_path)
    used = time.perf_counter()
    try_it(environment, tmp_path)
    print(f"\npython {version}: {used - began:.0f} s to install, {time.perf_counter() - used:.0f} s to use")
    print(environment.run("pip", "list", "--format", "freeze", folder=tmp_path))
