"""A run that is measured on the table of its own fit: it is warned of, since those figures are too good."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from tests.support.command import polymodal

SEEN = "72 of these 80 rows had a part in the fit"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table, another table, and a run of plain models that was fitted to the first."""
    folder, random = tmp_path_factory.mktemp("fitted"), np.random.default_rng(0)
    rooms = random.integers(1, 9, 80)
    frame = pd.DataFrame({"rooms": rooms, "kind": np.where(rooms > 4, "house", "flat")})
    frame.to_csv(folder / "houses.csv", index=False)
    frame.iloc[:40].to_csv(folder / "others.csv", index=False)
    pm.fit(
        folder / "houses.csv", target="kind", preset="fast", output=folder / "run", quiet=True,
        settings={"report.write": False, "report.noise_rows": 0},
    )  # fmt: skip
    return folder


def test_evaluate_warns_of_the_rows_of_the_fit(place):
    with pytest.warns(UserWarning, match=f"{SEEN}.*--split test measures the others"):
        polymodal("evaluate", "run", "houses.csv", folder=place)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert polymodal("evaluate", "run", "houses.csv", "--split", "test", folder=place).status == 0
        assert polymodal("evaluate", "run", "others.csv", folder=place).status == 0


def test_a_report_on_them_names_their_number(place):
    with pytest.warns(UserWarning, match=f"{SEEN}; polymodal report RUN measures the others"):
        polymodal("report", "run", "houses.csv", "-o", "page", folder=place)
    assert json.loads((place / "page" / "report.json").read_text())["what"] == (
        "given rows, 72 of which had a part in the fit"
    )


def test_python_warns_of_the_same_frame(tmp_path):
    frame = pd.DataFrame(
        {"rooms": [number % 9 for number in range(40)], "kind": ["flat"] * 20 + ["house"] * 20}
    )
    settings = {"report.write": False}
    run = pm.fit(frame, target="kind", preset="fast", output=tmp_path / "run", settings=settings, quiet=True)
    with pytest.warns(UserWarning, match="36 of these 40 rows had a part in the fit"):
        run.evaluate(frame, quiet=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.evaluate(frame.iloc[:30], quiet=True)
