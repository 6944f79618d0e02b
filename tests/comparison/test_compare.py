"""Runs compared from their folders: known truths planted in their answers, refusals, page and command."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

import polymodal as pm
from polymodal import api
from polymodal.errors import DataError, RunError
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap
from polymodal.evaluation.statistics.significance import paired_p
from polymodal.models.modeling import PolymodalModel
from tests.support.command import error, polymodal, settings
from tests.support.pages import Page
from tests.support.plots import drawn
from tests.support.tables import tiny, write_houses, write_table

ROWS = 200
"""Test rows of the planted runs."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A run with three targets, of a table without media, every second row of which is a test row."""
    folder = tmp_path_factory.mktemp("compare")
    random = np.random.default_rng(0)
    rows = [
        {
            "size": round(float(random.normal()), 3),
            "kind": ("flat", "house", "villa")[number % 3],
            "price": float(random.normal(10, 2)),
            "tags": "|".join(random.permutation(["red", "blue", "old"])[: random.integers(1, 4)]),
            "owner": f"o{number // 8}",
            "split": "test" if number % 2 else "validation" if number % 20 == 0 else "train",
        }
        for number in range(2 * ROWS)
    ]
    write_table(folder / "table.csv", rows)
    more = settings(targets__tags__task="multilabel", targets__tags__separator="'|'", data__group="null")
    named = [word for target in ("kind", "price", "tags") for word in ("-t", target)]
    result = polymodal("fit", "table.csv", *named, "-i", "size", "-o", "run", *more, folder=folder)
    assert result.status == 0, result.err
    return folder


@pytest.fixture
def place(base, tmp_path, monkeypatch):
    """A copy of ``base`` as the current folder."""
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plant(place, name, wrong=0.0, seed=0, keep=None, **answers):
    """A run ``name`` that errs in a share ``wrong`` of its rows; ``answers`` are columns put over it."""
    shutil.copytree(place / "run", place / name)
    path = place / name / "predictions.parquet"
    frame = pd.read_parquet(path)
    random = np.random.default_rng(seed)
    errs = random.random(len(frame)) < wrong
    frame["kind"] = np.where(errs, "nonsense", frame["kind_true"])
    frame["price"] = frame["price_true"].astype(float) + errs * random.normal(0, 2, len(frame))
    frame["tags"] = [["odd"] if err else tags for err, tags in zip(errs, frame["tags_true"], strict=True)]
    frame = frame.assign(**answers)
    (frame if keep is None else frame[keep(frame)]).to_parquet(path, index=False)
    return place / name


