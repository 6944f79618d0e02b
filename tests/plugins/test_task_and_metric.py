"""A task and a metric of other packages go the whole road by the command line."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import matthews_corrcoef

import polymodal as pm
from polymodal.data.targets import TARGETS
from polymodal.evaluation.metrics.metrics import METRICS, evaluate
from polymodal.models.heads import HEADS
from polymodal.tasks import TASKS
from tests.support.command import error, polymodal, settings

HERE, SOURCE = Path(__file__).parent, Path(pm.__file__).parent


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The packages on the path, with the ``dist-info`` that pip would leave."""
    folder = tmp_path / "site"
    for name in ("counts", "mcc"):
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        shutil.copy(HERE / name / "entry_points.txt", info)
        for path in (HERE / name).glob("*.py"):
            shutil.copy(path, folder)
    monkeypatch.syspath_prepend(str(folder))
    for registry in (HEADS, TASKS, TARGETS, METRICS._offers):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(METRICS, "_metrics", list(METRICS._metrics))
    monkeypatch.setattr(METRICS, "_seen", set())
    monkeypatch.setattr(METRICS, "_whole", {})
    yield folder
    for name in ("counts", "matthews"):
        sys.modules.pop(name, None)


def write_table(folder, rows=90):
    random = np.random.default_rng(0)
    size, kind = random.normal(size=rows), random.choice(["a", "b"], rows)
    rate = np.exp(0.8 * size + (kind == "a"))
    grade = np.where(size > 0.3, "good", np.where(size > -0.5, "fair", "poor"))
    visits = random.poisson(rate)
    table = pd.DataFrame({"size": size.round(3), "kind": kind, "visits": visits, "grade": grade})
    table.to_csv(folder / "shops.csv", index=False)
    return table


def test_no_line_of_the_source_knows_their_names():
    names = re.compile(r"\b(poisson_counts|deviance_explained|mcc|matthews)\b", re.IGNORECASE)
    assert not [path for path in SOURCE.rglob("*.py") if names.search(path.read_text(encoding="utf-8"))]


def fit(folder, target, output, *options):
    sets = [
        *settings("kind"),
        "--set",
        "report.write=true",
        "--set",
        "report.noise_rows=10",
        "--set",
        "data.seed=0",
        *options,
    ]
    return polymodal("fit", "shops.csv", "-t", target, "-i", "size,kind", "-o", output, *sets, folder=folder)


def test_a_task_of_another_package(site, tmp_path):
    table = write_table(tmp_path)
    task = ["--set", "targets.visits.task=poisson_counts"]
    checked = polymodal("check", "shops.csv", "-t", "visits", *task, folder=tmp_path)
    assert checked.status == 0, checked.err
    assert fit(tmp_path, "visits", "run", *task).status == 0
    results = json.loads((tmp_path / "run/metrics.json").read_text())["test"]["visits"]
    assert list(results) == ["deviance_explained", "mean_deviance"]
    figures = json.loads((tmp_path / "run/report.json").read_text())["targets"]["visits"]
    assert figures["task"] == "poisson_counts" and figures["worth"]["score"] == "deviance_explained"
    assert (
        figures["worth"]["all"]["low"] <= figures["worth"]["all"]["value"] <= figures["worth"]["all"]["high"]
    )
    assert figures["failures"]["residuals"]["rows"] and {"truth", "residual"} <= {
        *figures["failures"]["worst"][0]
    }
    assert "deviance explained" in (tmp_path / "run/report.html").read_text()
    explained = polymodal("explain", "run", "shops.csv", "--rows", "1", "--json", folder=tmp_path)
    assert explained.status == 0, explained.err
    assert polymodal("predict", "run", "shops.csv", "-o", "out.parquet", folder=tmp_path).status == 0
    predicted = pd.read_parquet(tmp_path / "out.parquet")["visits"]
    assert len(predicted) == len(table) and (predicted > 0).all()
    assert fit(tmp_path, "visits", "other", *task, "--set", "train.seed=1").status == 0
    compared = polymodal("compare", "run", "other", "--json", folder=tmp_path)
    assert json.loads(compared.out)["targets"]["visits"]["score"] == "deviance_explained"


def test_cells_that_a_task_refuses_are_named(site, tmp_path):
    table = write_table(tmp_path)
    table.loc[3, "visits"] = -2
    table.to_csv(tmp_path / "shops.csv", index=False)
    task = ["--set", "targets.visits.task=poisson_counts"]
    line = error(tmp_path, "fit", "shops.csv", "-t", "visits", "-o", "run", *task)
    assert "row 4" in line and "a whole number, 0 or more" in line


