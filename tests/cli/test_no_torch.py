"""A user's mistake is reported before any library of models is imported, whichever the command."""

import json
import subprocess
import sys
from textwrap import dedent

import pytest

CODE = """
    import contextlib, io, json, sys
    from polymodal.cli.app import main

    said = {}
    for line in json.loads(sys.argv[1]):
        sys.argv = ["polymodal", *line.split()]
        with contextlib.redirect_stderr(io.StringIO()) as text:
            try:
                main()
            except SystemExit:
                pass
        said[line] = text.getvalue()
    heavy = {"torch", "transformers", "datasets", "sklearn", "scipy.stats", "huggingface_hub.errors"}
    heavy &= set(sys.modules)
    print(json.dumps({"said": said, "heavy": sorted(heavy)}))
"""
MISTAKES = {
    "fit nothere.csv --target label": "there is no such file",
    "fit table.csv --target nothere": "no column 'nothere'",
    "fit table.csv": "no target",
    "fit table.csv --target label --inputs age,nope": "no column 'nope'",
    "fit table.csv --target label --set epochs=3": "unknown key 'epochs'. Did you mean 'train.epochs'?",
    "fit table.csv --target label --set train.epochs=abc": "'train.epochs' is 'abc'",
    "fit ragged.csv --target a": "found 3 cells",
    "fit bad.yaml": "unknown key 'trian'",
    "fit table.csv --target label --preset fats": "there is no preset 'fats'",
    "fit table.csv --target label --time-limit soon": "no length of time",
    "fit table.csv --target label -o run": "holds a run already",
    "fit table.csv --target label --from nothere": "no such run folder to start from",
    "fit nothere.csv --target label --folds 3": "there is no such file",
    "fit nothere.csv --target label --fusions all": "there is no such file",
    "fit table.csv --prompt {nope} --answer {label}": "there is no column 'nope'",
    "pretrain table.csv --inputs nope": "no column 'nope'",
    "check table.csv --target nothere": "no column 'nothere'",
    "init nothere.csv": "there is no such file",
    "predict nothere table.csv": "no such run folder",
    "predict run nothere.csv": "there is no such file",
    "predict partial table.csv": "not a complete run",
    "evaluate nothere table.csv": "no such run folder",
    "report nothere": "no such run folder",
    "explain run nothere.csv": "there is no such file",
    "embed nothere table.csv -o vectors.parquet": "no such run folder",
    "compare nothere run": "no such run folder",
    "index nothere table.csv -o index": "no such run folder",
    "search nothere --text words": "no such index folder",
    "export nothere --to llava -o out": "no such run folder",
    "export run --to nonsense -o out": "there is no export to 'nonsense'",
    "chat nothere": "no such run folder",
}


def test_mistakes_of_every_command_are_reported_without_torch(tmp_path):
    rows = "".join(f"{20 + index % 7},{'yes' if index % 2 else 'no'}\n" for index in range(30))
    (tmp_path / "table.csv").write_text("age,label\n" + rows)
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    (tmp_path / "bad.yaml").write_text("data:\n  train: table.csv\ntrian:\n  epochs: 3\n")
    for name in ("config.json", "model.safetensors", "processor_config.json", "run.yaml"):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_text("{}")
    (tmp_path / "partial").mkdir()
    command = [sys.executable, "-c", dedent(CODE), json.dumps(list(MISTAKES))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    result = json.loads(done.stdout)
    unlike = {line: text for line, text in result["said"].items() if MISTAKES[line] not in text}
    assert unlike == {} and result["heavy"] == []


CHECK = """
    import json, sys
    import polymodal

    heavy = {"torch", "transformers", "datasets", "sklearn", "scipy.stats", "huggingface_hub.errors"}
    seen = []
    shown = lambda report: seen.append([report.rows, sorted(heavy & set(sys.modules))])
    report = polymodal.check("table.csv", target=sys.argv[1], shown=shown)
    print(json.dumps([*seen, report.ok, "torch" in sys.modules]))
"""


@pytest.mark.parametrize(
    ("count", "target", "neural"),
    [(60, "age", False), pytest.param(2100, "label", True, marks=pytest.mark.slow)],
)
def test_rows_are_checked_without_torch_and_a_neural_model_last(tmp_path, count, target, neural):
    rows = "".join(f"{index * 37 % 61 / 10},{'yes' if index % 2 else 'no'}\n" for index in range(count))
    (tmp_path / "table.csv").write_text("age,label\n" + rows)
    command = [sys.executable, "-c", dedent(CHECK), target]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    (rows, heavy), ok, loaded = json.loads(done.stdout)
    assert sum(rows.values()) == count and heavy == [] and ok and loaded is neural
