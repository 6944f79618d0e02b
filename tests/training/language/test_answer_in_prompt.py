"""Prompts that show the answer are warned of; those that give a choice, or a long text, are not."""

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.training.language.prompt_leakage import shown_answers
from polymodal.training.opening import open_job
from polymodal.training.request import FitRequest
from tests.support.talks import language

COLOURS = ["red", "green", "blue", "black"]
ROWS = 40
ANSWERS = [COLOURS[place] for place in np.random.default_rng(0).integers(0, 4, ROWS)]


def told(prompt, answer="{a}", **columns):
    questions = [f"Which colour is thing {row}?" for row in range(ROWS)]
    table = pd.DataFrame({"q": questions, "a": ANSWERS, **columns})
    job = open_job(FitRequest(table, prompt=prompt, answer=answer, settings=language()))
    return [(problem.column, problem.found) for problem in shown_answers(job)]


@pytest.mark.parametrize(
    ("prompt", "columns", "column", "found"),
    [
        ("{q} {a}", {}, "a", "the prompt shows it"),
        (
            "{q} {hint}",
            {"hint": [f"It is {a.upper()}." for a in ANSWERS]},
            "hint",
            "contains the answer in 100.0%",
        ),
        (
            "{q} {hint}",
            {"hint": [f"The colour of thing {n} is {a}, of course." for n, a in enumerate(ANSWERS)]},
            "hint",
            "contains the answer in 100.0%",
        ),
        ("{q} {code}", {"code": [COLOURS.index(a) for a in ANSWERS]}, "code", "4 values alone give"),
        ("{q}", {}, None, None),
        ("{q} Red, green, blue or black?", {}, None, None),
        ("{q} {text}", {"text": [f"{'word ' * 30}{a}{' word' * 30}" for a in ANSWERS]}, None, None),
        ("{q} {choice}", {"choice": ["red, green, blue, black"] * ROWS}, None, None),
    ],
)
def test_templates(prompt, columns, column, found):
    (said,) = told(prompt, **columns) or [(None, None)]
    assert said[0] == column and (said[1] is found is None or found in said[1])


def test_messages():
    def talks(hint):
        pairs = [(f"Which colour?{hint(a)}", a) for a in ANSWERS]
        rows = [
            [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
            for asked, said in pairs
        ]
        return pd.DataFrame({"messages": rows})

    def found(hint):
        settings = [*language(), "generation.messages=messages"]
        return [
            str(problem) for problem in shown_answers(open_job(FitRequest(talks(hint), settings=settings)))
        ]

    assert "contains the answer in 100.0% of the rows" in found(lambda a: f" ({a})")[0]
    assert not found(lambda a: "")


def test_the_check_tells_it():
    table = pd.DataFrame({"q": [f"thing {row}" for row in range(ROWS)], "a": ANSWERS, "copy": ANSWERS})
    report = pm.check(table, prompt="{q} {copy}", answer="{a}", settings=language())
    assert [warning.column for warning in report.warnings] == ["copy"]
