"""Settings as mappings and keyword arguments: the same declaration as from texts."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import polymodal as pm
from polymodal.config.overrides import apply_settings
from polymodal.config.shorthands import SHORTHANDS, Shorthands, all_settings


def declared(settings, **shorthands):
    values = {}
    apply_settings(values, all_settings(settings, shorthands, pm.fit))
    return values


@pytest.mark.parametrize(
    "settings",
    [
        ["train.epochs=3", "train.learning_rate=1e-05", "inputs.note.size=[2, 3]"],
        {"train.epochs": 3, "train.learning_rate": 1e-05, "inputs.note.size": [2, 3]},
        {"train": {"epochs": 3, "learning_rate": 1e-05}, "inputs": {"note": {"size": (2, 3)}}},
        {"train": {"epochs": np.int64(3)}, "train.learning_rate": np.float64(1e-05),
         "inputs.note": {"size": [2, 3]}},
    ],
)  # fmt: skip
def test_texts_and_mappings_declare_the_same(settings):
    train, note = {"epochs": 3, "learning_rate": 1e-05}, {"size": [2, 3]}
    assert declared(settings) == {"train": train, "inputs": {"note": note}}


@pytest.mark.parametrize(
    "value", ["yes", "1", "a: b", "#x", "", "zwei\nZeilen", "ü…", None, True, 0.1, [1e-7], {}]
)
def test_every_value_reads_back_as_it_was_given(value):
    assert declared({"section.key": value}) == {"section": {"key": value}}
    assert declared({"section": {"key": Path("a/b")}}) == {"section": {"key": "a/b"}}


def test_keyword_arguments_go_over_settings_and_none_is_not_given():
    assert set(SHORTHANDS) == set(Shorthands.__annotations__)
    chosen = declared({"train.epochs": 3, "train.seed": 1}, epochs=5, seed=None, labels=0.1, device="cpu")
    assert chosen == {"train": {"epochs": 5, "seed": 1, "device": "cpu"}, "data": {"labels": 0.1}}


def test_wrong_names_and_values_say_the_right_one():
    with pytest.raises(TypeError, match=r"fit\(\) got an unexpected .* 'epoch'\. Did you mean 'epochs'"):
        pm.fit("none.csv", target="kind", epoch=3)
    with pytest.raises(pm.ConfigError, match=r"settings: 'train.device' is of type object, expected text"):
        pm.fit("none.csv", target="kind", settings={"train": {"device": object()}})
    with pytest.raises(pm.ConfigError, match=r"settings is the text .* expected a list such as"):
        pm.fit("none.csv", target="kind", settings="train.epochs=3")


def test_a_key_of_a_section_without_it_names_the_section(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(40)))
    for settings in ({"epochs": 3}, ["epochs=3"]):
        with pytest.raises(pm.ConfigError, match=r"^unknown key 'epochs'. Did you mean 'train.epochs'\?"):
            pm.check(tmp_path / "t.csv", target="b", settings=settings)


def test_init_takes_a_mapping(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(40)))
    text = pm.init(tmp_path / "t.csv", target="b", settings={"train": {"epochs": 7}})
    assert yaml.safe_load(text)["train"]["epochs"] == 7


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pm.fit([], label="y"), "'label'. Here it is target=; others by settings="),
        (lambda: pm.fit([], eval_metric="f1"), "Here it is settings={'train.metric': …}"),
        (lambda: pm.pretrain([], label="y"), "'label'. There are|Did you mean 'labels'"),
        (lambda: pm.fit([], "y"), r"fit\(\) takes only source by position: write the others as name=value"),
    ],
)
def test_calls_as_other_libraries_have_them_name_the_word_of_this_one(call, words):
    with pytest.raises(TypeError, match=words if "|" in words or "\\" in words else re.escape(words)):
        call()


def test_cells_in_place_of_names_are_refused_in_one_line():
    frame = pd.DataFrame({"a": [1, 2], "y": [3, 4]})
    with pytest.raises(pm.PolymodalError, match=r"^target is a Series of cells.*target='y'$"):
        pm.fit(frame[["a"]], target=frame["y"])
    with pytest.raises(pm.PolymodalError, match=r"^Series: one row or column.*frame.iloc\[\[0\]\].*$"):
        pm.check(frame.iloc[0], target="y")
