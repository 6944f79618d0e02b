"""What the check says of texts, recordings and sequences that are longer than what is read."""

import numpy as np
import pandas as pd
import pytest
from transformers import BertConfig

import polymodal as pm
from polymodal.data.text_tokenizer import train_tokenizer
from tests.support.houses import write_sound

WORDS = ["lorem", "ipsum", "dolor", "sit", "amet"]


def frame(**columns):
    rows = len(next(iter(columns.values())))
    return pd.DataFrame({**columns, "y": [("good", "bad")[row % 2] for row in range(rows)]})


def texts(long, rows=60):
    random = np.random.default_rng(0)
    return [" ".join(random.choice(WORDS, 300 if row < long else 5)) for row in range(rows)]


def warned(report, column):
    return [str(entry) for entry in report.warnings if entry.column == column and "cut" in entry.found]


def detail(report, column):
    return next(entry.detail for entry in report.columns if entry.column == column)


@pytest.mark.parametrize("wrap", [str, lambda text: ["a word", text]])
def test_texts_that_are_cut_are_named_with_their_share_and_the_setting(wrap):
    table = frame(t=[wrap(text) for text in texts(15)], other=[f"note {row}" for row in range(60)])
    report = pm.check(table, target="y")
    (warning,) = warned(report, "t")
    assert "25% of the 60 rows" in warning and "128 tokens" in warning and "inputs.t.max_length" in warning
    assert "25% of the rows cut at 128 tokens" in detail(report, "t") and not warned(report, "other")
    assert not warned(pm.check(table, target="y", settings=["inputs.t.max_length=400"]), "t")


def test_of_many_long_texts_a_sample_is_counted():
    report = pm.check(frame(t=texts(2000, 2000)), target="y")
    assert (
        "estimated from 1000 rows" in warned(report, "t")[0] and "100% of the 2000" in warned(report, "t")[0]
    )


def test_a_pretrained_encoder_reads_no_more_than_it_was_made_for(tmp_path):
    train_tokenizer(WORDS).save_pretrained(tmp_path)
    BertConfig(max_position_embeddings=64).save_pretrained(tmp_path)
    table, settings = frame(t=texts(30)), [f"inputs.t.encoder={tmp_path}", "inputs.t.max_length=400"]
    (warning,) = warned(pm.check(table, target="y", settings=settings), "t")
    assert "more than the 64 tokens" in warning and "reads no more than 64" in warning


def test_a_longer_text_from_scratch_has_positions_for_its_tokens():
    assert pm.TextEncoder(max_length=300).max_length == 300


def test_cells_of_too_many_texts_are_refused():
    table = frame(t=[["a word"] * (3 if row == 4 else 1) for row in range(20)])
    (problem,) = pm.check(table, target="y", settings=["inputs.t.items=2"]).problems
    assert problem.row == 5 and "a list of 3 items" in problem.found


def test_recordings_that_are_cut_are_named(tmp_path):
    for row in range(20):
        write_sound(tmp_path / f"{row}.wav", 0.5 if row % 2 else 0.2)
    table = frame(voice=[str(tmp_path / f"{row}.wav") for row in range(20)])
    assert not warned(pm.check(table, target="y"), "voice")
    (warning,) = warned(pm.check(table, target="y", settings=["inputs.voice.seconds=0.3"]), "voice")
    assert "50% of 20 recordings" in warning and "0.3 s" in warning and "inputs.voice.seconds" in warning


def steps(shapes):
    return frame(
        s=[np.random.default_rng(row).normal(size=shape).tolist() for row, shape in enumerate(shapes)]
    )


def test_sequences_that_are_cut_are_named():
    table = steps([(40 if row % 4 else 10, 2) for row in range(20)])
    assert not pm.check(table, target="y").warnings
    (warning,) = warned(pm.check(table, target="y", settings=["inputs.s.length=20"]), "s")
    assert "75% of 20 sequences" in warning and "inputs.s.length" in warning


def test_sequences_whose_steps_look_like_features_are_named():
    (warning,) = pm.check(steps([(3, 30)] * 20), target="y").warnings
    assert "3 steps of 30 features" in warning.found and "transpose" in warning.cure
    report = pm.check(steps([(3, 20 + row) for row in range(20)]), target="y")
    assert ["3 steps of 20 to 39 features" in problem.found for problem in report.problems] == [True]
    assert not pm.check(steps([(30, 3)] * 20), target="y").warnings
    assert not pm.check(steps([(5 + row, 30) for row in range(20)]), target="y").warnings
