"""A fit of several candidates, as a user makes and uses it: ``train.candidates: [plain, fused]``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from tests.support.command import errors, polymodal, settings
from tests.support.tables import write_houses

TARGETS = ["-t", "kind", "-t", "price", "-i", "photo,note,bedrooms"]
BOTH = ["--set", "train.candidates=[plain, fused]"]
PLAIN = ["--set", "train.candidates=[plain]"]


@pytest.fixture(scope="session")
def blended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of houses, ``both`` of two candidates with a report, and ``plain`` of the plain one."""
    folder = tmp_path_factory.mktemp("blended")
    write_houses(folder)
    report = ["--set", "report.write=true", "--set", "report.noise_rows=4"]
    made = polymodal(
        "fit", "houses.csv", *TARGETS, "-o", "both", *settings("photo"), *BOTH, *report, folder=folder
    )
    assert made.status == 0, made.err
    (folder / "printed.txt").write_text(made.out, encoding="utf-8")
    made = polymodal("fit", "houses.csv", *TARGETS, "-o", "plain", *settings("photo"), *PLAIN, folder=folder)
    assert made.status == 0, made.err
    return folder


def results_of(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_the_folder_holds_every_candidate_and_no_pickle(blended: Path) -> None:
    both = blended / "both"
    assert (both / "blend.json").is_file() and not (both / "model.safetensors").exists()
    assert (both / "candidates" / "fused" / "model.safetensors").is_file()
    assert (both / "candidates" / "plain" / "readers.json").is_file()
    assert not [path for path in both.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert not list(both.rglob("checkpoints"))
    assert not (blended / "plain" / "candidates" / "fused").exists()


def test_metrics_hold_the_blend_and_every_model(blended: Path) -> None:
    results = results_of(blended / "both")
    board = results["candidates"]
    assert set(results["test"]) == {"kind", "price"}
    assert {"fused", "plain.linear"} <= set(board["models"])
    for target in ("kind", "price"):
        assert sum(model["weights"][target] for model in board["models"].values()) == pytest.approx(1)
        for name, model in board["models"].items():
            if target not in model["test"]:
                assert name == "plain.forest" and target == "kind"  # it learns numbers alone
                continue
            assert set(model["test"][target]) == {"score", "metrics"}
    assert board["left_out"] == {}
    assert len(set(results["notes"])) == len(results["notes"])


def test_the_leaderboard_is_printed_and_reported(blended: Path) -> None:
    printed = (blended / "printed.txt").read_text(encoding="utf-8")
    assert "Models tried for 'kind'" in printed and "plain.linear" in printed
    results = results_of(blended / "both")
    assert results["candidates"]["fitted_again"] == ["plain"]
    held = f"the {results['rows']['validation']} validation rows as well; the metrics are of these."
    assert f"Its plain models were then fitted to {held}" in printed
    page = (blended / "both" / "report.html").read_text(encoding="utf-8")
    assert page.index("Models that were tried") < page.index("Input importance")
    report = json.loads((blended / "both" / "report.json").read_text(encoding="utf-8"))
    assert (
        report["candidates"]["models"].keys() == results_of(blended / "both")["candidates"]["models"].keys()
    )
    assert set(report["targets"]["kind"]["worth"]["inputs"]) == {"photo", "note", "bedrooms"}


@pytest.mark.parametrize("name", ["both", "plain"])
def test_predictions_are_those_of_the_file_and_of_a_reloaded_run(blended: Path, name: str) -> None:
    run = pm.load(blended / name)
    table = pd.read_csv(blended / "houses.csv")
    found = run.predict(blended / "houses.csv", probabilities=True)
    assert len(found) == len(table) and np.isfinite(found["price"]).all()
    shares = found.filter(like="kind_probability_").to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    kept = pd.read_parquet(blended / name / "predictions.parquet").set_index("row")
    again = found.set_axis(range(1, len(found) + 1)).loc[kept.index]
    np.testing.assert_allclose(again["price"], kept["price"], rtol=1e-5)
    assert list(again["kind"]) == list(kept["kind"])


@pytest.mark.parametrize("name", ["both", "plain"])
def test_any_input_may_be_missing(blended: Path, name: str) -> None:
    run = pm.load(blended / name)
    with pytest.warns(pm.InputWarning):
        found = run.predict([{"bedrooms": 3}, {"bedrooms": None}])
    assert np.isfinite(found["price"]).all() and list(found["no_input"]) == [False, True]


def test_rows_do_not_depend_on_their_neighbours(blended: Path) -> None:
    run, table = pm.load(blended / "both"), pd.read_csv(blended / "houses.csv").head(6)
    table["photo"] = [str(blended / cell) if isinstance(cell, str) else None for cell in table["photo"]]
    whole = run.predict(table)
    alone = pd.concat([run.predict(table.iloc[[row]]) for row in range(len(table))])
    np.testing.assert_allclose(whole["price"], alone["price"], rtol=1e-5)


def test_evaluate_gives_the_metrics_of_the_fit(blended: Path) -> None:
    run = pm.load(blended / "both")
    kept = pd.read_parquet(blended / "both" / "predictions.parquet")["row"].to_numpy() - 1
    rows = pd.read_csv(blended / "houses.csv").iloc[kept]
    rows["photo"] = [str(blended / cell) if isinstance(cell, str) else None for cell in rows["photo"]]
    found, expected = run.evaluate(rows), results_of(blended / "both")["test"]
    assert found["price"]["mae"] == pytest.approx(expected["price"]["mae"], rel=1e-5)
    assert found["kind"]["accuracy"] == expected["kind"]["accuracy"]


def test_a_saved_copy_predicts_the_same(blended: Path, tmp_path: Path) -> None:
    run = pm.load(blended / "plain")
    run.save(tmp_path / "copy")
    copy = pm.load(tmp_path / "copy")
    rows = [{"bedrooms": 2, "note": "garden"}, {"bedrooms": 5}]
    with pytest.warns(pm.InputWarning):
        pd.testing.assert_frame_equal(copy.predict(rows), run.predict(rows))


def test_vectors_come_from_the_neural_model(blended: Path) -> None:
    both = pm.load(blended / "both")
    table = blended / "houses.csv"
    np.testing.assert_allclose(
        both.embed(table), pm.load(blended / "both" / "candidates" / "fused").embed(table)
    )
    found = errors(blended, "embed", "plain", "houses.csv", "-o", "vectors.parquet")
    fix = "Fit with --set train.candidates=[plain,fused]"
    assert found == [f"plain: was fitted without the neural model, which this needs. {fix}"]


def test_explanations_add_up(blended: Path) -> None:
    for name in ("both", "plain"):
        run = pm.load(blended / name)
        frame = run.explain(
            blended / "houses.csv", rows=[1, 2], targets="price", output=blended / f"explained_{name}"
        )
        assert set(frame["target"]) == {"price"}
        assert (blended / f"explained_{name}" / "explanations.html").is_file()


def test_a_finished_portfolio_is_resumed_and_kept(blended: Path, tmp_path: Path) -> None:
    shutil.copytree(blended, tmp_path / "copy", dirs_exist_ok=True)
    folder = tmp_path / "copy"
    before = (folder / "plain" / "blend.json").read_bytes()
    made = polymodal(
        "fit", "houses.csv", *TARGETS, "-o", "plain", *settings("photo"), *PLAIN, "--resume", folder=folder
    )
    assert made.status == 0 and "finished already" in made.err
    assert (folder / "plain" / "blend.json").read_bytes() == before
    found = errors(folder, "fit", "houses.csv", *TARGETS, "-o", "plain", *settings("photo"), *PLAIN)
    assert "holds a run already" in found[0]


@pytest.mark.slow
def test_an_interrupted_portfolio_ends_in_the_same_blend(blended: Path) -> None:
    fit = ["fit", "houses.csv", *TARGETS, "-o", "broken_off", *settings("photo"), *BOTH]
    with mock.patch("polymodal.candidates.fused.FusedCandidate.finish", side_effect=KeyboardInterrupt):
        assert polymodal(*fit, folder=blended).status == 130
    assert not (blended / "broken_off" / "blend.json").exists()
    found = errors(blended, *fit)
    assert "holds a run already" in found[0]
    assert polymodal(*fit, "--resume", folder=blended).status == 0
    for file in ("blend.json", "candidates/fused/model.safetensors"):
        assert (blended / "broken_off" / file).read_bytes() == (blended / "both" / file).read_bytes(), file


def test_a_fit_goes_on_from_the_neural_model_of_a_blend(blended: Path) -> None:
    made = polymodal(
        "fit", "houses.csv", "-t", "kind", "-i", "photo,note,bedrooms", "--from", "both", "-o", "from",
        *settings("photo"), folder=blended,
    )  # fmt: skip
    assert made.status == 0, made.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "train.candidates=[plian]"], "there is no candidate named 'plian'"),
        (["--set", "train.candidates=[plain, plain]"], "names one twice"),
        ([*BOTH, "--fusions", "all"], "is of the neural model alone"),
    ],
)
def test_wrong_candidates_are_refused_in_a_line(blended: Path, options: list[str], message: str) -> None:
    found = errors(blended, "fit", "houses.csv", *TARGETS, "-o", "wrong", *settings("photo"), *options)
    assert len(found) == 1 and message in found[0]