def test_a_metric_of_another_package_picks_the_epoch_the_thresholds_and_the_score(site, tmp_path):
    write_table(tmp_path)
    options = ["--set", "train.metric=mcc", "--set", "targets.grade.thresholds=validation"]
    checked = polymodal("check", "shops.csv", "-t", "grade", *options[:2], folder=tmp_path)
    assert checked.status == 0, checked.err
    result = fit(tmp_path, "grade", "run", *options)
    assert result.status == 0, result.err
    results = json.loads((tmp_path / "run/metrics.json").read_text())
    assert "mcc" in results["test"]["grade"] and -1 <= results["test"]["grade"]["mcc"] <= 1
    judged = {
        entry["epoch"]: entry["eval_selection"] for entry in results["history"] if "eval_selection" in entry
    }
    assert results["validation"]["epoch"] == max(judged, key=judged.get)
    assert judged[results["validation"]["epoch"]] == pytest.approx(
        results["validation"]["grade.mcc"], abs=1e-5
    )
    figures = json.loads((tmp_path / "run/report.json").read_text())["targets"]["grade"]
    assert figures["worth"]["score"] == "mcc" and figures["metrics"]["mcc"] == pytest.approx(
        figures["worth"]["all"]["value"]
    )
    assert pm.load(tmp_path / "run").evaluate(tmp_path / "shops.csv")["grade"]["mcc"] > -1
    evaluated = polymodal("evaluate", "run", "shops.csv", "--json", folder=tmp_path)
    assert "mcc" in json.loads(evaluated.out)["grade"]
    explained = polymodal("explain", "run", "shops.csv", "--rows", "1,2", "-o", "why", folder=tmp_path)
    assert explained.status == 0, explained.err
    predicted = polymodal("predict", "run", "shops.csv", "-o", "grades.csv", folder=tmp_path)
    assert predicted.status == 0 and set(pd.read_csv(tmp_path / "grades.csv")["grade"]) <= {
        "good",
        "fair",
        "poor",
    }
    assert fit(tmp_path, "grade", "other", *options, "--set", "train.seed=1").status == 0
    compared = polymodal("compare", "run", "other", "--json", folder=tmp_path)
    assert json.loads(compared.out)["targets"]["grade"]["score"] == "mcc"
    line = error(tmp_path, "fit", "shops.csv", "-t", "grade", "-o", "x", "--set", "train.metric=mc")
    assert "there is no metric 'mc'. Did you mean 'mcc'?" in line


def test_it_is_scikit_learns(site):
    torch.manual_seed(0)
    probabilities, target = torch.rand(50, 3), torch.randint(0, 3, (50,))
    probabilities /= probabilities.sum(dim=1, keepdim=True)
    weight = torch.randint(0, 3, (50,)).double()
    said = probabilities.argmax(dim=1)
    assert evaluate("classification", probabilities, target)["mcc"] == pytest.approx(
        matthews_corrcoef(target, said)
    )
    assert evaluate("classification", probabilities, target, weight)["mcc"] == pytest.approx(
        matthews_corrcoef(target, said, sample_weight=weight)
    )


def test_a_broken_metric_is_skipped_and_refused_by_name(site):
    (site / "mcc-1.0.dist-info" / "entry_points.txt").write_text("[polymodal.metrics]\nmcc = ruins:mcc\n")
    with pytest.warns(UserWarning, match="the metric 'mcc' of the package 'mcc' cannot be imported"):
        found = evaluate("classification", torch.eye(2), torch.tensor([0, 1]))
    assert "mcc" not in found and found["accuracy"] == 1
    METRICS._seen.clear()
    with pytest.raises(pm.ConfigError, match="Mend or uninstall that package"):
        METRICS.named("mcc")


def test_all_metrics_of_a_task_by_one_function_still_work(site):
    (site / "counts.py").write_text("def whole(prediction, target, **decided):\n    return {'own': 1.0}\n")
    offers = "[polymodal.metrics]\npoisson_counts = counts:whole\n"
    (site / "counts-1.0.dist-info" / "entry_points.txt").write_text(offers)
    with pytest.warns(DeprecationWarning, match="register them one by one"):
        assert evaluate("poisson_counts", torch.ones(2), torch.ones(2)) == {"own": 1.0}
