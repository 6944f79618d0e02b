"""The declaration: defaults, short forms, lines in messages, settings; idle settings are refused."""

import pytest

from polymodal.config import Declaration
from polymodal.config.overrides import apply_settings, read_yaml
from polymodal.config.parsing import load_yaml, parse
from polymodal.errors import ConfigError

WHOLE = """\
data:
  train: houses.csv
  validation: 0.2
inputs:
  photo: {modality: image, encoder: resnet, size: 32}
  note: {modality: text, encoder: owner/name, freeze: true}
  type: {modality: category}
targets:
  price: {task: regression, transform: log}
fusion: {name: bottleneck, layers: 2, width: 64}
train: {epochs: 3, learning_rate: 3e-4, max_grad_norm: 0.5}
"""


@pytest.fixture
def written(tmp_path):
    """Writes a YAML file and gives its path."""

    def write(text):
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path, settings=()):
    with pytest.raises(ConfigError) as error:
        load_yaml(path, settings)
    return str(error.value).replace(str(path), "run.yaml")


def test_an_empty_declaration_has_every_default():
    declaration = parse({})
    assert declaration.fusion.name == "transformer" and declaration.train.learning_rate == 0.001
    assert declaration.data.validation == declaration.data.test == 0.1
    assert parse({"train": None, "data": None}) == declaration


def test_a_whole_declaration_is_read_in_declared_order(written):
    declaration = load_yaml(written(WHOLE))
    assert list(declaration.inputs) == ["photo", "note", "type"]
    assert declaration.inputs["photo"].encoder.type == "resnet"
    assert declaration.inputs["note"].encoder.checkpoint == "owner/name"
    assert declaration.fusion.options == {"layers": 2}
    assert declaration.train.learning_rate == 3e-4
    assert declaration.train.arguments == {"max_grad_norm": 0.5}


def test_what_is_written_out_is_read_back(written):
    declaration = load_yaml(written(WHOLE))
    again = load_yaml(written(declaration.to_yaml()))
    assert again == declaration
    assert again.to_yaml() == declaration.to_yaml()
    assert "weight_decay: 0.05" in declaration.to_yaml()


def test_a_folder_named_as_encoder_is_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        parse({"inputs": {"a": {"modality": "text", "encoder": "minilm"}}}).inputs["a"].encoder.type
        == "minilm"
    )
    (tmp_path / "minilm").mkdir()
    encoder = parse({"inputs": {"a": {"modality": "text", "encoder": "minilm"}}}).inputs["a"].encoder
    assert encoder.checkpoint == "minilm"


