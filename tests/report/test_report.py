"""The report as a user gets it: files of the run folder, the command, and what it says of odd tables."""

import base64
import json
import re
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.data.media.video import load_video
from polymodal.models.modeling import PolymodalModel
from polymodal.report import html_cells as embedding
from polymodal.report.html_cells import show_cell
from polymodal.report.report_figures import Report
from tests.support.command import error, polymodal, settings
from tests.support.pages import Page
from tests.support.plots import drawn
from tests.support.tables import write_houses

INPUTS = "photo,voice,note,bedrooms,district"
FIT = ["fit", "houses.csv", "-t", "kind", "-t", "price", "-i", INPUTS]
FIT += settings("photo", "voice", train__epochs=2)
FIT += ["--set", "report.write=true", "--set", "data.test=0.4", "--set", "data.group=null"]
FIT += ["--set", "data.validation=0.2", "--report", "full"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("report")
    write_houses(place, rows=80)
    with drawn():
        assert polymodal(*FIT, "-o", "run", folder=place).status == 0
    return place


def test_a_fit_ends_with_a_page_that_needs_nothing_else(folder):
    text = (folder / "run/report.html").read_text()
    page = Page(text)
    assert not page.loads and "http" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
    assert len(text) < 2e6 and text.count("<svg") >= 5
    assert all("<path" in drawing for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    figures = json.loads((folder / "run/report.json").read_text())
    for target in figures["targets"].values():
        for sentence in target["verdict"]["sentences"]:
            assert sentence in page.text
    assert "prefers-color-scheme: dark" in text and "@media print" in text
    sections = Page(text.partition("</nav>")[2]).text
    order = [sections.index(title) for title in ("Next:", "Input importance", "Training and data")]
    assert order == sorted(order) and '<li class="target"><a href="#s1">kind</a>' in text


def test_the_figures_are_read_back_as_they_were(folder):
    figures = json.loads((folder / "run/report.json").read_text())
    report = Report.from_dict(figures)
    assert report.to_dict() == figures and Report.from_dict(report.to_dict()) == report
    assert report.making.curves.loss and all(isinstance(curve, tuple) for curve in report.making.curves.loss)


@pytest.mark.slow
def test_the_command_gives_the_figures_of_the_fit(folder):
    before = json.loads((folder / "run/report.json").read_text())
    result = polymodal("report", "run", "-o", "again", folder=folder)
    assert result.status == 0, result.err
    assert json.loads((folder / "again/report.json").read_text()) == before
    assert result.out.splitlines()[-1] == "The report lies in again/report.html."
    assert f"kind: {before['targets']['kind']['verdict']['sentences'][0]}" in result.out
    assert polymodal("report", "run", "-o", "again", "--json", folder=folder).json["rows"] == before["rows"]


def test_of_another_table_and_by_groups(folder):
    result = polymodal(
        "report", "run", "houses.csv", "--group", "district", "-o", "other", "--noise-rows", "0", "--json",
        folder=folder,
    )  # fmt: skip
    worth = result.json["targets"]["kind"]["worth"]
    districts = pd.read_csv(folder / "houses.csv")["district"]
    assert result.json["rows"] == 80 and worth["grouped_by"] == "rows of one 'district'"
    assert worth["groups"] == districts.nunique() + districts.isna().sum()


def test_encoders_run_once_a_row_whatever_the_number_of_subsets(folder, monkeypatch):
    seen = []
    embed = PolymodalModel.embed

    def counted(self, index, inputs):
        seen.append(len(index) if inputs else 0)
        return embed(self, index, inputs)

    monkeypatch.setattr(PolymodalModel, "embed", counted)
    asked = ["report", "run", "houses.csv", "-o", "counted", "--noise-rows", "0", "--json"]
    figures = polymodal(*asked, folder=folder).json
    assert len(figures["targets"]["kind"]["worth"]["subsets"]) == 32
    rows = figures["rows"]
    assert sum(seen) == rows  # also for missing cells, interactions and the worst rows


def test_a_short_report_says_what_it_leaves_out(folder):
    result = polymodal("report", "run", "-o", "short", "--amount", "short", folder=folder)
    figures = json.loads((folder / "short/report.json").read_text())
    target = figures["targets"]["price"]
    assert not target["emap"] and not target["robustness"]["noise"] and target["robustness"]["missing"]
    (line,) = figures["left_out"]
    assert "without corrupted cells (500 rows) and the interaction of inputs" in line and line in result.err
    assert line in Page((folder / "short/report.html").read_text()).text
    assert json.loads((folder / "run/report.json").read_text())["targets"]["price"]["robustness"]["noise"]


def test_a_short_report_of_many_rows_measures_some_of_them(folder, monkeypatch):
    monkeypatch.setattr("polymodal.report.measuring.SHORT_ROWS", 30)
    result = polymodal("report", "run", "houses.csv", "-o", "some", "--amount", "short", folder=folder)
    figures = json.loads((folder / "some/report.json").read_text())
    _, line = figures["left_out"]
    assert line.startswith("the report's figures are those of a random 30 of 80 rows")
    assert line in result.err and line in Page((folder / "some/report.html").read_text()).text
    for target in figures["targets"].values():
        assert 20 < target["worth"]["rows"] <= 30 and target["robustness"]["missing"]["rows"] <= 30


def test_the_worst_rows_are_cards_with_what_they_hold(folder):
    text = (folder / "run/report.html").read_text()
    figures = json.loads((folder / "run/report.json").read_text())["targets"]
    cards = figures["price"]["failures"]["worst"]
    assert len(cards) == 12 and text.count('class="card"') == 12 + len(figures["kind"]["failures"]["worst"])
    frame = pd.read_csv(folder / "houses.csv")
    held = frame.loc[[card["number"] - 1 for card in cards]]
    assert held["price"].tolist() == pytest.approx([card["truth"] for card in cards])
    assert text.count('src="data:image/jpeg;base64,') >= held["photo"].notna().sum() > 0
    assert text.count('src="data:audio/wav;base64,') >= held["voice"].notna().sum() > 0
    for note in held["note"].dropna():
        assert f"note: {note}" in Page(text).text
    assert "base64" not in json.dumps(figures)


def test_media_that_are_gone_are_named_on_the_cards():
    (shown,) = show_cell("photos/none.png", "image", None)
    assert shown["kind"] == "gone" and "none.png" in shown["content"]
    assert show_cell(None, "image", None) == []
    assert show_cell("x" * 500, "text", None)[0]["content"].endswith("x…")


@pytest.mark.slow
def test_few_rows_are_told(folder):
    result = polymodal("report", "run", "-o", "few", "--amount", "short", folder=folder)
    assert "fewer than 30" not in result.out
    few = pd.read_csv(folder / "houses.csv").head(20)
    few.to_csv(folder / "few.csv", index=False)
    result = polymodal("report", "run", "few.csv", "-o", "few", "--amount", "short", folder=folder)
    assert result.status == 0 and "Only 20 rows speak here: fewer than 30" in result.out
    few.assign(kind="flat", price=5.0).to_csv(folder / "one.csv", index=False)
    result = polymodal("report", "run", "one.csv", "-o", "one", "--amount", "short", folder=folder)
    assert result.status == 0, result.err
    assert "price: All inputs together reach an R² of –" in result.out


def test_what_cannot_be_measured(folder):
    frame = pd.read_csv(folder / "houses.csv")
    frame.drop(columns="kind").to_csv(folder / "bad.csv", index=False)
    assert "bad.csv: no column 'kind' to measure against" in error(
        folder, "report", "run", "bad.csv", "-o", "no"
    )
    frame.assign(kind="", price="").to_csv(folder / "bad.csv", index=False)
    said = error(folder, "report", "run", "bad.csv", "-o", "no")
    assert said == "bad.csv: every target cell is empty, expected rows with answers"
    assert "no column 'who' to group by" in error(folder, "report", "run", "--group", "who", "-o", "no")
    assert not (folder / "no").exists()


def test_a_run_of_one_input_has_nothing_to_fuse(folder):
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "-o", "single", *settings()]
    result = polymodal(*fit, "--set", "report.write=true", folder=folder)
    assert "What each input is worth: single/report.html" in result.out
    page = Page((folder / "single/report.html").read_text())
    assert "There is nothing to fuse: the run reads one input." in page.text
    figures = json.loads((folder / "single/report.json").read_text())["targets"]["kind"]
    assert figures["verdict"]["fusing"] == "single" and not figures["emap"]


def test_a_fit_may_go_without(folder):
    result = polymodal(
        "fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "-o", "without", *settings(), folder=folder
    )
    assert result.status == 0 and not (folder / "without/report.html").exists()
    assert "report.html" not in result.out


@pytest.mark.slow
def test_a_run_that_was_not_fitted_to_a_file_wants_a_table(folder):
    frame = pd.read_csv(folder / "houses.csv")
    pm.fit(frame, target="kind", inputs=["bedrooms"], output=folder / "frame", settings=["train.epochs=1"])
    assert (folder / "frame/report.html").exists()
    said = error(folder, "report", "frame")
    assert said.endswith("to a table in memory, not to a file. Name a table: polymodal report RUN TABLE")
    assert polymodal("report", "frame", "houses.csv", folder=folder).status == 0


def test_subgroups_of_any_column_are_compared(folder):
    by = ["report", "run", "houses.csv", "--by", "district, bedrooms", "--noise-rows", "0", "-o", "by"]
    result = polymodal(*by, "--json", folder=folder)
    assert result.status == 0, result.err
    compared = result.json["targets"]["kind"]["failures"]["subgroups"]
    frame = pd.read_csv(folder / "houses.csv")
    assert [column["column"] for column in compared["columns"]] == ["district", "bedrooms"]
    counts = {entry["value"]: entry["rows"] for entry in compared["columns"][0]["subgroups"]}
    assert {key: count for key, count in counts.items() if key != "(empty)"} == dict(
        frame["district"].value_counts()
    )
    page = Page((folder / "by/report.html").read_text())
    assert page.text.count("Subgroups") == 2 and f"{compared['tested']} comparison" in page.text
    assert "Subgroups" not in (folder / "run/report.html").read_text()


def test_a_planted_weak_subgroup_is_named_in_the_verdict_and_marked(folder):
    frame = pd.concat([pd.read_csv(folder / "houses.csv")] * 4, ignore_index=True)
    frame["street"] = [f"street {number}" for number in range(len(frame))]
    frame["agent"] = ["ann", "ben", "carl", "dora"] * 80
    wrong = (frame["agent"] == "carl").to_numpy()
    frame.loc[wrong, "kind"] = frame.loc[wrong, "kind"].map({"house": "flat", "flat": "house"})
    frame.to_csv(folder / "agents.csv", index=False)
    by = ["report", "run", "agents.csv", "--by", "agent,street", "--group", "street", "--noise-rows", "0"]
    result = polymodal(*by, "-o", "agents", folder=folder)
    assert result.status == 0, result.err
    assert "kind: It does worse, and not by chance, where ‘agent’ is carl (−" in result.out
    text = (folder / "agents/report.html").read_text()
    assert '<span class="flag">worse</span>' in text
    assert "320 different values: the 20 commonest are shown and compared" in text


def test_columns_that_cannot_be_compared_are_refused_before_anything_is_measured(folder):
    said = error(folder, "report", "run", "--by", "distrikt", "-o", "no")
    assert "houses.csv: no column 'distrikt' to compare by. Did you mean 'district'?" in said
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "-o", "unfitted", *settings()]
    for setting, found in (("by=[distrikt]", "to compare by"), ("group=distrikt", "to group by")):
        asked = [*fit, "--set", "report.write=true", "--set", f"report.{setting}"]
        assert f"houses.csv: no column 'distrikt' {found}. Did you mean 'district'?" in error(folder, *asked)
        assert not (folder / "unfitted").exists()