def test_copies_of_a_run_differ_by_nothing(place):
    runs = [plant(place, name, wrong=0.2) for name in ("a", "b", "c")]
    figures = api.compare(runs).figures
    assert set(figures["targets"]) == {"kind", "price", "tags"}
    for target in figures["targets"].values():
        assert len(target["pairs"]) == 3
        for pair in target["pairs"]:
            assert pair["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
            assert pair["certainty"] == 0.5 and pair["corrected"] == 1.0 and not pair["beats"]
        assert all(entry["as_good"] for entry in target["runs"])
        assert "level at the top" in target["sentences"][0]


@pytest.mark.parametrize(("target", "score"), [("kind", "accuracy"), ("price", "r2"), ("tags", "micro_f1")])
def test_the_better_run_beats_the_worse(place, target, score):
    plant(place, "good", wrong=0.1, seed=1)
    plant(place, "bad", wrong=0.4, seed=2)
    comparison = pm.compare([place / "bad", place / "good"])
    found = comparison.figures["targets"][target]
    (pair,) = found["pairs"]
    assert found["score"] == score and found["rows"] == found["groups"] == ROWS
    assert (pair["better"], pair["worse"], pair["beats"]) == ("good", "bad", True)
    assert pair["difference"]["low"] > 0 and pair["certainty"] > 0.99 and pair["corrected"] < 0.05
    assert "It beats the other run" in found["sentences"][1] and found["cheapest"] == "good"
    assert [entry["as_good"] for entry in found["runs"]] == [True, False]
    measured = comparison.frame.set_index(["target", "run"]).loc[(target, "good")]
    assert measured["score"] == found["runs"][0]["score"]["value"] > 0.7
    assert comparison.pairs.query("target == @target")["beats"].tolist() == [True]


def test_a_score_is_that_of_the_rows(place):
    runs = [plant(place, name, wrong=0.3, seed=seed) for seed, name in enumerate("ab")]
    found = api.compare(runs).frame.set_index(["target", "run"])["score"]
    for run in runs:
        frame = pd.read_parquet(run / "predictions.parquet")
        truth = frame["price_true"].astype(float)
        r2 = 1 - ((frame["price"] - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
        assert found["price", run.name] == pytest.approx(r2)
        assert found["kind", run.name] == pytest.approx((frame["kind"] == frame["kind_true"]).mean())
    fitted = json.loads((place / "run/metrics.json").read_text())["test"]
    found = api.compare([place / "run", runs[0]]).frame.set_index(["target", "run"])["score"]
    for target, metric in (("kind", "accuracy"), ("price", "r2"), ("tags", "micro_f1")):
        assert found[target, "run"] == pytest.approx(fitted[target][metric], abs=1e-5)


def test_paired_is_narrower_than_unpaired(place):
    """Two runs that err in nearly the same rows: the difference is far surer than either score."""
    truth = pd.read_parquet(place / "run/predictions.parquet")["kind_true"].to_numpy()
    hard = np.arange(ROWS) < 80
    one = np.where(hard, "nonsense", truth)
    two = np.where(hard & (np.arange(ROWS) >= 12), "nonsense", truth)
    plant(place, "one", kind=one)
    plant(place, "two", kind=two)
    found = api.compare([place / "one", place / "two"]).figures["targets"]["kind"]
    paired = found["pairs"][0]["difference"]
    spread = [entry["score"]["high"] - entry["score"]["low"] for entry in found["runs"]]
    unpaired = np.hypot(*spread)
    assert paired["high"] - paired["low"] < 0.6 * unpaired
    assert paired["value"] == 0.06 and found["pairs"][0]["beats"]
    assert found["runs"][0]["score"]["low"] < found["runs"][1]["score"]["high"]  # though they overlap


def test_many_runs_of_chance_beat_nobody(place):
    runs = [plant(place, f"r{seed}", wrong=0.3, seed=seed) for seed in range(8)]
    found = api.compare(runs).figures["targets"]["kind"]
    assert len(found["pairs"]) == 28 and not any(pair["beats"] for pair in found["pairs"])
    assert "beats no other by more than chance, corrected for all pairs" in found["sentences"][1]
    assert "flatters" in found["sentences"][-1]


def test_the_exchange_is_exact_where_few_rows_differ():
    """Six rows of forty that one run alone gets right: 2 of 64 exchanges are as far out."""
    first, second = np.ones((40, 2)), np.ones((40, 2))
    second[:6, 0] = 0
    assert paired_p(Score("accuracy"), first, second, 100, 0) == pytest.approx(2 / 64, abs=0.02)
    assert paired_p(Score("accuracy"), first, first) == 1.0


def test_the_exchange_holds_its_level():
    """p-values of runs that are alike in quality are at most 0.05 in about a twentieth of the cases."""
    random = np.random.default_rng(0)
    ps = []
    for seed in range(200):
        right = (random.random((2, 150)) < 0.7).astype(float)
        one, two = (np.stack([row, np.ones(150)], axis=1) for row in right)
        ps.append(paired_p(Score("accuracy"), one, two, 1, seed))
    assert np.mean(np.array(ps) <= 0.05) < 0.09


def test_groups_are_drawn_together(place):
    runs = [plant(place, name, wrong=0.2, seed=seed) for seed, name in enumerate("ab")]
    figures = api.compare(runs, group="owner").figures
    found = figures["targets"]["kind"]
    assert found["groups"] == 50 and found["grouped_by"] == "rows of one 'owner'" and not figures["notes"]
    assert "in 50 groups" in found["sentences"][0]
    with pytest.raises(DataError, match=r"no column 'ownr' to group by\. Did you mean 'owner'"):
        api.compare(runs, group="ownr")


def test_without_the_table_every_row_stands_by_itself(place):
    runs = [plant(place, name, wrong=0.2, seed=seed) for seed, name in enumerate("ab")]
    (place / "table.csv").rename(place / "gone.csv")
    figures = api.compare(runs).figures
    assert figures["targets"]["kind"]["groups"] == ROWS and "table.csv: is not there" in figures["notes"][0]
    with pytest.raises(RunError, match="is not there"):
        api.compare(runs, group="owner")
    changed = pd.read_csv(place / "gone.csv").assign(kind="flat")
    changed.to_csv(place / "table.csv", index=False)
    assert "is not the file that" in api.compare(runs).figures["notes"][0]


def test_other_rows_are_refused(place):
    plant(place, "a")
    plant(place, "b", keep=lambda frame: frame["row"] > 20)
    plant(place, "c", kind_true="flat")
    said = error(place, "compare", "a", "b")
    assert said.startswith(
        "b and a cannot be compared: a was tested on 10 rows that b was not (such as row 2)"
    )
    assert "data.seed" in said
    said = error(place, "compare", "a", "c")
    assert said.startswith(
        "a and c cannot be compared: 'kind' has another true value in 133 rows (such as row 2)"
    )
    assert not (place / "compare.html").exists()


def test_another_file_is_refused(place):
    plant(place, "a")
    path = plant(place, "b") / "run.yaml"
    pd.read_csv(place / "table.csv").assign(more=1).to_csv(place / "other.csv", index=False)
    path.write_text(path.read_text().replace("train: table.csv", "train: other.csv"))
    said = error(place, "compare", "a", "b")
    assert "tested on different files, table.csv and other.csv. Fit both to the same file" in said
    shutil.copy(place / "table.csv", place / "other.csv")  # another name, the same content
    assert polymodal("compare", "a", "b").status == 0


def test_what_is_no_run_is_refused(place):
    plant(place, "a")
    assert error(place, "compare", "a").startswith("a comparison takes two runs or more, 1 was named")
    assert error(place, "compare", "a", "./a") == "a: is named twice (as a). Name every run once"
    assert error(place, "compare", "a", "nowhere") == "nowhere: no such run folder"
    (place / "empty").mkdir()
    assert "empty: not a complete run, run.yaml" in error(place, "compare", "a", "empty")
    (place / "empty/fusions.json").write_text("{}")
    assert "empty: holds several runs. Name those in it: empty/*/" in error(place, "compare", "a", "empty")
    (plant(place, "untested") / "predictions.parquet").unlink()
    assert "untested: was fitted without test rows" in error(place, "compare", "a", "untested")
    (plant(place, "broken") / "predictions.parquet").write_text("no parquet")
    assert "predictions.parquet: cannot be read" in error(place, "compare", "a", "broken")
    (plant(place, "cut") / "metrics.json").write_text("{")
    assert "metrics.json: is no JSON" in error(place, "compare", "a", "cut")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "holds no JSON object"),
        (3, "holds no JSON object"),
        (None, "holds no JSON object"),
        ({"train": "x"}, "'train' is 'x'"),
        ({"train": {"seconds": [1]}}, "'train.seconds' is [1]"),
        ({"rows": {"train": None}}, "'rows.train' is None"),
        ({"warnings": [{}]}, "'warnings.0' is {}"),
        ({"history": [{"loss": 1.0}]}, "'history.0.epoch' is"),
        ({"history": [{"epoch": 1.0, "eval_loss": "x"}]}, "'eval_loss' is 'x'"),
    ],
)
def test_metrics_of_another_shape_are_one_line_everywhere(place, content, reason):
    """Whoever changes the file cannot make a command fail with a traceback."""
    plant(place, "a")
    (plant(place, "odd") / "metrics.json").write_text(json.dumps(content))
    commands = [("compare", "a", "odd"), ("report", "odd", "table.csv")]
    for command in commands:
        message = error(place, *command)
        assert message.startswith("odd/metrics.json: ") and reason in message and message.count("\n") == 0