def test_every_setting_is_described_in_the_schema():
    schema = Declaration.model_json_schema()
    for section in ("DataConfig", "EncoderConfig", "TargetConfig", "TrainConfig"):
        for name, entry in schema["$defs"][section]["properties"].items():
            assert "description" in entry or name == "task", (section, name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target: {price: {}}\n", "run.yaml, line 1: unknown key 'target'. Did you mean 'targets'?"),
        ("data:\n  tran: a.csv\n", "run.yaml, line 2: unknown key 'data.tran'. Did you mean 'train'?"),
        ("inputs:\n  a:\n    modality: text\n    frozen: yes\n", "line 4: unknown key 'inputs.a.frozen'"),
        ("inputs:\n  a: {modality: picture}\n", "line 2: 'inputs.a.modality' is 'picture'; input should be"),
        ("inputs:\n  a: {}\n", "line 2: 'inputs.a.modality' is missing"),
        ("inputs:\n  a: text\n", "line 2: 'inputs.a' is 'text', expected a section"),
        (
            "inputs: [a, b]\ntargets: {y: {}}\n",
            "run.yaml, line 1: 'inputs' is ['a', 'b'], expected a section",
        ),
        ("train:\n  epochs: many\n", "run.yaml, line 2: 'train.epochs' is 'many'; input should be a valid"),
        ("train: {batch_size: 0}\n", "line 1: 'train.batch_size' is 0; input should be greater than"),
        ("train: {batch_size: 2.5}\n", "line 1: 'train.batch_size' is 2.5; input should be a valid integer"),
        ("train: {seed: 1, seed: 2}\n", "run.yaml, line 1: 'train.seed' is given twice (first in line 1)"),
        ("train: {seed: 1\n", "run.yaml, line 2: not readable as YAML (expected ',' or '}'"),
        ("fusion: bottleneck\n", "run.yaml, line 1: 'fusion' is 'bottleneck', expected a section"),
        ("a text\n", "run.yaml: found 'a text', expected sections such as 'data:'"),
        ("", "run.yaml: found nothing, expected sections such as 'data:'"),
        ("- a\n- b\n", "run.yaml: found ['a', 'b'], expected sections"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(written, text, message):
    assert message in refusal(written(text))


def test_everything_that_is_wrong_is_told_at_once(written):
    lines = refusal(written("train:\n  epochs: x\n  seed: -1\nfusionn: {}\n")).splitlines()
    assert [line.split(":")[0] for line in lines] == [f"run.yaml, line {n}" for n in (2, 3, 4)]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{modality: text, size: 32}", "'size' is a setting of image and video, not of text"),
        ("{modality: image, frames: 4}", "'frames' is a setting of video, not of image"),
        ("{modality: image, seconds: 2}", "'seconds' is a setting of audio, not of image"),
        (
            "{modality: number, tokens: 8}",
            "'tokens' is a setting of text and image and audio and video and sequence, not of number",
        ),
        (
            "{modality: image, encoder: a/b, size: 32}",
            "'size' cannot be set: the checkpoint 'a/b' has its own",
        ),
        (
            "{modality: text, encoder: {type: bert, checkpoint: a/b}}",
            "give either 'checkpoint' (pretrained) or 'type'",
        ),
    ],
)
def test_a_setting_without_effect_is_refused(written, entry, message):
    said = refusal(written(f"inputs:\n  a: {entry}\n"))
    assert said.startswith("run.yaml, line 2: 'inputs.a") and message in said


@pytest.mark.parametrize(
    "entry", ["{task: regression, class_weights: balanced}", "{task: classification, transform: log}"]
)
def test_a_setting_of_the_other_task_is_refused(written, entry):
    assert "is no setting of a" in refusal(written(f"targets:\n  y: {entry}\n"))


def test_settings_lie_over_the_file(written):
    settings = ["train.epochs=5", "fusion.name=gated", "inputs.photo.size=64", "train.learning_rate=1e-2"]
    declaration = load_yaml(written(WHOLE.replace(", layers: 2", "")), settings)
    assert declaration.train.epochs == 5 and declaration.train.learning_rate == 0.01
    assert declaration.fusion.name == "gated" and declaration.fusion.width == 64
    assert declaration.inputs["photo"].size == 64


@pytest.mark.parametrize("separator", ["|", ">", ";"])
def test_a_separator_is_read_as_it_is_written(separator):
    values = {}
    apply_settings(values, [f"targets.tags.separator={separator}"])
    assert values == {"targets": {"tags": {"separator": separator}}}


def test_settings_are_read_as_yaml():
    values = {"train": None}
    apply_settings(
        values, ["train.seed=3", "data.group=", "data.split=null", "fusion.sizes=[1, 2]", "train.note=e1"]
    )
    assert values["train"] == {"seed": 3, "note": "e1"}
    assert values["data"] == {"group": None, "split": None} and values["fusion"] == {"sizes": [1, 2]}


@pytest.mark.parametrize("setting", ["epochs", "train.=3", ".epochs=3", "train.epochs=[1", "fusion.name.x=1"])
def test_a_setting_that_is_none_is_refused(setting):
    with pytest.raises(ConfigError, match="setting "):
        apply_settings({"fusion": {"name": "gated"}}, [setting])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("train: {run_name: caf\xe9}".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_yaml(tmp_path / "latin.yaml")
