"""What training changes, through the command line: set, saved, resumed, switched off, refused."""

import json
from unittest import mock

import pytest
import torch
from transformers import WhisperFeatureExtractor

import polymodal as pm
from polymodal.config.parsing import load_yaml
from polymodal.models.encoders import ENCODERS, ImageEncoder
from polymodal.training.loop.training_progress import TrainingProgress
from tests.support.checkpoints import CHECKPOINTS, whisper
from tests.support.command import error, polymodal, settings
from tests.support.component_cases import CNN
from tests.support.slow import mostly_slow
from tests.support.tables import write_houses

CHANGES = {
    "inputs__photo__crop": 0.5,
    "inputs__photo__flip": "true",
    "inputs__photo__colour": 0.4,
    "inputs__voice__time_shift": 0.2,
    "inputs__voice__noise": 10,
    "inputs__note__word_dropout": 0.2,
}
INPUTS = ("photo", "voice", "note")


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A table, and ``run``, fitted with every change."""
    folder = tmp_path_factory.mktemp("augment")
    write_houses(folder)
    assert fit(folder, "run", **CHANGES).status == 0
    return folder


def words(run, *inputs, **more):
    inputs = inputs or INPUTS
    return ["fit", "houses.csv", "-t", "kind", "-i", ",".join(inputs), "-o", run, *settings(*inputs, **more)]


def fit(folder, run, *inputs, **more):
    return polymodal(*words(run, *inputs, **more), folder=folder)


def encoders(run):
    return {encoder.modality: encoder for encoder in pm.load(run).model.model.encoders}


def weights(run):
    return pm.load(run).model.state_dict()


def test_a_run_is_trained_with_what_was_set_and_keeps_it(houses):
    made = encoders(houses / "run")
    image, audio, text = (made[name] for name in ("image", "audio", "text"))
    assert (image.crop, image.flip, image.colour, image.shift) == (0.5, True, 0.4, 0.08)
    assert (audio.time_shift, audio.noise, audio.masking) == (0.2, 10.0, 0.15)
    assert text.word_dropout == 0.2 and text.marks.any()
    declared = load_yaml(houses / "run/run.yaml")
    assert declared.inputs["photo"].changes == {"crop": 0.5, "flip": True, "colour": 0.4}
    assert declared.train.augment
    answers = [
        polymodal("predict", "run", "houses.csv", "-o", name, folder=houses)
        for name in ("a.parquet", "b.parquet")
    ]
    assert all(answer.status == 0 for answer in answers)
    assert (houses / "a.parquet").read_bytes() == (houses / "b.parquet").read_bytes()


@pytest.mark.parametrize("change", mostly_slow(CHANGES, ["inputs__photo__crop", "inputs__voice__noise"]))
def test_each_of_them_changes_what_is_learnt(houses, tmp_path, change):
    name = change.split("__")[1]
    (tmp_path / "runs").mkdir()
    for run, more in (("plain", {}), ("changed", {change: CHANGES[change]})):
        assert fit(houses, tmp_path / "runs" / run, name, train__epochs=1, **more).status == 0
    plain, changed = (weights(tmp_path / "runs" / run) for run in ("plain", "changed"))
    assert not all(torch.equal(plain[key], changed[key]) for key in plain)


@pytest.mark.slow
def test_one_switch_turns_all_of_them_off(houses, tmp_path):
    assert fit(houses, tmp_path / "off", train__augment="false", **CHANGES).status == 0
    each = {f"inputs__{name}__augment": "false" for name in INPUTS}
    assert fit(houses, tmp_path / "each", **each).status == 0
    off, by_input = weights(tmp_path / "off"), weights(tmp_path / "each")
    assert off.keys() == by_input.keys() and all(torch.equal(off[name], by_input[name]) for name in off)
    made = encoders(tmp_path / "off")
    assert not made["image"].shift and not made["image"].flip and not made["audio"].masking
    metrics = json.loads((tmp_path / "off/metrics.json").read_text())
    assert metrics["test"]["kind"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_run_ends_in_the_weights_of_an_unbroken_one(houses, tmp_path, workers):
    more = CHANGES | {"train__epochs": 4, "train__workers": workers}

    def pull_the_plug(self, args, state, control, **kwargs):
        if state.global_step == 5:
            raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", pull_the_plug):
        assert fit(houses, tmp_path / "broken", **more).status != 0
    assert polymodal(*words(tmp_path / "broken", **more), "--resume", folder=houses).status == 0
    assert fit(houses, tmp_path / "unbroken", **more).status == 0
    resumed, unbroken = weights(tmp_path / "broken"), weights(tmp_path / "unbroken")
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)


REFUSED = {
    "inputs.note.crop=0.5": "'inputs.note': 'crop' is a setting of image and video, not of text",
    "inputs.voice.flip=true": "'inputs.voice': 'flip' is a setting of image and video, not of audio",
    "inputs.bedrooms.colour=0.2": "'inputs.bedrooms': 'colour' is a setting of image and video, not of num",
    "inputs.photo.time_shift=0.2": "'inputs.photo': 'time_shift' is a setting of audio, not of image",
    "inputs.note.noise=10": "'inputs.note': 'noise' is a setting of audio, not of text",
    "inputs.photo.word_dropout=0.2": "'inputs.photo': 'word_dropout' is a setting of text, not of image",
    "inputs.bedrooms.augment=false": "'inputs.bedrooms': 'augment' is a setting of text and image and audio",
    "inputs.photo.crop=0": "'inputs.photo.crop' is 0; input should be greater than 0",
    "inputs.photo.crop=1.2": "'inputs.photo.crop' is 1.2; input should be less than or equal to 1",
    "inputs.photo.flip=sideways": "'inputs.photo.flip' is 'sideways'; input should be a valid boolean",
    "inputs.photo.colour=2": "'inputs.photo.colour' is 2; input should be less than or equal to 1",
    "inputs.voice.time_shift=1": "'inputs.voice.time_shift' is 1; input should be less than 1",
    "inputs.voice.noise=-90": "'inputs.voice.noise' is -90; input should be greater than or equal to -20",
    "inputs.note.word_dropout=1": "'inputs.note.word_dropout' is 1; input should be less than 1",
    "inputs.photo.color=1": "unknown key 'inputs.photo.color'. Did you mean 'colour'?",
    "train.augment=perhaps": "'train.augment' is 'perhaps'; input should be a valid boolean",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_has_no_effect_or_no_sense_is_refused(houses, setting):
    said = error(houses, *words("none", *INPUTS, "bedrooms"), "--set", setting)
    assert said.startswith(REFUSED[setting])
    assert not (houses / "none").exists()


def refuse(folder, declared):
    """What a fit says of ``inputs``; the file's line is not of interest here."""
    (folder / "run.yaml").write_text(
        f"data: {{train: houses.csv}}\ninputs: {declared}\ntargets: {{kind: {{}}}}\n"
    )
    return error(folder, "fit", "run.yaml", "-o", "none").removeprefix("run.yaml, line 2: ")