def test_metrics_of_an_earlier_version_lack_keys(place):
    plant(place, "a")
    (plant(place, "old") / "metrics.json").write_text('{"test": {}, "train": {"seconds": 2}}')
    assert polymodal("compare", "a", "old", folder=place).status == 0


def drop_targets(folder, *names):
    """Make a run one that never learnt ``names``."""
    for file in ("run.yaml", "processor_config.json"):
        text = (folder / file).read_text()
        for name in names:
            text = text.replace(f"\n  {name}:\n", f"\n  {name}_else:\n")
            text = text.replace(f'"name": "{name}"', f'"name": "{name}_else"')
        (folder / file).write_text(text)
    path = folder / "predictions.parquet"
    new = {f"{name}{end}": f"{name}_else{end}" for name in names for end in ("", "_true")}
    pd.read_parquet(path).rename(columns=new).to_parquet(path, index=False)


def test_targets_that_are_not_shared_are_left_out(place):
    runs = [plant(place, "a"), plant(place, "b")]
    drop_targets(runs[1], "price")
    figures = api.compare(runs).figures
    assert set(figures["targets"]) == {"kind", "tags"}
    assert figures["notes"][0].startswith("‘price’ and ‘price_else’ left out: not a target of every run")
    drop_targets(runs[1], "kind", "tags")
    said = error(place, "compare", "a", "b")
    assert said.startswith("no target that all runs have in common can be compared (a: ")


