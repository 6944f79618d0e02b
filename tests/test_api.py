"""The Python door: whatever holds rows goes in, and what is saved answers as what was trained."""

import base64
import io

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModel, AutoProcessor

import polymodal as pm
from tests.support.tables import COLUMNS, house_rows, tiny, write_houses


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    write_houses(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """Fitted to a class and a number on every modality."""
    return pm.fit(folder / "houses.csv", target=["kind", "price"], inputs=COLUMNS, output=folder / "run",
                  settings=tiny(*COLUMNS))  # fmt: skip


def rows_of(folder, **more):
    """The rows of ``houses.csv`` with paths that are found from anywhere."""
    rows = house_rows(folder, **more)
    for row in rows:
        row |= {name: str(folder / row[name]) for name in ("photo", "voice") if row[name]}
    return rows


def same(a, b):
    assert a["kind"].tolist() == b["kind"].tolist() and a["missing"].tolist() == b["missing"].tolist()
    np.testing.assert_allclose(a["kind_confidence"], b["kind_confidence"], rtol=1e-4)
    np.testing.assert_allclose(a["price"], b["price"], rtol=1e-4)


@pytest.mark.parametrize(
    "holder",
    [pd.DataFrame, list, datasets.Dataset.from_list, lambda rows: pd.DataFrame(rows).convert_dtypes()],
    ids=["DataFrame", "list", "Dataset", "nullable DataFrame"],
)
def test_whatever_holds_rows_is_fitted_and_answered_alike(folder, run, tmp_path, holder):
    rows = rows_of(folder)
    same(run.predict(holder(rows)), run.predict(folder / "houses.csv"))
    options = {"target": "kind", "inputs": ["photo", "note"], "settings": tiny("photo")}
    fitted = pm.fit(holder(rows), output=tmp_path / "held", **options)
    reference = pm.fit(folder / "houses.csv", output=tmp_path / "file", **options)
    a, b = fitted.model.state_dict(), reference.model.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in b)


def test_a_saved_dataset_folder_is_a_table(folder, run, tmp_path):
    datasets.Dataset.from_list(rows_of(folder)).save_to_disk(tmp_path / "set")
    same(run.predict(datasets.load_from_disk(tmp_path / "set")), run.predict(folder / "houses.csv"))
    with pytest.raises(pm.DataError, match="lies outside the table's folder"):  # a folder may be a stranger's
        run.predict(tmp_path / "set")


def test_media_may_stand_in_the_cells(folder, run):
    paths = rows_of(folder, empty=0)[:4]
    raw = (folder / "photos/0.png").read_bytes(), (folder / "sounds/0.wav").read_bytes()
    forms = [
        {"photo": raw[0], "voice": raw[1]},
        {"photo": "data:image/png;base64," + base64.b64encode(raw[0]).decode(), "voice": raw[1]},
        {"photo": {"path": None, "bytes": raw[0]}, "voice": {"path": "a.wav", "bytes": raw[1]}},
        {"photo": Image.open(io.BytesIO(raw[0])), "voice": raw[1]},
    ]
    for form in forms:
        given = paths[0] | form
        same(run.predict([given]), run.predict([paths[0]]))


def test_what_is_missing_is_missing(run):
    said = run.predict([{"bedrooms": 3}, {"bedrooms": None}, {"note": ""}, {"bedrooms": 3, "colour": "red"}])
    assert said["no_input"].tolist() == [False, True, True, False]
    assert said["missing"][0] == "photo, voice, note, district"
    assert said["price"][0] == pytest.approx(said["price"][3]) and said["price"][1] == pytest.approx(
        said["price"][2]
    )


def test_a_row_is_answered_alike_alone_and_among_others(folder, run):
    together = run.predict(folder / "houses.csv")
    same(run.predict(folder / "houses.csv", batch_size=1), together)
    same(run.predict(rows_of(folder)[7:8]), together.iloc[7:8])


def test_a_run_that_is_loaded_answers_as_the_one_that_was_trained(folder, run):
    again = pm.load(folder / "run")
    same(again.predict(folder / "houses.csv"), run.predict(folder / "houses.csv"))
    a, b = again.model.state_dict(), run.model.state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[name].cpu(), b[name].cpu()) for name in a)
    assert again.declaration == run.declaration
    for target, measured in again.evaluate(folder / "houses.csv").items():
        assert measured == pytest.approx(run.evaluate(folder / "houses.csv")[target])


def test_a_run_saved_elsewhere_is_whole(folder, run, tmp_path):
    run.save(tmp_path / "copy")
    same(pm.load(tmp_path / "copy").predict(rows_of(folder)), run.predict(rows_of(folder)))


