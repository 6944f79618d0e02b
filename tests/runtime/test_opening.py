"""An export of a stranger: what leads out of its folder, or was added to it, is refused in a line."""

import json
import os
import re
import shutil
import sys

import pytest

import polymodal as pm
from polymodal import runtime
from polymodal.runtime.manifest import Manifest
from polymodal.runtime.onnx_run import OnnxRun
from polymodal.runtime.opening import check_files
from tests.support.command import error


@pytest.fixture
def export(exported_houses, tmp_path):
    """A copy of an export."""
    return shutil.copytree(exported_houses[0], tmp_path / "export")


@pytest.mark.parametrize("entry", ["candidates", "tokenizers"])
@pytest.mark.parametrize("name", ["../../outside/plain", "/etc", "a/../../b"])
def test_names_out_of_the_folder_are_refused(export, entry, name):
    content = json.loads((export / "export.json").read_text())
    content[entry] = {name: "plain" if entry == "candidates" else {}}
    (export / "export.json").write_text(json.dumps(content))
    with pytest.raises(pm.RunError, match=r"export\.json names '.*', outside of the export\."):
        Manifest.read(export)


def test_files_that_were_added_and_links_are_refused(export, tmp_path):
    (export / "added.txt").write_text("more")
    with pytest.raises(pm.RunError, match=r"export: added\.txt is not in checksums\.json"):
        runtime.load(export)
    (export / "checksums.json").unlink()
    assert runtime.load(export).inputs
    (export / "added.txt").unlink()
    shutil.move(export / "model.onnx", tmp_path / "model.onnx")
    (export / "model.onnx").symlink_to(tmp_path / "model.onnx")
    with pytest.raises(pm.RunError, match=r"model\.onnx: is a link out of the export, to /.*Copy the file"):
        runtime.load(export)


@pytest.mark.parametrize("listed", [True, False])
def test_pipes_are_refused_before_anything_is_read(tmp_path, listed):
    if listed:
        (tmp_path / "checksums.json").write_text('{"sha256": {"model.onnx": "0"}}')
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(pm.RunError, match=r"model\.onnx: is a pipe or a device, expected a file"):
        check_files(tmp_path)


def test_links_of_the_cache_of_the_hub_are_followed(export, tmp_path):
    snapshot = tmp_path / "cache" / "snapshots" / "main"
    blobs = tmp_path / "cache" / "blobs"
    shutil.move(export, snapshot)
    blobs.mkdir()
    shutil.move(snapshot / "model.onnx", blobs / "b")
    (snapshot / "model.onnx").symlink_to(blobs / "b")
    assert runtime.load(snapshot).inputs


@pytest.mark.parametrize("given", [{"note": "one row"}, "rows.csv", ["rows.csv"]])
def test_what_is_no_list_of_rows_is_refused(export, given):
    with pytest.raises(pm.PolymodalError, match=r"expected a list of dicts\. For one row"):
        runtime.load(export).predict(given)


def test_a_command_on_runs_names_what_an_export_is(export):
    assert (
        "export: is an export to ONNX, expected a run. Name the run, or use it by polymodal serve export"
        in error(export.parent, "report", "export")
    )


def opening(monkeypatch, export, module):
    """Open an export that imports a module which is not there."""
    monkeypatch.setattr(OnnxRun, "of_folder", lambda *_: __import__(module))
    return runtime.load(export)


@pytest.mark.parametrize(
    ("module", "package", "install"),
    [
        ("PIL", "pillow", "pip install pillow"),
        ("onnxruntime", "onnxruntime", "pip install 'polymodal[export]'"),
    ],
)
def test_a_library_that_is_not_installed_is_named_by_its_package(
    export, monkeypatch, module, package, install
):
    monkeypatch.setitem(sys.modules, module, None)
    line = re.escape(f"export: needs {package}, which is not installed: {install}")
    with pytest.raises(pm.ConfigError, match=line):
        opening(monkeypatch, export, module)


@pytest.mark.parametrize("module", ["polymodal.nothing", "numpy.nothing"])
def test_an_error_of_the_program_names_no_package(export, monkeypatch, module):
    with pytest.raises(ModuleNotFoundError, match=re.escape(f"No module named '{module}'")):
        opening(monkeypatch, export, module)