def test_rows_that_a_run_skipped_are_left_out_of_all(place):
    runs = [plant(place, "a", wrong=0.2), plant(place, "b", keep=lambda frame: frame["row"] > 20)]
    lines = [f"table.csv,{row},size,'x',a number" for row in range(1, 21)]
    (runs[1] / "rejected.csv").write_text("\n".join(["file,row,column,found,expected", *lines]) + "\n")
    figures = api.compare(runs).figures
    assert figures["rows"] == figures["targets"]["kind"]["rows"] == ROWS - 10
    assert figures["notes"] == ["10 rows left out that ‘b’ could not read and skipped"]


def test_absent_answers_and_truths(place):
    frame = pd.read_parquet(place / "run/predictions.parquet")
    kind = frame["kind_true"].astype(object).where(frame["row"] > 10)
    runs = [plant(place, "a", wrong=0.3), plant(place, "b", kind=kind), plant(place, "c", price=np.nan)]
    targets = api.compare(runs, output=place / "out").figures["targets"]
    assert targets["kind"]["rows"] == ROWS - 5 and targets["kind"]["unanswered"] == 5
    assert any("5 rows are left out" in sentence for sentence in targets["kind"]["sentences"])
    # A run without any answer does not take the rows from the others.
    assert targets["price"]["rows"] == ROWS and targets["price"]["runs"][-1]["run"] == "c"
    assert (
        targets["price"]["runs"][-1]["score"]["value"] is None and not targets["price"]["runs"][-1]["as_good"]
    )
    assert [pair["p"] is None for pair in targets["price"]["pairs"]] == [False, True, True]


def test_the_cheapest_that_is_not_worse(place):
    runs = [plant(place, name, wrong=wrong, seed=3) for name, wrong in (("a", 0.05), ("b", 0.06), ("c", 0.6))]
    for run, parameters in zip(runs, (5000, 300, 10), strict=True):
        results = json.loads((run / "metrics.json").read_text())
        (run / "metrics.json").write_text(json.dumps(results | {"parameters": parameters}))
    found = api.compare(runs).figures["targets"]["kind"]
    assert found["cheapest"] == "b" and "‘b’: 300 parameters" in found["sentences"][2]