def test_a_changed_file_of_a_candidate_is_refused(blended: Path, tmp_path: Path) -> None:
    shutil.copytree(blended / "plain", tmp_path / "run")
    readers = tmp_path / "run" / "candidates" / "plain" / "readers.json"
    readers.write_text(readers.read_text(encoding="utf-8").replace("photo", "foto"), encoding="utf-8")
    with pytest.raises(pm.PolymodalError, match="is not as it was written"):
        pm.load(tmp_path / "run")
    (tmp_path / "run" / "checksums.json").unlink()
    with pytest.raises(pm.PolymodalError, match="reads other inputs"):
        pm.load(tmp_path / "run")


@pytest.mark.parametrize(
    "change",
    [
        {"weights": {}}, {"format": 9},
        {"weights": {"kind": {"plain.linear": 2.0}, "price": {"plain.linear": 1.0}}},
        {"heads": 3}, {"candidates": ["fused"]}, {"candidates": ["unheard of"]}, {"inputs": ["photo"]},
    ],
)  # fmt: skip
def test_a_damaged_blend_is_one_line(blended: Path, tmp_path: Path, change: dict) -> None:
    shutil.copytree(blended / "plain", tmp_path / "run")
    (tmp_path / "run" / "checksums.json").unlink()
    path = tmp_path / "run" / "blend.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(pm.PolymodalError) as raised:
        pm.load(tmp_path / "run")
    assert "\n" not in str(raised.value)


