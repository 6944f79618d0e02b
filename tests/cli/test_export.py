"""``polymodal export``: what it prints and what it refuses."""

import re
import shutil
import signal
import sys

import pytest

import polymodal as pm
from polymodal.exporting.formats import load_writer
from tests.support.command import error, polymodal
from tests.support.tables import house_rows, tiny, write_table

TO = ["--to", "sentence-transformers", "-o", "out"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with ``run``, in which photo and voice were compared, note was not; ``numbers``, in which no
    text or picture was; ``fit``, which spans no space."""
    folder = tmp_path_factory.mktemp("runs")
    table = write_table(folder / "houses.csv", house_rows(folder, 40, empty=0.0))
    compared = ["objectives.contrastive.inputs=[photo, voice]"]
    pm.pretrain(table, inputs=["photo", "note", "voice"], output=folder / "run",
                settings=[*tiny("photo", "voice"), *compared])  # fmt: skip
    pm.pretrain(table, inputs=["bedrooms", "district"], output=folder / "numbers", settings=tiny())
    pm.fit(table, target="kind", inputs=["note", "district"], output=folder / "fit", settings=tiny())
    return folder


def test_it_says_what_it_wrote_and_how_to_use_it(runs):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    result = polymodal("export", "run", "--to", "sentence-transformers", "-o", "said", folder=runs)
    assert result.status == 0, result.err
    assert result.out == (
        "photo (image) exported to said. Use it:\n  SentenceTransformer('said', trust_remote_code=True)\n"
    )
    assert result.err == "note: not in it: voice, note\n"
    names = {path.name for path in (runs / "said").iterdir()}
    assert {"modules.json", "model.safetensors", "config.json", "processor_config.json", "README.md"} <= names
    again = error(runs, "export", "run", "--to", "sentence-transformers", "-o", "said")
    assert again == "said: is not empty. Give another folder with -o, or empty it"


REFUSED = [
    (["fit"], "fit: was not trained to compare its inputs in one space. Pre-train one that is: polymodal"),
    (
        ["numbers"],
        "numbers: sentence-transformers reads text or image, and the run has neither, only bedrooms",
    ),
    (
        ["run", "-i", "photo,voice"],
        "run: 'voice' is read as audio, and sentence-transformers is given text or",
    ),
    (["run", "-i", "noet"], "run: there is no input 'noet'. Did you mean 'note'?"),
    (
        ["run", "-i", "note"],
        "run: 'note' was compared with no other input. There are in the space: photo, voice",
    ),
    (["absent"], "absent: no such run folder"),
]


@pytest.mark.parametrize("given, said", REFUSED, ids=lambda value: str(value)[:30])
def test_what_it_refuses(runs, given, said):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    assert error(runs, "export", *given, *TO).startswith(said)
    assert not (runs / "out/modules.json").exists()


def test_it_knows_its_formats_and_writes_to_folders_of_its_own(runs, monkeypatch, tmp_path):
    line = error(runs, "export", "run", "--to", "sentence_transformers", "-o", "out")
    assert line.startswith(
        "there is no export to 'sentence_transformers'. Did you mean 'sentence-transformers'?"
    )
    shutil.copytree(runs / "run", tmp_path / "run")
    line = error(tmp_path, "export", "run", "--to", "sentence-transformers", "-o", "run")
    assert line.startswith("run: is not empty") and pm.load(tmp_path / "run")
    (tmp_path / "file").write_text("")
    assert "is a file" in error(tmp_path, "export", "run", "--to", "sentence-transformers", "-o", "file")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    monkeypatch.delitem(sys.modules, "polymodal.exporting.sentence_transformers", raising=False)
    line = error(runs, "export", "run", *TO)
    assert line.endswith("pip install -U 'polymodal[sentence-transformers]'")


ONNX = ["--to", "onnx", "-o", "onnx"]


def test_what_onnx_refuses(runs):
    line = error(runs, "export", "run", *TO, "--int8")
    assert (
        line
        == "an export to sentence-transformers has no --int8, which is for optimum and onnx. Leave it out"
    )
    line = error(runs, "export", "run", *TO, "--rows", "houses.csv")
    assert line == "an export to sentence-transformers has no --rows, which is for onnx. Leave it out"
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    line = error(runs, "export", "run", *ONNX)
    assert line.startswith("run: has no targets, and onnx holds the answers to these alone. Fit one that has")
    line = error(runs, "export", "fit", *ONNX, "-i", "note")
    assert line == "fit: onnx holds all inputs of a run. Leave out --inputs"
    line = error(runs, "export", "fit", *ONNX, "--rows", "absent.csv")
    assert "absent.csv" in line
    assert not (runs / "onnx").exists() or not any((runs / "onnx").iterdir())


@pytest.mark.parametrize("lacking", [["onnx", "onnx_ir", "onnxscript", "onnxruntime"], ["onnx_ir"], ["onnx"]])
@pytest.mark.parametrize("name", ["onnx", "optimum"])
def test_a_format_whose_libraries_are_not_installed_names_the_extra(name, lacking, monkeypatch):
    written = ("polymodal.exporting.onnx", "polymodal.exporting.optimum")
    for loaded in [each for each in sys.modules if each.startswith(written)]:
        monkeypatch.delitem(sys.modules, loaded)
    for library in lacking:
        monkeypatch.setitem(sys.modules, library, None)
    fix = re.escape(f"an export to {name} needs another library, or a newer one: "
                    "pip install -U 'polymodal[export]'")  # fmt: skip
    with pytest.raises(pm.ConfigError, match=fix):
        load_writer(name)


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interrupted_export_leaves_nothing_and_one_line(runs, monkeypatch, number, status, word):
    pytest.importorskip("onnx", reason="onnx is not installed")

    def interrupted(run, folder, int8):
        (folder / "model.onnx").write_bytes(b"half of it")
        signal.raise_signal(number)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("polymodal.exporting.onnx.writing.write_model", interrupted)
    monkeypatch.setattr("polymodal.exporting.onnx.writing.write_blend", interrupted)
    try:
        result = polymodal("export", "fit", "--to", "onnx", "-o", "new/out", folder=runs)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (result.status, result.out, result.err) == (status, "", f"{word}\n")
    assert not (runs / "new").exists()