def test_the_command_writes_page_and_figures(place, monkeypatch):
    names = ["a", "b$x$<i>", "c"]
    for number, name in enumerate(names):
        plant(place, name, wrong=0.1 + 0.2 * number, seed=number)

    def never(*_, **__):
        raise AssertionError("a model was run")

    monkeypatch.setattr(PolymodalModel, "__init__", never)
    with drawn():
        result = polymodal("compare", *names, "-o", "out")
    assert result.status == 0, result.err
    assert result.out.splitlines()[-1] == "The comparison lies in out/compare.html."
    assert "kind: accuracy on 200 test rows" in result.out and "a *" in result.out
    figures = json.loads((place / "out/compare.json").read_text())
    text = (place / "out/compare.html").read_text()
    page = Page(text)
    assert not page.loads and "http" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
    assert "prefers-color-scheme: dark" in text and "<i>" not in text and text.count("<svg") >= 3
    assert all("<path" in drawing for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    for target in figures["targets"].values():
        for sentence in target["sentences"]:
            assert sentence in page.text and sentence in result.out
    again = polymodal("compare", *names, "--json", "--group", "owner")
    assert again.json["page"] == "compare.html" and (place / "compare.html").exists()
    assert again.json["targets"]["kind"]["groups"] == 50


def test_the_same_figures_every_time(place):
    runs = [plant(place, name, wrong=0.3, seed=seed) for seed, name in enumerate("ab")]
    assert api.compare(runs).figures == api.compare(runs).figures
    turned = api.compare(runs[::-1]).figures["targets"]["kind"]
    assert turned["runs"] == api.compare(runs).figures["targets"]["kind"]["runs"]


def test_a_bootstrap_pairs_what_is_asked_of_it():
    added = np.random.default_rng(0).random((2, 30, 2))
    bootstrap = Bootstrap(np.arange(30))
    both = bootstrap.resample(added)
    assert np.allclose(both[:, 1], bootstrap.resample(added[1]))


@pytest.mark.slow
def test_fusions_end_with_the_comparison(tmp_path):
    write_houses(tmp_path, rows=40)
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "note,bedrooms", "--fusions", "concat,sum", "-o", "runs"]
    more = ["--set", "data.test=0.3", "--set", "train.epochs=1"]
    silent = polymodal(*fit, *settings(), *more, folder=tmp_path)
    assert silent.status == 0 and not (tmp_path / "runs/compare.html").exists(), silent.err
    assert "compare.html" not in silent.out
    again = ["--set", "report.write=true", "--overwrite"]
    result = polymodal(*fit, *settings(), *more, *again, folder=tmp_path)
    assert result.status == 0, result.err
    assert "runs/compare.html" in result.out
    figures = json.loads((tmp_path / "runs/compare.json").read_text())
    assert set(figures["runs"]) == {"concat", "sum"} and figures["rows"] == 12
    pm.fit_fusions(
        tmp_path / "houses.csv", fusions="concat,sum", target="kind", inputs=["note", "bedrooms"],
        output=tmp_path / "runs", settings=[*tiny(), "data.test=0", "report.write=true"], overwrite=True,
    )  # fmt: skip
    assert not (tmp_path / "runs/compare.html").exists()  # what was compared is no more


def test_ordinal_targets_of_other_orders_are_left_out_and_named(place):
    for name, classes in (("a", ["flat", "house", "villa"]), ("b", ["villa", "house", "flat"])):
        plant(place, name, wrong=0.2)
        path = place / name / "processor_config.json"
        content = json.loads(path.read_text())
        target = next(entry for entry in content["targets"] if entry["name"] == "kind")
        target["classes"] = classes
        path.write_text(json.dumps(content))
        declared = yaml.safe_load((place / name / "run.yaml").read_text())
        declared["targets"]["kind"] |= {"task": "ordinal", "classes": classes}
        (place / name / "run.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    figures = api.compare([place / "a", place / "b"]).figures
    assert "kind" not in figures["targets"]
    assert "‘kind’ left out: its runs do not agree on one order of the classes" in figures["notes"]