def test_presets_are_settings(blended: Path) -> None:
    made = polymodal(
        "fit", "houses.csv", "-t", "kind", "-i", "note,bedrooms", "--preset", "fast", "-o", "fast",
        "--set", "report.write=false", folder=blended,
    )  # fmt: skip
    assert made.status == 0, made.err
    assert pm.load(blended / "fast").declaration.train.candidates == ["plain"]
    found = errors(blended, "fit", "houses.csv", "-t", "kind", "--preset", "fats", "-o", "fats")
    assert found == ["there is no preset 'fats'. Did you mean 'fast'? There are: fast, good, best"]


def test_few_validation_rows_leave_the_choice_to_folds_of_the_training_rows(blended: Path) -> None:
    board = results_of(blended / "plain")["candidates"]
    assert all(reason.startswith("out of fold") for reason in board["reasons"].values())
    both = results_of(blended / "both")["candidates"]
    assert "validation rows are too few" in both["reasons"]["price"]
    assert both["models"]["fused"]["weights"]["price"] == pytest.approx(
        1 / 5
    )  # that of one of four plain models


def test_folds_compare_the_blends(blended: Path) -> None:
    repeats = pm.fit_folds(
        blended / "houses.csv", folds=2, target="kind", inputs=["bedrooms", "note"], output=blended / "folds",
        preset="fast", settings=["report.write=false"],
    )  # fmt: skip
    assert len(repeats.fits.fits) == 2 and repeats.fits.best in ("fold0", "fold1")
    assert set(repeats.test["kind"]) >= {"accuracy"}


def test_plain_models_are_left_out_of_private_fits(blended: Path) -> None:
    private = ["--set", "data.private=true", "--set", "data.private_rows=2"]
    made = polymodal(
        "fit", "houses.csv", *TARGETS, "-o", "private", *settings("photo"), *PLAIN, *private, folder=blended
    )
    reason = "with data.private: plain models keep values that few training rows have"
    assert made.status == 1 and made.errors == [f"no candidate can be fitted (plain: {reason})"]
