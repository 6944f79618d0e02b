"""A run whose media are gone: its kept answers say what they said, and the page what is lacking."""

import json
import shutil

import pytest

from polymodal.config.parsing import load_yaml
from polymodal.errors import DataError, Problem
from polymodal.report.cached import lost_media
from tests.support.command import error, errors, polymodal, settings
from tests.support.tables import write_houses

FIT = ["fit", "houses.csv", "-t", "kind", "-t", "price", "-i", "photo,note,bedrooms", *settings("photo")]
FIT += ["--set", "report.write=true", "--set", "report.noise_rows=0", "--set", "data.test=0.4"]
FIT += ["--set", "data.validation=0.2", "--set", "data.group=null"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("gone")
    write_houses(place, rows=80)
    result = polymodal(*FIT, "-o", "run", folder=place)
    assert result.status == 0, result.err
    shutil.rmtree(place / "photos")
    return place


def test_what_the_answers_alone_say_is_as_it_was(folder):
    before = json.loads((folder / "run/report.json").read_text())["targets"]
    result = polymodal("report", "run", "-o", "again", "--by", "district", "--json", folder=folder)
    assert result.status == 0, result.err
    for name, target in result.json["targets"].items():
        assert target["metrics"] == pytest.approx(before[name]["metrics"], rel=1e-4)
        assert target["worth"]["all"] == pytest.approx(before[name]["worth"]["all"], abs=1e-5)
        was, now = before[name]["failures"], target["failures"]
        for key in ("classes", "confusion"):
            assert now.get(key) == was.get(key)
        assert [card["number"] for card in now["worst"]] == [card["number"] for card in was["worst"]]
        assert all(card["shares"] == {} for card in now["worst"])
        assert now["subgroups"]["columns"][0]["column"] == "district"
    calibration = result.json["targets"]["kind"]["calibration"]
    for key in ("before", "after"):
        assert calibration[key]["ece"] == pytest.approx(before["kind"]["calibration"][key]["ece"], abs=1e-4)


def test_the_page_says_what_is_lacking_and_why(folder):
    result = polymodal("report", "run", "-o", "again", folder=folder)
    assert "kind: What each input is worth cannot be told: " in result.out and "column 'photo'" in result.out
    assert "kind: Next: Put the files of photo back, and make the report again." in result.out
    text = (folder / "again/report.html").read_text()
    assert "Input importance</h2>" not in text and "Robustness</h2>" not in text
    assert "as the fit answered them" in text and "Error analysis</h2>" in text
    assert '<p class="soft">photo: ' in text and "On each card" not in text


def test_another_table_and_other_mistakes_are_refused_as_before(folder):
    lines = errors(folder, "report", "run", "houses.csv", "-o", "no")
    assert all("column 'photo'" in line for line in lines[:5])
    kept = folder / "run/predictions.parquet"
    kept.rename(folder / "kept.parquet")
    said = error(folder, "report", "run", "-o", "no")
    assert said.startswith("run/predictions.parquet: is not there")
    (folder / "kept.parquet").rename(kept)
    assert not (folder / "no").exists()


def test_only_media_may_be_gone(folder):
    declaration = load_yaml(folder / "run/run.yaml")
    photo, rooms = (Problem(found="x", column=name) for name in ("photo", "bedrooms"))
    assert lost_media(DataError([photo]), declaration) == ["photo"]
    assert lost_media(DataError([photo, rooms]), declaration) == []
    assert lost_media(DataError(Problem(found="x")), declaration) == []
