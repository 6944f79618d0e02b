"""``metrics.json`` as records: the same keys in the same order, also of runs of earlier versions."""

import json
import shutil
from pathlib import Path

import pytest

import polymodal as pm
from polymodal.training.output_folder import (
    FAILED,
    finished_results,
    read_results,
    write_pages_state,
)
from polymodal.training.recorded_metrics import LanguageResults, PredictionResults

OLD = Path(__file__).parent.parent / "data"


@pytest.mark.parametrize(
    ("fixture", "kind"), [("fitted_houses", PredictionResults), ("spoken_houses", LanguageResults)]
)
def test_a_record_is_what_the_file_holds(request, fixture, kind):
    run = request.getfixturevalue(fixture) / "run"
    results, text = read_results(run), (run / "metrics.json").read_text()
    assert type(results) is kind and results.pages == "written" and results.train.seconds > 0
    assert json.dumps(results, indent=2, ensure_ascii=False) + "\n" == text


@pytest.mark.parametrize(
    ("name", "kind"), [("old_run", PredictionResults), ("old_words_run", LanguageResults)]
)
def test_keys_that_an_earlier_version_lacks_have_defaults(name, kind, tmp_path):
    run = shutil.copytree(OLD / name / "run", tmp_path / "run")
    content = json.loads((run / "metrics.json").read_text())
    del content["pages"], content["notes"]
    (run / "metrics.json").write_text(json.dumps(content))
    results = finished_results(run)
    assert type(results) is kind and results.pages is None and results.notes == []
    assert results.history == content["history"] and results.train.epochs == content["train"]["epochs"]
    (run / "metrics.json").write_text(json.dumps(content | {"later": 1}))
    write_pages_state(run, warnings=["one"], pages=FAILED)
    changed = json.loads((run / "metrics.json").read_text())
    assert changed == content | {"later": 1, "warnings": ["one"], "pages": FAILED}


def test_another_shape_is_refused(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"losses": [1]}))
    with pytest.raises(pm.RunError, match=r"was not written by a fit \('losses' is no object"):
        read_results(tmp_path)
