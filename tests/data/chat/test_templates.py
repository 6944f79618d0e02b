"""Templates over columns: what a row says, in texts and items."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from polymodal.data.chat.messages import Media, Message, check_learned
from polymodal.data.chat.templates import RowReader, Template
from polymodal.data.media.cells import MediaError
from polymodal.errors import ConfigError

INPUTS = {"image": "image", "scans": "image", "voice": "audio", "note": "text", "rooms": "number"}


@pytest.mark.parametrize(
    ("template", "row", "parts"),
    [
        ("{image} {question}", {"image": "a.png", "question": "Why?"}, (Media("image", "a.png"), " Why?")),
        ("{question}", {"question": " as it\nstands {image} "}, (" as it\nstands {image} ",)),
        ("{a}+{b}", {"a": "1", "b": 2}, ("1+2",)),
        ("{x}", {"x": 3.0}, ("3",)),
        ("{x}", {"x": np.float32(0.5)}, ("0.5",)),
        ("{x}", {"x": True}, ("True",)),
        ("{x}", {"x": "3.0"}, ("3.0",)),
        ("a{x}b", {"x": None}, ("ab",)),
        ("a{x}b", {"x": float("nan")}, ("ab",)),
        ("a{x}b", {"x": pd.NA}, ("ab",)),
        ("a{x}b", {}, ("ab",)),
        ("{{x}} }}{{ {x}", {"x": "y"}, ("{x} }{ y",)),
        ("{image}", {"image": None}, (Media("image", None),)),
        ("{image}", {"image": pd.NA}, (Media("image", None),)),
        ("{image}", {"image": " "}, (Media("image", None),)),
        ("{image}", {}, (Media("image", None),)),
        ("{image}{voice}", {"image": b"x", "voice": "a"}, (Media("image", b"x"), Media("voice", "a"))),
        ("{scans}?", {"scans": ["a", None, "b"]}, (Media("scans", "a"), Media("scans", "b"), "?")),
        ("{scans}", {"scans": '["a.png"]'}, (Media("scans", "a.png"),)),
        ("{scans}", {"scans": [None]}, (Media("scans", None),)),
        ("{note}", {"note": "a text, through an encoder"}, (Media("note", "a text, through an encoder"),)),
        ("{rooms} rooms", {"rooms": 3}, (Media("rooms", 3), " rooms")),
        ("{a:b} {c!r} {d.e}", {"a:b": 1, "c!r": 2, "d.e": 3}, ("1 2 3",)),
        ("{f[0]} {ä ö}", {"f[0]": 4, "ä ö": 5}, ("4 5",)),
        ("", {}, ()),
        ("no column", {}, ("no column",)),
    ],
)  # fmt: skip
def test_a_template_is_filled(template, row, parts):
    assert Template(template).fill(row, INPUTS) == parts


@pytest.mark.parametrize("template", ["{", "}", "{a", "a}", "{}", "{a:{b}}", "{!r}", "{:x}"])
def test_braces_that_do_not_match_are_told(template):
    with pytest.raises(ConfigError, match=r"generation\.prompt: .*\{\{ and \}\} for braces") as caught:
        Template(template)
    assert "\n" not in str(caught.value)


def test_an_unknown_column_is_told_with_the_nearest():
    template = Template("{image} {qestion} {image}", where="generation.answer")
    assert template.columns == ["image", "qestion"]
    template.check(["image", "qestion", "x"])
    with pytest.raises(ConfigError, match=r"generation\.answer: .* 'qestion'\. Did you mean 'question'\?"):
        template.check(["image", "question"])


@pytest.mark.parametrize("cell", [["a", "b"], {"a": 1}, b"raw", np.zeros(3)])
def test_a_cell_that_is_no_text_is_told(cell):
    with pytest.raises(MediaError, match=r"column 'x' holds .* expected a text or a number") as caught:
        Template("{x}").fill({"x": cell}, INPUTS)
    assert "Declare 'x' as an input" in str(caught.value)


def make_reader(**options) -> RowReader:
    return RowReader(**{"prompt": "{image} {q}", "answer": "{a}", "inputs": INPUTS, **options})


def test_a_row_becomes_a_question_and_its_answer():
    row = {"image": "a.png", "q": "Why?", "a": "So."}
    asked, said = Message("user", (Media("image", "a.png"), " Why?")), Message("assistant", ("So.",))
    assert make_reader().read(row) == (asked, said)
    assert make_reader(system="Be kind.").read(row)[0] == Message("system", ("Be kind.",))
    assert make_reader(system=" ").read(row) == (asked, said)
    assert make_reader(answer=None).read(row) == (asked,)


@pytest.mark.parametrize(
    ("template", "row", "answer"),
    [
        ("{a}", {"a": None}, None),
        ("{a}", {"a": "  "}, None),
        ("{a}", {}, None),
        ("It is {a}.", {"a": ""}, None),
        ("{a} {b}", {"a": "", "b": "x"}, (" x",)),
        ("yes", {}, ("yes",)),
        (" ", {}, None),
        ("{a}", {"a": 0}, ("0",)),
        ("{a}", {"a": False}, ("False",)),
    ],
)
def test_a_row_has_an_answer_where_its_columns_say_something(template, row, answer):
    *_, last = make_reader(answer=template).read(row)
    assert last == (
        Message("user", (Media("image", None), " ")) if answer is None else Message("assistant", answer)
    )


def test_an_answer_cannot_hold_an_input():
    with pytest.raises(ConfigError, match=r"generation\.answer: 'image' is an input\."):
        make_reader(answer="{image}")


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "no answer, which gives no loss"),
        ([Message("user", ("a",))], "no answer, which gives no loss"),
        (
            [Message("user", ("a",)), Message("assistant", ("", " \n"))],
            "only empty answers, which give no loss",
        ),
        ([Message("user", ("a",)), Message("assistant", ())], "only empty answers"),
    ],
)
def test_what_gives_no_loss_is_told(messages, told):
    with pytest.raises(MediaError, match=told):
        check_learned(messages)


def test_one_answer_among_empty_ones_is_learned():
    check_learned([Message("user", ("a",)), *(Message("assistant", (said,)) for said in ("", "b"))])