CONTRADICTIONS = {
    "{photo: {augment: false, crop: 0.5}}": "'inputs.photo': 'crop' and 'augment: false' exclude each other.",
    "{voice: {augment: false, masking: 0.2}}": "'inputs.voice': 'masking' and 'augment: false' exclude each",
    "{note: {encoder: a/b, freeze: true, word_dropout: 0.1}}": "'inputs.note': 'word_dropout' and 'freeze'",
}


@pytest.mark.parametrize("declared", CONTRADICTIONS)
def test_contradictions_are_refused(houses, declared):
    assert refuse(houses, declared).startswith(CONTRADICTIONS[declared])


def test_masking_of_nothing_contradicts_nothing(houses):
    (houses / "run.yaml").write_text("inputs: {voice: {modality: audio, augment: false, masking: 0}}\n")
    assert not load_yaml(houses / "run.yaml").inputs["voice"].changes


@pytest.mark.parametrize("change", ["time_shift: 0.1", "noise: 0", "warp: 0.1", "masking: 0.2"])
def test_a_checkpoint_that_reads_what_its_extractor_makes_refuses_changes_of_sound(houses, tmp_path, change):
    whisper().save_pretrained(tmp_path / "whisper")
    WhisperFeatureExtractor(feature_size=16).save_pretrained(tmp_path / "whisper")
    said = refuse(houses, f"{{voice: {{encoder: {tmp_path / 'whisper'}, {change}}}}}")
    what = "our log-mel, which" if change[0] in "wm" else "a waveform, and"
    assert said.startswith(f"'{change.split(':')[0]}' changes {what} a model of type 'whisper' ")
    assert said.endswith(". Leave it out")


def test_a_waveform_is_no_log_mel(houses):
    said = refuse(houses, "{voice: {encoder: wav2vec2, equalize: 0.5}}")
    assert (
        said == "'equalize' changes our log-mel, which a model of type 'wav2vec2' does not read. Leave it out"
    )


def test_a_checkpoint_is_changed_where_that_is_asked_for(houses, tmp_path):
    CHECKPOINTS["vit"].save(tmp_path / "vit")
    declared = f"{{photo: {{encoder: {tmp_path / 'vit'}, colour: 0.5, crop: 0.6}}}}"
    (houses / "run.yaml").write_text(
        f"data: {{train: houses.csv}}\ninputs: {declared}\ntargets: {{kind: {{}}}}\n"
    )
    run = ["-o", tmp_path / "run", *settings(train__epochs=1)]
    assert polymodal("fit", "run.yaml", *run, folder=houses).status == 0
    image = encoders(tmp_path / "run")["image"]
    assert (image.colour, image.crop, image.shift) == (0.5, 0.6, 0)
    assert image.levels == [[-1.0] * 3, [1.0] * 3]


@pytest.fixture
def own():
    """Somebody's own encoder, which mirrors and does nothing else."""

    @ENCODERS.register("mirror")
    class Mirror(ImageEncoder):
        """Built by its own options alone."""

        def __init__(self, *, size: int = 16, flip: bool = False) -> None:
            super().__init__("resnet", size=size, flip=flip, **CNN)

        def settings(self):
            return {"size": self.size, "flip": self.flip}

    yield Mirror
    del ENCODERS._entries["mirror"]


def test_an_encoder_of_ones_own_is_told_what_it_knows_and_the_rest_is_refused(houses, tmp_path, own):
    options = {"inputs__photo__encoder": "mirror", "train__epochs": 1}
    assert fit(houses, tmp_path / "run", "photo", inputs__photo__flip="true", **options).status == 0
    assert encoders(tmp_path / "run")["image"].flip is True
    said = error(houses, *words("none", "photo", inputs__photo__crop=0.5, **options))
    assert said == "'crop': the encoder 'mirror' does not know it. Leave it out"
