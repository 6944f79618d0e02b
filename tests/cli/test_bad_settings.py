"""Bad declarations, checkpoints and run folders through the command line: one clear line each."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from polymodal import __version__ as polymodal_version
from polymodal.artifact.integrity import CHECKSUMS
from polymodal.data.text_tokenizer import train_tokenizer
from tests.support.command import error, errors, polymodal, settings

HEAD = "data: {train: houses.csv}\ntargets: {price: {}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n  epoch: 2\n", "line 4: unknown key 'train.epoch'. Did you mean 'epochs'?"),
        ("train:\n  epochs: many\n", "line 4: 'train.epochs' is 'many'; input should be a valid number"),
        ("train:\n  epochs: 1\n  max_grad_norm: much\n", "line 5: 'train.max_grad_norm' is 'much'; input sh"),
        ("train: {optim: adamq}\n", "line 3: train: adamq is not a valid OptimizerNames"),
        ("train: {report_to: [smoke]}\n", "line 3: 'train.report_to' is 'smoke', which is unknown or not in"),
        ("train: {output_dir: here}\n", "line 3: 'train.output_dir' is set by the run itself"),
        ("train: {num_train_epochs: 3}\n", "line 3: 'train.num_train_epochs' cannot be set here: give train"),
        ("train:\n  metric: rmsq\n", "line 4: train.metric: there is no metric 'rmsq'. Did you mean 'rmse'?"),
        ("train:\n  metric: accuracy\n", "line 4: train.metric: 'accuracy' does not measure regression"),
        ("fusion: {name: gatted}\n", "line 3: there is no fusion named 'gatted'. Did you mean 'gated'?"),
        ("fusion: {name: gated, layers: 2}\n", "line 3: the fusion 'gated' has no option 'layers'"),
        ("fusion: {heads: 3}\n", "line 3: the fusion 'transformer' cannot be built"),
        ("fusion: gated\n", "line 3: 'fusion' is 'gated', expected a section"),
        ("input: {photo: {}}\n", "line 3: unknown key 'input'. Did you mean 'inputs'?"),
        ("inputs:\n  photo: {modality: picture}\n", "line 4: 'inputs.photo.modality' is 'picture'; input sh"),
        ("inputs:\n  photo: {encoder: {type: resnet, dephts: [1]}}\n", "line 4: the model type 'resnet' has"),
        ("inputs:\n  photo: {encoder: {type: resnet, hidden_sizes: 5}}\n", "line 4: the model type 'resnet'"),
        ("inputs:\n  note: {encoder: resnet}\n", "line 4: a model of type 'resnet' reads pixel_values, no t"),
        ("inputs:\n  bedrooms: {encoder: bert}\n", "line 4: no encoder 'bert' reads number"),
        ("inputs:\n  bedrooms: {encoder: category}\n", "line 4: the encoder 'category' reads category, the"),
        ("inputs:\n  bedrooms: {encoder: {type: number, widht: 3}}\n", "line 4: the encoder 'number' has no"),
        ("inputs:\n  photo: {size: 1000000000}\n", "line 4: 'inputs.photo.size' is 1000000000; input"),
        ("inputs:\n  photo: {freeze: true}\n", "line 4: 'freeze' is for a pretrained encoder: give one"),
        ("train: {seed: 1\n", "line 4: not readable as YAML"),
    ],
)  # fmt: skip
def test_a_declaration_that_is_wrong_is_told_with_its_line(folder, text, message):
    (folder / "run.yaml").write_text(HEAD + text)
    assert error(folder, "fit", "run.yaml", "-o", "other").startswith(f"run.yaml, {message}")
    assert not (folder / "other").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: houses.csv\n", "run.yaml, line 1: 'data' is 'houses.csv', expected a section, such as data:"),
        ("targets: {kind: {}}\n", "'data.train' is missing, expected the path of a table"),
        ("data: {train: house.csv}\n", "house.csv: there is no such file. Did you mean 'houses.csv'? Looked"),
        ("data: {train: $NOWHERE/a.csv}\n", "run.yaml, line 1: data: '$NOWHERE/a.csv' names an environment"),
        ("data: {train: houses.csv, test: 2}\n", "run.yaml, line 1: data.test is 2, expected a share of the"),
        ("data: {train: houses.csv, group: owner}\n", "houses.csv: no column 'owner'. There are: id, photo,"),
        ("data: {train: houses.csv, test: no.csv}\n", "no.csv: there is no such file"),
        ("data: {train: houses.csv}\ninputs: {foto: {}}\n", "houses.csv: no column 'foto'. Did you mean 'ph"),
    ],
)  # fmt: skip
def test_data_that_are_not_there(folder, text, message):
    (folder / "run.yaml").write_text(text if "targets" in text else f"{text}targets: {{kind: {{}}}}\n")
    assert error(folder, "fit", "run.yaml", "-o", "other").startswith(message)


def test_a_declaration_that_is_missing_and_settings_that_are_none(folder):
    assert error(folder, "fit", "no.yaml") == "no.yaml: cannot be read (No such file or directory)"
    said = error(folder, "fit", "houses.csv", "-t", "kind", "--set", "epochs=3")
    assert "unknown key 'epochs'" in said
    assert error(folder, "fit", "houses.csv", "-t", "kind", "--set", "train.epochs").startswith(
        "setting 'train.epochs': "
    )
    assert error(folder, "fit", "houses.csv", "-t", "kind", "-o", "houses.csv").startswith(
        "houses.csv: is a file"
    )


def test_an_input_read_as_what_it_is_not(folder):
    (folder / "run.yaml").write_text(HEAD + "inputs:\n  note: {modality: number}\n")
    said = errors(folder, "fit", "run.yaml", "-o", "other")
    assert all("column 'note'" in line and "expected a number" in line for line in said[:-1])
    assert said[-1].startswith("… and ")
    (folder / "run.yaml").write_text(HEAD + "inputs:\n  photo: {modality: video}\n")
    said = errors(folder, "fit", "run.yaml", "-o", "other")
    assert all(
        ".png cannot be decoded (no format that is opened), expected a clip" in line for line in said[:-1]
    )


def with_encoder(folder, name, column="note"):
    return error(folder, "fit", "houses.csv", "-t", "kind", "-i", column, "-o", "other",
                 "--set", f"inputs.{column}.encoder={name}")  # fmt: skip


def test_a_hub_name_without_a_network_says_how_to_use_a_folder(folder):
    for column in ("note", "photo"):
        said = with_encoder(folder, "google/model", column)
        assert said.startswith(
            "the checkpoint 'google/model' is neither a local folder nor to be had from the hub"
        )
        assert "(hf download google/model --local-dir DIR) and give the folder" in said
    assert "Did you mean the model type 'resnet'?" in with_encoder(folder, "resnett", "photo")
    assert with_encoder(folder, "./none") == "the checkpoint './none': there is no such folder"
    assert "names an environment variable that is not set" in with_encoder(folder, "$NOWHERE/model")


def test_a_checkpoint_that_is_incomplete(folder):
    tokenizer = train_tokenizer(["bright balcony lift garden garage"])
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = folder / "model"
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(model)
    assert "'model' holds no vocabulary: its tokenizer files are missing" in with_encoder(folder, "model")
    tokenizer.save_pretrained(model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-20])
    assert with_encoder(folder, "model").startswith(
        "the folder 'model' is no readable checkpoint: Error while"
    )
    weights.unlink()
    assert with_encoder(folder, "model").startswith(
        "the folder 'model' is no readable checkpoint: Error no fi"
    )
    (model / "config.json").write_text("{")
    assert with_encoder(folder, "model").startswith("the folder 'model' is no readable checkpoint: It looks ")


def predict(folder, run="run"):
    return error(folder, "predict", run, "houses.csv", "-o", "a.parquet")


def test_a_run_folder_that_is_none(folder):
    assert predict(folder, "runs/none") == "runs/none: no such run folder"
    assert predict(folder, "houses.csv").startswith(
        "houses.csv: is a file, expected the folder that a fit wrote"
    )
    assert predict(folder, "photos").startswith(
        "photos: not a complete run, config.json, model.safetensors, "
    )


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "processor_config.json", "run.yaml"])
def test_a_run_folder_that_lacks_a_file(folder, name):
    whole = (folder / "run" / name).read_bytes()
    (folder / "run" / name).unlink()
    assert predict(folder).startswith(f"run: not a complete run, {name} missing. Fit again")
    for broken in (whole[: len(whole) // 2], b""):
        (folder / "run" / name).write_bytes(broken)
        assert predict(folder).startswith("run")


def test_a_run_folder_without_its_tokenizer(folder):
    (tokenizer,) = (folder / "run").glob("reader_*")
    shutil.rmtree(tokenizer)
    assert predict(folder).startswith("run: reader_") and predict(folder).endswith("or fit again")
    (folder / "run" / CHECKSUMS).unlink()
    assert predict(folder).startswith("run: no readable processor_config.json and its folders")


def test_a_run_of_a_newer_format_is_refused_by_name(folder):
    (folder / "run" / CHECKSUMS).unlink()
    config = json.loads((folder / "run/config.json").read_text())
    assert config["format"] == 1 and config["polymodal_version"] == polymodal_version
    assert (folder / "run/run.yaml").read_text().startswith(f"# Written by polymodal {polymodal_version}\n")
    newer = {"format": 2, "polymodal_version": "9.1", "fusion": {"kind": "of another shape"}}
    (folder / "run/config.json").write_text(json.dumps(config | newer))
    assert predict(folder) == (
        f"run: written by polymodal 9.1 in format 2, this is {polymodal_version} and knows formats up to 1. "
        "Upgrade: pip install -U polymodal"
    )


def test_weights_that_are_cut_incomplete_or_of_another_model(folder):
    path = folder / "run/model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    assert predict(folder).startswith("run: model.safetensors is not as it was written")
    (folder / "run" / CHECKSUMS).unlink()
    assert predict(folder).startswith("run: the model cannot be read (Error while deserializing header")
    shutil.copy(folder / "run/config.json", folder / "config.json")
    shutil.rmtree(folder / "run")
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "photo,note,bedrooms", "-o", "run"]
    assert polymodal(*fit, *settings("photo", fusion__width=24), folder=folder).status == 0
    weights = load_file(path)
    (folder / "run" / CHECKSUMS).unlink()
    shutil.copy(folder / "run/config.json", folder / "own.json")
    shutil.copy(folder / "config.json", folder / "run/config.json")
    assert (
        predict(folder)
        == "run: the model cannot be read (config.json and model.safetensors are of different models)"
    )
    shutil.copy(folder / "own.json", folder / "run/config.json")
    save_file({name: value for name, value in weights.items() if "heads" not in name}, path, {"format": "pt"})
    assert predict(folder).startswith("run: model.safetensors does not hold heads.0.")


def test_parts_of_different_runs(folder):
    other = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "-o", "other", *settings()]
    assert polymodal(*other, folder=folder).status == 0
    shutil.copy(folder / "other/processor_config.json", folder / "run/processor_config.json")
    (folder / "run" / CHECKSUMS).unlink()
    assert predict(folder) == "run: config.json and processor_config.json are of different runs. Fit again"


def test_an_input_or_file_that_cannot_be(folder):
    embed = ["embed", "run", "houses.csv", "-o", "a.parquet"]
    assert error(folder, *embed, "--input", "foto").startswith(
        "run: there is no input 'foto'. Did you mean 'photo'?"
    )
    predict = ["predict", "run", "houses.csv", "-o"]
    assert error(folder, *predict, "a.doc").startswith("a.doc: the suffix '.doc', expected one of .parquet")
    assert error(folder, *predict, "houses.csv/a.parquet").startswith(
        "houses.csv/a.parquet: cannot be written ("
    )
