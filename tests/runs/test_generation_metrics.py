"""What is measured of answers: all rows whose answer is known, by their items, and without each input."""

import pandas as pd
import pytest

import polymodal as pm
from polymodal.data.tables.table import read_table
from polymodal.runs.generation_metrics import answered, measure_split, present_in, true_answers
from tests.support.tables import write_houses
from tests.support.talks import language


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run of two inputs, and its table."""
    folder = tmp_path_factory.mktemp("two")
    write_houses(folder, rows=40, empty=0.3)
    settings = language(inputs__photo__size=16, inputs__voice__seconds=0.1, train__epochs=4,
                        train__learning_rate=0.01)  # fmt: skip
    run = pm.fit(folder / "houses.csv", prompt="{photo} {voice} which?", answer="{kind}", settings=settings,
                 output=folder / "run")  # fmt: skip
    return run, pd.read_csv(folder / "houses.csv"), folder / "houses.csv"


def rows_of(run, source):
    rows = run.rows(read_table(source))
    assert not rows.prepare()
    return rows


def test_rows_are_measured_by_the_items_that_they_have(two):
    run, frame, table = two
    figures, said = measure_split(run, rows_of(run, table), ablate=True)
    there = frame[["photo", "voice"]].notna()
    names = there.apply(lambda row: ", ".join(there.columns[row]) or "text alone", axis=1)
    assert said["present"].tolist() == names.tolist()
    assert {name: part["rows"] for name, part in figures["present"].items()} == names.value_counts().to_dict()
    right = said["output"] == said["answer"]
    assert 0 < figures["metrics"]["exact_match"] == pytest.approx(right.mean())
    for name, part in figures["present"].items():
        assert part["exact_match"] == pytest.approx(right[names == name].mean())


def test_without_an_input_means_as_if_the_rows_lacked_it(two):
    run, frame, table = two
    rows = rows_of(run, table)
    figures, said = measure_split(run, rows, ablate=True)
    for name, left_out in {"photo": ["photo"], "voice": ["voice"], "all": ["photo", "voice"]}.items():
        lacking = frame.assign(**dict.fromkeys(left_out))
        for column in {"photo", "voice"}.difference(left_out):
            paths = [str(table.parent / path) if isinstance(path, str) else None for path in frame[column]]
            lacking[column] = paths
        assert run.generate(lacking)["kind"].tolist() == said[f"output_without_{name}"].tolist()
        assert figures["without"][name] == run.evaluate(lacking)["kind"]
    assert rows.empty == [] and said["output"].tolist() == run.generate(table)["kind"].tolist()


def test_rows_whose_answer_is_unknown_are_answered_and_not_measured(two):
    run, frame, _ = two
    lacking = frame.assign(kind=[None if number % 3 else kind for number, kind in enumerate(frame["kind"])])
    lacking[["photo", "voice"]] = None
    rows = rows_of(run, lacking)
    figures, said = measure_split(run, rows, ablate=False)
    assert said["answer"].isna().sum() == 26 and said["output"].notna().all()
    known = said[said["answer"].notna()]
    assert figures["metrics"]["exact_match"] == pytest.approx((known["answer"] == known["output"]).mean())
    assert "without" not in figures and run.evaluate(lacking)["kind"] == figures["metrics"]
    figures, said = measure_split(run, rows_of(run, lacking.assign(kind=None)), ablate=True)
    assert figures == {"metrics": {}} and said["output"].notna().all()


def test_true_answers_are_what_the_assistant_says_last(spoken):
    rows = spoken.rows(
        read_table([{"photo": None, "note": "x", "kind": kind} for kind in (" flat ", "", None, 3)])
    )
    assert not rows.prepare()
    assert true_answers(rows) == ["flat", None, None, "3"]
    assert [present_in(row) for row in rows.rows] == ["text alone"] * 4


def test_numbers_of_rows_are_those_of_the_file(spoken, spoken_houses):
    rows = spoken.rows(read_table(spoken_houses / "houses.csv").select([7, 2, 31]))
    assert not rows.prepare()
    assert answered(spoken, rows)["row"].tolist() == [8, 3, 32]
