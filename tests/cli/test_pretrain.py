"""``polymodal pretrain``: what it writes and prints, beside targets too, and what it refuses."""

import json

import numpy as np
import pytest
import yaml

import polymodal as pm
from tests.support.command import error, polymodal, settings
from tests.support.killing import weights
from tests.support.tables import house_rows, write_houses, write_table

INPUTS = ["-i", "photo,note,bedrooms"]
QUICK = [*settings("photo"), "--set", "train.workers=0"]


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A folder with a table, and ``pre``: pre-trained on it by all objectives at once."""
    folder = tmp_path_factory.mktemp("houses")
    write_houses(folder, rows=60)
    result = polymodal(
        "pretrain", "houses.csv", *INPUTS, "--objectives", ",".join(pm.OBJECTIVES), "-o", "pre", *QUICK,
        "--set", "train.weighting=uncertainty", "--set", "train.epochs=3", folder=folder,
    )  # fmt: skip
    assert result.status == 0, result.err
    (folder / "printed.txt").write_text(result.out)
    return folder


def test_it_writes_a_run_and_says_what_to_do_with_it(houses):
    results = json.loads((houses / "pre/metrics.json").read_text())
    assert results["test"] == {} and results["rows"] == {"train": 48, "validation": 6, "test": 6}
    assert set(results["pairs"]["train"]) == {"photo+note", "photo+bedrooms", "note+bedrooms"}
    for name in pm.OBJECTIVES:
        assert len(results["losses"][name]) == 2
        assert results["validation"][f"{name}.loss"] > 0 and results["validation"][f"{name}.weight"] > 0
    assert {"contrastive.photo+note", "contrastive.fused", "masked_patch.bedrooms"} <= set(results["losses"])
    assert not (houses / "pre/checkpoints").exists() and not (houses / "pre/predictions.parquet").exists()
    declared = yaml.safe_load((houses / "pre/run.yaml").read_text())
    assert list(declared["objectives"]) == list(pm.OBJECTIVES) and declared["targets"] == {}
    assert declared["train"]["modality_dropout"] == 0.0
    printed = (houses / "printed.txt").read_text()
    assert "masked_text" in printed and "--from pre" in printed
    card = (houses / "pre/README.md").read_text()
    assert "Pre-trained without targets by **contrastive**" in card and "run.embed(" in card


def test_a_pretrained_run_gives_vectors_and_answers_nothing(houses):
    run = pm.load(houses / "pre")
    assert isinstance(run.model, pm.PolymodalForPreTraining)
    vectors = run.embed(houses / "houses.csv", input="photo")
    assert vectors.shape == (60, 16)
    assert run.embed(houses / "houses.csv").shape == (60, 16)
    for command in (["predict", "pre", "houses.csv", "-o", "a.parquet"], ["explain", "pre", "houses.csv"],
                    ["report", "pre"]):  # fmt: skip
        assert "was pre-trained without targets" in error(houses, *command)


def test_objectives_may_stand_beside_targets(houses):
    result = polymodal(
        "fit", "houses.csv", "-t", "kind", *INPUTS, "-o", "joint", "--json", *QUICK,
        "--set", "objectives=[contrastive, masked_patch]", folder=houses,
    )  # fmt: skip
    assert result.status == 0, result.err
    results = result.json
    assert {"kind", "contrastive", "masked_patch"} <= set(results["losses"])
    assert {"kind.loss", "contrastive.loss", "masked_patch.loss"} <= set(results["validation"])
    assert results["test"]["kind"]
    loaded = pm.load(houses / "joint")
    assert loaded.predict(houses / "houses.csv").kind.notna().all() and loaded.model.config.space == 16


def test_pictures_may_be_mixed(houses, tmp_path):
    words = ["pretrain", "houses.csv", *INPUTS, "-o", tmp_path / "run", "--json", *QUICK, "--set"]
    result = polymodal(*words, "objectives.contrastive={fused: false, cutmix: photo}", folder=houses)
    assert result.status == 0, result.err
    declared = yaml.safe_load((tmp_path / "run/run.yaml").read_text())
    assert declared["objectives"]["contrastive"]["cutmix"] == "photo"
    assert 0 < result.json["validation"]["contrastive.loss"] < 10
    assert pm.load(tmp_path / "run").retrieval(houses / "houses.csv")


def test_an_interrupted_pretraining_goes_on_to_the_same_weights(houses, monkeypatch):
    words = ["pretrain", "houses.csv", *INPUTS, "--objectives", "contrastive,masked_text", *QUICK]
    assert polymodal(*words, "-o", "whole", folder=houses).status == 0
    from polymodal.training.loop.trainer import PolymodalTrainer

    saved = PolymodalTrainer._save_checkpoint

    def stop_after(self, *given):
        saved(self, *given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(PolymodalTrainer, "_save_checkpoint", stop_after)
        assert polymodal(*words, "-o", "cut", folder=houses).status == 130
    assert polymodal(*words, "-o", "cut", "--resume", folder=houses).status == 0
    expected = weights(houses / "whole")
    for name, value in weights(houses / "cut").items():
        assert value.equal(expected[name]), name


def test_without_a_word_the_inputs_decide(houses):
    for inputs, name in (
        ("photo,note", "contrastive"),
        ("note", "masked_text"),
        ("bedrooms", "masked_patch"),
    ):
        result = polymodal("pretrain", "houses.csv", "-i", inputs, "-o", f"by_{name}", "--json",
                           *settings("photo" if "photo" in inputs else ""), folder=houses)  # fmt: skip
        if inputs == "bedrooms":  # with nothing beside it there is nothing to tell it from
            assert result.status == 0, result.err
        assert name in result.json["losses"]


def test_rows_with_a_single_input_are_counted(tmp_path):
    rows = house_rows(tmp_path, 40, empty=0.0)
    for row in rows[:10]:
        row["note"] = None
    write_table(tmp_path / "houses.csv", [{**row, "split": "train"} for row in rows[:30]]
                + [{**row, "split": "val"} for row in rows[30:]])  # fmt: skip
    words = ["pretrain", "houses.csv", "-i", "photo,note", "--objectives", "contrastive,masked_patch"]
    result = polymodal(*words, "-o", "run", *QUICK, folder=tmp_path)
    assert result.status == 0, result.err
    assert "contrastive: 20 rows hold two inputs or more, 10 others are skipped" in result.err
    assert "masked_patch: 10 rows with a single input are used too" in result.err
    for row in rows[:29]:
        row["note"] = None
    write_table(tmp_path / "few.csv", [{**row, "split": "train"} for row in rows[:30]])
    line = error(tmp_path, "pretrain", "few.csv", "-i", "photo,note", "-o", "few", *QUICK)
    assert line.startswith("few.csv: 1 training rows hold two of the inputs photo, note, expected at least 2")
    assert not (tmp_path / "few").exists() or not (tmp_path / "few/model.safetensors").exists()


def test_a_validation_without_pairs_says_nothing(tmp_path):
    rows = [row | {"split": "train"} for row in house_rows(tmp_path, 16, empty=0.0)]
    rows[14] |= {"split": "val"}
    rows[15] |= {"split": "val", "note": None}
    write_table(tmp_path / "houses.csv", rows)
    result = polymodal("pretrain", "houses.csv", "-i", "photo,note", "-o", "run", "--objectives",
                       "contrastive,masked_patch", "--json", *QUICK, folder=tmp_path)  # fmt: skip
    assert result.status == 0, result.err
    assert "contrastive: no two validation rows hold two inputs. Give more" in " ".join(result.json["notes"])
    assert "contrastive.loss" not in result.json["validation"]
    assert result.json["validation"]["masked_patch.loss"] > 0
    beside = polymodal("fit", "houses.csv", "-t", "price", "-i", "photo,note", "-o", "beside", "--json",
                       "--set", "objectives=[contrastive]", *QUICK, folder=tmp_path)  # fmt: skip
    assert beside.status == 0, beside.err
    history = json.loads((tmp_path / "beside/metrics.json").read_text())["history"]
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    assert losses and np.isfinite(losses).all()


def test_the_check_knows_a_pretraining_too(tmp_path):
    rows = [row | {"split": "train"} for row in house_rows(tmp_path, 12, empty=0.0)]
    write_table(tmp_path / "houses.csv", rows)
    asked = ["check", "houses.csv", "-i", "photo,note", "--set", "objectives=[contrastive]"]
    assert polymodal(*asked, folder=tmp_path).status == 0
    for row in rows[1:]:
        row["note"] = None
    write_table(tmp_path / "houses.csv", rows)
    result = polymodal(*asked, folder=tmp_path)
    assert result.status == 1 and "1 training rows hold two of the inputs photo, note" in result.out


REFUSED = [
    (["-i", "photo"], ["objectives=[contrastive]"], "compares inputs of a row with each other"),
    (["-i", "photo"], ["objectives=[sigmoid]"], "there is only 'photo'"),
    (["-i", "photo"], ["objectives=[matching]"], "masked_patch or masked_text"),
    (INPUTS, ["objectives=[contrastiv]"], "Did you mean 'contrastive'?"),
    (INPUTS, ["objectives.contrastive.temprature=1"], "Did you mean 'temperature'?"),
    (INPUTS, ["objectives.contrastive.temperature=0"], "expected between 0.01 and 10"),
    (INPUTS, ["objectives.masked_patch.share=1"], "share is 1, expected between 0 and 1"),
    (INPUTS, ["objectives.contrastive.inputs=[photo, noet]"], "Did you mean 'note'?"),
    (INPUTS, ["train.batch_size=1"], "compares rows, and 'train.batch_size' is 1"),
    (INPUTS, ["objectives=[matching]", "train.piece=4"], "matching compares rows whole"),
    (INPUTS, ["objectives=[masked_patch]", "fusion.space=8"], "contrastive and sigmoid: there is none"),
    (INPUTS, ["targets.kind.task=classification"], "pre-training learns without targets, and 'kind' is one"),
    (INPUTS, ["objectives=[masked_patch]", "fusion.name=concat"], "'concat' has none"),
    (["-i", "photo,bedrooms"], ["objectives=[masked_text]"], "finds nothing to mask"),
    (INPUTS, ["objectives.masked_text.inputs=[photo]"], "cannot mask 'photo': it is image, not text"),
    (INPUTS, ["objectives.contrastive.cutmix=photo"], "with cutmix set fused to false"),
    (INPUTS, ["objectives.contrastive={fused: false, cutmix: foto}"], "Did you mean 'photo'?"),
    (INPUTS, ["objectives.contrastive={fused: false, cutmix: note}"], "is text, expected pictures"),
    (INPUTS, ["train.torch_compile=true"], "goes with targets alone"),
    (INPUTS, ["train.learning_rate=1e30"], "the training loss is nan"),
]


@pytest.mark.parametrize("inputs, given, said", REFUSED, ids=lambda value: str(value)[:40])
def test_what_it_refuses(houses, tmp_path, inputs, given, said):
    more = [word for setting in given for word in ("--set", setting)]
    size = ["--set", "inputs.photo.size=16"] if "photo" in inputs[1] else []
    epochs = ["--set", "train.epochs=40"]
    result = polymodal("pretrain", "houses.csv", *inputs, "-o", tmp_path / "run", *size, *epochs, *more,
                       folder=houses)  # fmt: skip
    assert result.status == 1 and len(result.errors) == 1, result.err
    assert said in result.errors[0]
    assert not (tmp_path / "run/model.safetensors").exists()


def test_a_loss_that_does_not_move_is_given_up(houses, tmp_path):
    words = ["pretrain", "houses.csv", "-i", "bedrooms,district", "-o", tmp_path / "run", "--set",
             "train.batch_size=48", "--set", "train.epochs=400", "--set", "train.learning_rate=1e-30",
             "--set", "fusion.dropout=0", "--set", "train.patience=0",
             "--set", "objectives.contrastive.fused=false"]  # fmt: skip
    result = polymodal(*words, folder=houses)
    assert result.status == 1
    assert "the training loss has been constant at" in result.errors[0] and len(result.errors) == 1


def test_a_fit_without_a_target_names_pretraining(houses, tmp_path):
    line = error(
        houses, "fit", "houses.csv", *INPUTS, "-o", tmp_path / "run", "--set", "objectives=[contrastive]"
    )
    assert "polymodal pretrain" in line