def test_robustness_and_calibration_stand_on_the_page(folder):
    figures = json.loads((folder / "run/report.json").read_text())["targets"]
    text = (folder / "run/report.html").read_text()
    page = Page(text)
    titles = ["Input importance", "Robustness", "Calibration", "Error analysis", "Training and data"]
    order = [page.text.index(title) for title in titles]
    assert order == sorted(order) and text.count(">Robustness</h2>") == 2
    for target in figures.values():
        missing, noise = (target["robustness"][key] for key in ("missing", "noise"))
        assert missing["together"][0]["value"] == pytest.approx(target["worth"]["all"]["value"], abs=1e-6)
        assert missing["together"][-1]["value"] == pytest.approx(target["worth"]["none"]["value"], abs=1e-6)
        assert set(noise["noise"]) == set(INPUTS.split(","))
    assert "signal to noise, dB" in page.text and "occlusion" in page.text
    assert figures["price"]["calibration"]["promised"] == 0.9 and "nominal coverage 90.0 %" in page.text
    without = polymodal("report", "run", "-o", "quick", "--noise-rows", "0", "--json", folder=folder)
    assert without.json["targets"]["kind"]["robustness"]["noise"] == {}
    assert "Worse cells" not in (folder / "quick/report.html").read_text()


def test_a_clip_is_a_player_that_holds_its_frames(tmp_path):
    random = np.random.default_rng(0)
    clip = random.integers(0, 255, (10, 12, 16, 3), dtype=np.uint8)
    (shown,) = show_cell(clip, "video", None)
    assert shown["kind"] == "video" and shown["content"].startswith("data:video/webm;base64,")
    content = base64.b64decode(shown["content"].partition(",")[2])
    assert len(load_video(content, frames=4, size=16)) == 4
    with mock.patch.object(embedding, "ENCODER", "none"):
        assert show_cell(clip, "video", None)[0]["content"].startswith("data:image/jpeg")


def test_from_python(folder):
    run = pm.load(folder / "run")
    page = run.report(folder / "houses.csv", by=["district"], noise_rows=0, output=folder / "python")
    figures = json.loads(page.with_suffix(".json").read_text())
    assert page == folder / "python/report.html"
    assert figures["what"] == "given rows, 48 of which had a part in the fit"
    assert figures["targets"]["kind"]["failures"]["subgroups"]["columns"][0]["column"] == "district"
