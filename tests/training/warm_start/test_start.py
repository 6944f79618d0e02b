"""A fit that starts from a run: what goes on, what is new, what is said."""

import json
import shutil
from unittest import mock

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file

import polymodal as pm
from polymodal.artifact.integrity import CHECKSUMS
from polymodal.training.loop.training_progress import TrainingProgress
from polymodal.training.opening import open_prediction_job
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.load import build_started
from tests.support.command import polymodal, settings
from tests.support.starts import FIT, INPUTS, begun, body, fit, told
from tests.support.tables import tiny


@pytest.fixture
def folder(houses_and_run):
    return houses_and_run


def test_encoders_embedding_and_fusion_go_on_and_heads_are_new(folder):
    job, model = begun(folder)
    before, after = body(folder / "pre"), model.state_dict()
    assert {k for k in after if k.startswith("model.")} == {*before}
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert list(job.processor.readers) == INPUTS.split(",")
    assert job.processor.readers["photo"] is job.processor.readers["back"]
    old = pm.load(folder / "pre").processor.readers
    for name, reader in job.processor.readers.items():
        assert reader.settings() == old[name].settings() and reader.fingerprint == old[name].fingerprint


def test_what_was_loaded_and_what_is_new_is_printed_and_kept(folder):
    run, result = fit(folder)
    assert told(result) == (
        "from pre: loaded encoders of photo, back, note, bedrooms, district; embedding; "
        "fusion 'transformer'. New: head of kind"
    )
    assert json.loads((folder / "run/metrics.json").read_text())["start"] == {
        "from": "pre",
        "loaded": ["encoder of photo, back", "encoder of note", "encoder of bedrooms", "encoder of district",
                   "embedding", "fusion 'transformer'"],
        "new": ["head of kind"],
        "dropped": [],
    }  # fmt: skip
    assert run.declaration.start == "pre" and list(run.declaration.inputs) == INPUTS.split(",")
    quiet = polymodal(*FIT, "--overwrite", "--json", *settings(), folder=folder)
    assert quiet.json["start"]["from"] == "pre" and not quiet.err
    again = polymodal("fit", "run/run.yaml", "-o", "again", folder=folder)
    assert again.status == 0, again.err
    assert all(torch.equal(v, body(folder / "again")[k]) for k, v in body(folder / "run").items())


def test_inputs_may_be_added_and_left_out(folder):
    rows = pd.read_csv(folder / "houses.csv").drop(columns=["district", "back"])
    rows.to_csv(folder / "houses.csv", index=False)
    run, result = fit(folder, inputs__voice__seconds=0.1, data__labels=20)
    assert list(run.declaration.inputs) == ["photo", "note", "bedrooms", "voice"]
    assert told(result) == (
        "from pre: loaded encoders of photo, note, bedrooms; embedding; fusion 'transformer'. "
        "New: input voice; head of kind. Left out: district (not in the table); back (not in the table)"
    )
    run, result = fit(folder, "--overwrite", "-i", "note,voice", inputs__voice__seconds=0.1)
    assert list(run.declaration.inputs) == ["note", "voice"]
    assert "photo (not among the inputs)" in told(result)


def test_an_input_that_is_a_target_now_is_left_out(folder):
    result = polymodal(
        "fit", "houses.csv", "-t", "bedrooms", "--from", "pre", "-o", "run", *settings(), folder=folder
    )
    assert result.status == 0, result.err
    assert told(result).endswith("Left out: bedrooms (a target now)")


def test_new_categories_get_rows_of_their_own(folder):
    rows = pd.read_csv(folder / "houses.csv")
    rows["district"] = rows["district"].replace("harbour", "a new port")
    rows.to_csv(folder / "houses.csv", index=False)
    job, model = begun(folder)
    assert job.processor.readers["district"].categories == ["harbour", "north", "old town", "a new port"]
    table = model.model.encoders[3].embed.weight
    assert torch.equal(table[:4], body(folder / "pre")["model.encoders.3.embed.weight"]) and len(table) == 5
    assert job.started.new == ["1 category of district (a new port)", "head of kind"]