def test_transformers_auto_classes_read_the_run_folder(folder, run):
    config = AutoConfig.from_pretrained(folder / "run")
    assert config.input_names == list(COLUMNS) and config.head_names == ["kind", "price"]
    processor = AutoProcessor.from_pretrained(folder / "run")
    batch = processor(rows_of(folder)[:5])
    model = AutoModel.from_pretrained(folder / "run").eval()
    with torch.no_grad():
        fused = model(**batch).fused
        answered = pm.PolymodalForPrediction.from_pretrained(folder / "run").eval()(**batch)
    np.testing.assert_allclose(fused, run.embed(rows_of(folder)[:5]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(answered.fused, fused)


def test_embed(folder, run):
    assert run.embed(folder / "houses.csv").shape == (40, 16)
    photo = run.embed([{"photo": str(folder / "photos/0.png")}, {"note": "quiet"}], input="photo")
    assert np.isfinite(photo[0]).all() and np.isnan(photo[1]).all()
    with pytest.raises(pm.RunError, match="no input 'foto'"):
        run.embed(folder / "houses.csv", input="foto")


def test_evaluate_measures_the_rows_that_have_an_answer(folder, run):
    rows = rows_of(folder)
    half = [row | {"price": None if number % 2 else row["price"]} for number, row in enumerate(rows)]
    assert run.evaluate(half)["price"] == pytest.approx(run.evaluate(rows[::2])["price"], rel=1e-4)
    assert run.evaluate(half)["kind"] == pytest.approx(run.evaluate(rows)["kind"], rel=1e-4)


def test_check_and_init_from_python(folder):
    report = pm.check(folder / "houses.csv", target="kind")
    assert report.ok and report.rows == {"train": 32, "validation": 4, "test": 4}
    assert "photo: {modality: image}" in pm.init(folder / "houses.csv", target="kind")
    assert "targets: {}" in pm.init(folder / "houses.csv")


def test_every_problem_is_in_the_exception(folder):
    rows = rows_of(folder)
    rows[2]["bedrooms"], rows[4]["photo"] = "three", "nowhere.png"
    with pytest.raises(pm.DataError) as error:
        pm.fit(rows, target="kind", inputs=["bedrooms", "photo"], output=folder / "never")
    assert {(problem.row, problem.column) for problem in error.value.problems} == {
        (3, "bedrooms"),
        (5, "photo"),
    }


def test_columns_may_be_called_by_numbers():
    frame = pd.DataFrame({1: ["a", "b"] * 20, 0: range(100, 140)})
    assert [column.role for column in pm.check(frame, target=0).columns] == ["input", "target"]


def test_a_name_in_another_form_of_unicode_is_pointed_out():
    with pytest.raises(pm.PolymodalError, match="Did you mean 'e\u0301'"):
        pm.check(pd.DataFrame({"x": range(40), "e\u0301": ["a", "b"] * 20}), target="é")


def test_what_is_no_table_is_refused():
    for source in (3, {"a": 1}, [1, 2], []):
        with pytest.raises(pm.PolymodalError):
            pm.check(source, target="kind")


def test_columns_with_awkward_names_in_any_order(tmp_path):
    names = {"note": "type", "bedrooms": "items", "district": "a.b", "photo": "half"}
    rows = [{names.get(key, key): value for key, value in row.items()} for row in rows_of(tmp_path)]
    for inputs in (["type", "items", "a.b", "half"], ["half", "a.b", "items", "type"]):
        run = pm.fit(rows, target="kind", inputs=inputs, output=tmp_path / inputs[0], settings=tiny())
        again = pm.load(tmp_path / inputs[0])
        assert sorted(again.model.config.input_names) == sorted(inputs)
        a, b = again.predict(rows), run.predict(rows)
        np.testing.assert_allclose(a["kind_confidence"], b["kind_confidence"], rtol=1e-5)


def test_four_photos_of_a_house_share_an_encoder_unless_told_otherwise(tmp_path):
    rows = [row | {"front": row["photo"], "back": row["photo"]} for row in rows_of(tmp_path)]
    inputs = ["front", "back", "photo"]
    small = [f"inputs.{name}.size=16" for name in inputs]
    shared = pm.fit(rows, target="kind", inputs=inputs, output=tmp_path / "a", settings=tiny() + small)
    assert len(shared.model.config.encoders) == 1
    apart = pm.fit(rows, target="kind", inputs=inputs, output=tmp_path / "b",
                   settings=[*tiny(), *small, "inputs.back.share=false"])  # fmt: skip
    assert len(apart.model.config.encoders) == 2
