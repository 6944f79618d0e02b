"""Two processes teach a language model what one does: padded and packed, with items in one of them alone."""

import json

import pytest
import torch

from tests.support.command import polymodal
from tests.support.killing import weights
from tests.support.processes import polymodal_together
from tests.support.tables import house_rows, write_table
from tests.support.talks import language_options

STILL = {
    "inputs__photo__size": 16, "inputs__photo__augment": "false", "train__optim": "sgd", "train__epochs": 2,
    "train__learning_rate": 0.1,
}  # fmt: skip
"""Without chance that hangs on the process; what rows lack hangs on the row alone."""


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A table of 21 training rows, of which two have a picture."""
    folder = tmp_path_factory.mktemp("several")
    rows = house_rows(folder, 31, empty=0.0)
    for number, row in enumerate(rows):
        row["photo"] = row["photo"] if number in (6, 7, 25) else None
        row["split"] = "test" if number < 5 else "val" if number < 6 or number > 26 else "train"
    write_table(folder / "houses.csv", rows)
    return folder


PADDED = {"one": {"train__batch_size": 8}, "two": {"train__batch_size": 4}}
PACKS = {"generation__pack": 128}
PACKED = {"one": PACKS | {"train__gradient_accumulation_steps": 2}, "two": PACKS}
STAGES = {"stages__align__learn": "[connectors]", "stages__all__train__learning_rate": 0.05}


@pytest.mark.parametrize(
    "way", [PADDED, pytest.param(PACKED, marks=pytest.mark.slow)], ids=["padded", "packed, in two stages"]
)
def test_two_processes_give_the_weights_and_answers_of_one(houses, tmp_path, way):
    ask = ["fit", houses / "houses.csv", "--prompt", "{photo} {note}", "--answer", "{kind}"]
    common = STILL | (STAGES if way is PACKED else {})
    one = polymodal(*ask, *language_options(**common, **way["one"]), "-o", "one", folder=tmp_path)
    assert one.status == 0, one.err
    main, other = polymodal_together(
        *ask, *language_options(**common, **way["two"]), "-o", "two", folder=tmp_path
    )
    assert main[0] == other[0] == 0, main[2] + other[2]
    assert "all but photo" in main[1] and "epoch 2/2" in main[2] and not other[1] and not other[2]
    expected, found = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=5e-6, rtol=1e-5, msg=name)
    measured = [json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("one", "two")]
    assert measured[0]["test"] == measured[1]["test"]
    assert measured[0]["validation"]["loss"] == pytest.approx(measured[1]["validation"]["loss"], rel=1e-5)


@pytest.mark.slow
def test_a_mistake_is_told_once(houses, tmp_path):
    ask = [
        "fit",
        houses / "houses.csv",
        "--prompt",
        "{photo} {note}",
        "--answer",
        "{kindd}",
        *language_options(),
    ]
    main, other = polymodal_together(*ask, "-o", "bad", folder=tmp_path)
    assert main[0] == other[0] == 1 and not main[1] and not other[1] and not other[2]
    assert "there is no column 'kindd'" in main[2] and len(main[2].splitlines()) == 1