def test_cells_are_read_as_they_are_declared_and_new_labels_get_rows(tmp_path):
    days = pd.date_range("2023-01-01", periods=120)
    frame = pd.DataFrame({"day": days.strftime("%Y-%m-%d"), "tags": ["a|b", "a", "b|c"] * 40})
    frame = frame.assign(cost=[f"{n}.5" for n in range(120)], y=["u", "u", "v", "v"] * 30)
    frame.to_csv(tmp_path / "one.csv", index=False)
    own = [*tiny(train__epochs=1), "inputs.tags.modality=categories", "inputs.tags.separator='|'"]
    old = pm.fit(tmp_path / "one.csv", target="y", output=tmp_path / "one", settings=own)
    frame["day"], frame["tags"] = days.strftime("%m/%d/%Y"), frame["tags"].str.replace("|", ";")
    frame.loc[::2, "tags"] += ";z;?"
    frame["cost"] = frame["cost"].str.replace(".", ",")
    frame.to_csv(tmp_path / "two.csv", index=False)
    declared = ["inputs.day.format=12/31/2024", "inputs.tags.separator=;", "inputs.cost.format='1234,5'"]
    declared += [*tiny(train__epochs=1), "data.missing=['?']"]
    request = FitRequest(tmp_path / "two.csv", targets=["y"], start=tmp_path / "one", settings=declared)
    job = open_prediction_job(request)
    model, processor = build_started(job, job.declaration), job.processor
    assert processor.read("day", "02/10/2023") == old.processor.read("day", "2023-02-10")
    assert processor.read("cost", "7,5") == 7.5
    assert processor.readers["day"].mean.tolist() == old.processor.readers["day"].mean.tolist()
    assert processor.readers["tags"].categories == ["a", "b", "c", "z"]
    assert processor.read("tags", "z;?;b").tolist() == [4, 2]
    assert old.processor.readers["tags"].separator == "|", "the run that was started from stays"
    assert "1 category of tags (z)" in job.started.new
    index = model.model.encoder_of["tags"]
    before, after = old.model.model.encoders[index].state_dict(), model.model.encoders[index].state_dict()
    assert torch.equal(after.pop("embed.weight")[:3], before.pop("embed.weight"))
    assert all(torch.equal(after[name], before[name]) for name in before)
    whole = model.model.continued
    assert f"encoders.{index}.total.weight" in whole and f"encoders.{index}.embed.weight" not in whole


def test_a_pre_trained_run_has_objectives_and_no_heads(folder):
    """As it lies on the disk: weights beside the model's, no target anywhere."""
    path = folder / "pre/model.safetensors"
    kept = body(folder / "pre") | {"objectives.0.temperature": torch.ones(())}
    save_file(kept, path, metadata={"format": "pt"})
    for name, change in {
        "config.json": {"architectures": ["PolymodalForPreTraining"], "heads": []},
        "processor_config.json": {"targets": []},
    }.items():
        file = folder / "pre" / name
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
    declared = yaml.safe_load((folder / "pre/run.yaml").read_text()) | {"targets": {}}
    (folder / "pre/run.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    (folder / "pre" / CHECKSUMS).unlink()
    _, model = begun(folder)
    assert all(torch.equal(model.state_dict()[key], kept[key]) for key in body(folder / "pre"))
    fit(folder, "-i", "note,bedrooms", train__epochs=1)


def test_a_width_or_fusion_of_its_own_is_new(folder):
    job, _ = begun(folder, "fusion.name=sum")
    assert "fusion 'sum' (before 'transformer')" in job.started.new and "embedding" in job.started.loaded
    assert job.declaration.fusion.width == 16
    job, _ = begun(folder, "fusion.width=24")
    assert job.started.new[:2] == ["embedding (width 24, before 16)", "fusion 'transformer'"]


@pytest.mark.slow
def test_an_interrupted_fit_resumes_to_the_same_weights(folder):
    run, _ = fit(folder, train__epochs=3)
    unbroken = run.model.state_dict()

    def stop(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise KeyboardInterrupt

    shutil.rmtree(folder / "run")
    with mock.patch.object(TrainingProgress, "on_step_end", stop):
        assert polymodal(*FIT, *settings(train__epochs=3), folder=folder).status == 130
    resumed = fit(folder, "--resume", train__epochs=3)[0].model.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in unbroken.items())


@pytest.mark.slow
def test_several_fits_start_from_it_too(folder):
    result = polymodal(*FIT, "--folds", "2", *settings(train__epochs=1), folder=folder)
    assert result.status == 0, result.err
    assert (
        json.loads((folder / "run/fold0/metrics.json").read_text())["start"]["loaded"][-1]
        == "fusion 'transformer'"
    )
    words = ["--fusions", "sum,transformer", "--overwrite", "-i", "note,bedrooms"]
    result = polymodal(*FIT[:-3], "each", *FIT[-2:], *words, *settings(train__epochs=1), folder=folder)
    assert result.status == 0, result.err
    new = json.loads((folder / "each/sum/metrics.json").read_text())["start"]["new"]
    assert new[0] == "fusion 'sum' (before 'transformer')"


@pytest.mark.slow
def test_a_search_starts_from_it_too(folder):
    pytest.importorskip("optuna")
    result = polymodal(
        *FIT, "--search", "2", "-i", "note,bedrooms", *settings(train__epochs=1), folder=folder
    )
    assert result.status == 0, result.err
    assert (
        "pretrained_learning_rate"
        in json.loads((folder / "run/search.json").read_text())["trials"][0]["choice"]
    )


def test_the_report_and_the_card_are_written(folder):
    fit(folder, "-i", "note,bedrooms", report__write="true")
    assert (folder / "run/report.html").exists() and (folder / "run/README.md").exists()
