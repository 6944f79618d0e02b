"""Fits of text generation that start from a run of text generation."""

import numpy as np
import pytest
from safetensors.torch import load_file

import polymodal as pm
from tests.support.tables import write_houses
from tests.support.talks import language, save_speaker

ASK = {"prompt": "{photo} flat or house?", "answer": "{kind}"}
TUNED = {
    "generation.language_model.checkpoint": "models/lm", "inputs.photo.size": 16, "inputs.photo.tokens": 2,
    "train.epochs": 1, "train.batch_size": 16, "train.patience": 0, "report.write": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("houses")
    write_houses(folder, rows=24, empty=0.0)
    return folder


def test_a_checkpoint_without_spare_embedding_rows_can_be_continued(folder, monkeypatch):
    monkeypatch.chdir(folder)
    save_speaker(folder / "models/lm", "gpt2")  # as many rows as its tokenizer has tokens
    tuned = [f"{key}={value}" for key, value in TUNED.items()]
    first = pm.fit("houses.csv", **ASK, output="first", settings=tuned)
    still = [*tuned, "train.learning_rate=1e-12", "stages={train: {learn: [connectors]}}"]
    second = pm.fit("houses.csv", **ASK, output="second", start="first", settings=still)
    before, after = (load_file(run.folder / "model.safetensors") for run in (first, second))
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        np.testing.assert_allclose(tensor.numpy(), before[name].numpy(), atol=1e-6, err_msg=name)


def test_another_language_model_and_no_common_input_is_nothing_to_load(folder, monkeypatch):
    monkeypatch.chdir(folder)
    text = {"prompt": "{note}", "answer": "{kind}"}
    pm.fit("houses.csv", **text, output="text", settings=language())
    other = language(generation__language_model__hidden_size=48)
    reason = r"nothing to load from .*text: it has no encoder, and its language model is not the declared one"
    with pytest.raises(pm.ConfigError, match=reason):
        pm.fit("houses.csv", **text, output="no", start="text", settings=other)
    photos = language(inputs__photo__size=16, inputs__photo__tokens=2)
    pm.fit("houses.csv", **ASK, output="photos", settings=photos)
    with pytest.raises(pm.ConfigError, match=r"nothing to load from .*photos: it reads 'photo', and houses"):
        pm.fit("houses.csv", **text, output="no", start="photos", settings=other)
