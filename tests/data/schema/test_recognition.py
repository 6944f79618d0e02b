"""Columns whose numbers and texts are more than that: amounts, ids, codes, dates, lists, paths."""

import hashlib
import uuid

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.data.schema.infer import guess_modality
from polymodal.data.tables.table import read_table
from polymodal.errors import PolymodalError
from tests.support.command import error, errors, polymodal, settings

RANDOM = np.random.default_rng(0)
ROWS = 60
SHUFFLED = RANDOM.permutation(ROWS)
DAYS = pd.to_datetime("2024-01-01") + pd.to_timedelta(RANDOM.integers(0, 300, ROWS), unit="D")
PARTS = ["balcony", "lift", "garden", "cellar"]
AMBIGUOUS = [f"{n % 12 + 1:02d}/{n // 5 + 1:02d}/2024" for n in SHUFFLED]
LISTS = [list(RANDOM.permutation(PARTS)[: RANDOM.integers(1, 4)]) for _ in range(ROWS)]


@pytest.fixture(params=["frame", "csv"])
def guess(request, tmp_path):
    """Says what a column is, from a DataFrame and from a CSV."""

    def say(cells, name="x"):
        frame = pd.DataFrame({name: cells, "other": SHUFFLED % 7})
        if request.param == "frame":
            return guess_modality(read_table(frame), name)
        frame.to_csv(tmp_path / "table.csv", index=False)
        return guess_modality(read_table(tmp_path / "table.csv"), name)

    return say


IDS = {
    "UUIDs": [str(uuid.UUID(int=int(n) + 10**30)) for n in SHUFFLED],
    "hashes": [hashlib.md5(str(n).encode()).hexdigest() for n in SHUFFLED],
    "e-mail addresses": [f"u{n}@example.org" for n in SHUFFLED],
    "digits": [f"house-{n}" for n in SHUFFLED],
    "one word with digits": [hashlib.md5(str(n).encode()).hexdigest()[:7] for n in SHUFFLED],
    "2 capitals": [chr(65 + n // 26) + chr(65 + n % 26) for n in SHUFFLED],
    "phone numbers": [f"+49 30 {n + 5551000}" for n in SHUFFLED],
}


@pytest.mark.parametrize("what", IDS)
def test_what_only_names_its_row_is_left_out(guess, what):
    found = guess(IDS[what])
    assert found.modality is None and what in found.reason and not found.doubt


@pytest.mark.parametrize("name", ["Unnamed: 0", "index", "level_0", "customer_id", "customerId", "ID"])
def test_whole_numbers_under_the_name_of_an_index_are_left_out(guess, name):
    assert guess(3 * SHUFFLED + 7, name).modality is None
    assert guess(3 * SHUFFLED + 7, "price").modality == "number"
    assert guess(SHUFFLED / 7, name).modality == "number"


READ = {
    "titles": [f"The story of {n} and others" for n in SHUFFLED],
    "two words": [f"Ada {''.join(chr(97 + d) for d in (n // 26, n % 26))}a" for n in SHUFFLED],
    "no blanks": ["".join(chr(0x4E00 + 7 * n + d) for d in range(4)) for n in SHUFFLED],
    "molecules": ["C" * (n % 9) + "(=O)N" + "c1ccccc1" * (n // 9) for n in SHUFFLED],
}


@pytest.mark.parametrize("what", READ)
def test_words_stay_texts(guess, what):
    found = guess(READ[what])
    assert found.modality == "text" and not found.doubt


NAMED = {
    "codes": ("text", [f"{n * 37:05d}" for n in SHUFFLED % 50]),
    "times or durations": ("text", [f"{n % 9}h {n}m" for n in SHUFFLED]),
    "coordinates": ("text", [f"{n / 7:.3f}, {n / 3:.3f}" for n in SHUFFLED]),
    "fractions": ("text", [f"{n}/60" for n in SHUFFLED]),
    "ranges": ("text", [f"{n}-{n + 10}" for n in SHUFFLED]),
    "different units": ("text", [f"{n} {'km' if n % 2 else 'mi'}" for n in SHUFFLED]),
    "one word a cell": ("text", ["".join(chr(97 + d) for d in (n // 8, n % 8, 3)) for n in SHUFFLED]),
    "fractions or rates": ("text", [f"{n / 12:.2f}/5" for n in SHUFFLED]),
    "feet and inches": ("text", [f"{1 + n // 12}'{n % 12}\"" for n in SHUFFLED]),
    "the others not ('<5')": ("text", ["<5" if n % 4 == 0 else str(n) for n in SHUFFLED]),
    "a number and the same signs": ("text", [f"#{n % 30}" for n in SHUFFLED]),
    "between thousands; it might be the decimal sign": ("number", [f"1.{n + 300} €/l" for n in SHUFFLED]),
    "addresses on the network": ("text", [f"https://example.org/{n}/page" for n in SHUFFLED]),
    "look like dates": ("number", DAYS.strftime("%Y%m%d").astype(int)),
    "decimal sign": ("number", [f"{1 + n / 7:.3f}" for n in SHUFFLED]),
    "which is no known format": (None, [f"media/{n}.xyz" for n in SHUFFLED]),
    "in every date the day may be the month": ("date", AMBIGUOUS),
    "dates, some with the day first": (None, ["25/06/2024", "06/25/2024", *AMBIGUOUS[2:]]),
}


@pytest.mark.parametrize("what", NAMED)
def test_what_is_in_doubt_is_named_with_the_setting(guess, what):
    modality, cells = NAMED[what]
    found = guess(cells)
    assert found.modality == modality and what in found.doubt
    assert "inputs.x." in found.cure or "to be read as numbers" in found.cure


@pytest.mark.parametrize(
    ("written", "order"),
    [("%Y-%m-%d", None), ("%d.%m.%Y", "31/12/2024"), ("%m/%d/%Y", "12/31/2024"), ("%B %d, %Y", None),
     ("%Y-%m-%dT%H:%M:%SZ", None), (None, None)],
)  # fmt: skip
def test_dates_are_dates(guess, written, order):
    found = guess(DAYS.strftime(written) if written else DAYS)
    assert found.modality == "date" and not found.doubt and found.format == order
    assert found.reason == f"{ROWS} of {ROWS} cells are dates"


def test_dates_that_may_begin_with_the_year_are_left_out_with_the_setting(guess):
    found = guess(DAYS.strftime("%y-%m-%d"))
    assert found.modality is None and "may be the year" in found.doubt
    assert "inputs.x.modality=date inputs.x.format=31/12/2024" in found.cure


def test_texts_of_which_many_are_in_no_calendar_are_left_out(guess):
    found = guess([f"2024-02-{(n * 7) % 10 + 22}" for n in SHUFFLED])
    assert found.modality is None and "none of the calendar" in found.doubt


def test_several_categories_in_a_cell_are_sets_of_them(guess):
    found = guess([[str(part) for part in parts] for parts in LISTS])
    assert found.modality == "categories" and "lists of texts" in found.reason and not found.doubt
    found = guess(["|".join(parts) for parts in LISTS])
    assert found.modality == "categories" and "'|' between them" in found.reason and not found.doubt


REPEATED = [
    ["item 1", "item 2"], ["Q3 2024", "Q4 2024"], ["May", "June"], ["10-20", "20-30"], ["A+", "B"],
    ["ja", "nein"],    ["oui", "non"], ["01234", "90210"], ["12:30", "13:00"],
]  # fmt: skip


@pytest.mark.parametrize("cells", REPEATED, ids=lambda cells: cells[0])
def test_what_comes_back_is_a_category(guess, cells):
    assert guess(cells * (ROWS // 2)).modality == "category"


def test_records_are_left_out_by_name():
    found = guess_modality(read_table([{"x": {"a": int(n), "b": "t"}} for n in SHUFFLED]), "x")
    assert found.modality is None and "records (a, b)" in found.doubt


def test_codes_are_told_by_their_name(guess):
    cells = [10115, 80331, 20095] * (ROWS // 3)
    assert guess(cells, "zip_code").modality == "category"
    assert guess(cells, "rent").modality == "number"


@pytest.mark.parametrize(
    "path",
    ["a/{}.avif", " a/{}.png ", '"a/{}.png"', "https://example.org/{}.png?w=3", "a/{}.heic", "a/{}.svg"],
)
def test_paths_of_pictures_are_pictures(guess, path):
    assert guess([path.format(n) for n in SHUFFLED]).modality == "image"


def test_doubts_are_warnings_unless_the_setting_is_given():
    frame = pd.DataFrame({"when": AMBIGUOUS, "size": [f"{n} {'km' if n % 2 else 'mi'}" for n in SHUFFLED],
                          "x": RANDOM.normal(size=ROWS), "y": ["a", "b"] * (ROWS // 2)})  # fmt: skip
    named = {warning.column for warning in pm.check(frame, target="y").warnings}
    assert {"when", "size"} <= named
    given = pm.check(
        frame, target="y", settings=["inputs.when.modality=text", "inputs.size.modality=category"]
    )
    assert not any("units" in warning.found or "month" in warning.found for warning in given.warnings)
    assert {c.column: c.modality for c in given.columns}["when"] == "text"
    chosen = pm.check(frame, target="y", inputs=["x"])
    assert not {"when", "size"} & {warning.column for warning in chosen.warnings}


@pytest.mark.parametrize("cells", ["{:.3f} km", "1,{:03.0f} kg", "1.{:03.0f} €/l"])
def test_the_cure_of_a_doubt_reads_the_cells_in_the_other_way(cells):
    frame = pd.DataFrame({"size": [cells.format(n + 100.5) for n in SHUFFLED], "y": ["a", "b"] * (ROWS // 2)})
    (doubt,) = [warning for warning in pm.check(frame, target="y").warnings if "decimal" in warning.found]
    other = doubt.cure.split("inputs.size.format=")[1].split(", else")[0]
    settings = ["inputs.size.modality=number", f"inputs.size.format={other}"]
    report = pm.check(frame, target="y", settings=settings)
    assert not report.problems
    assert not any("decimal" in warning.found for warning in report.warnings)


@pytest.mark.parametrize("setting", ["inputs.x.modality=category", "targets.x.task=classification"])
@pytest.mark.parametrize("cell", [["u"], {"a": 1}], ids=["list", "record"])
def test_lists_and_records_are_no_categories_and_no_classes(setting, cell):
    rows = [{"x": cell, "z": 0.1 * n, "y": "ab"[n % 2]} for n in range(20)]
    inputs = ["z", "x"] if "inputs" in setting else ["z"]
    with pytest.raises(PolymodalError, match=r"^rows, column 'x': (lists|records), expected one value a"):
        pm.check(rows, target="y", inputs=inputs, settings=[setting])


@pytest.mark.parametrize(("given", "first"), [("1.234", 1000 + 2000 / 7), ("1234.5", 1 + 2 / 7)])
def test_the_setting_decides_what_a_lone_sign_means(given, first):
    cells = [f"{1 + n / 7:.3f}" for n in range(2, ROWS + 2)]
    frame = pd.DataFrame({"x": RANDOM.normal(size=ROWS), "y": cells})
    report = pm.check(frame, target="y")
    (doubt,) = [warning for warning in report.warnings if "decimal sign" in warning.found]
    assert doubt.column == "y" and "targets.y.format=1.234" in doubt.cure
    settled = pm.check(frame, target="y", settings=["targets.y.task=regression", f"targets.y.format={given}"])
    assert not any("decimal sign" in warning.found for warning in settled.warnings)
    (detail,) = [column.detail for column in settled.columns if column.column == "y"]
    assert detail.startswith(f"{first:,.0f}" if first > 1000 else f"{first:.4g}")


def test_a_setting_of_one_input_leaves_the_doubts_about_others():
    frame = pd.DataFrame({"when": AMBIGUOUS, "x": RANDOM.normal(size=ROWS), "y": ["a", "b"] * (ROWS // 2)})
    report = pm.check(frame, target="y", settings=["inputs.x.format=1234.5"])
    assert [warning.column for warning in report.warnings if "month" in warning.found] == ["when"]


TARGETS = {
    "dates": DAYS.strftime("%Y-%m-%d"),
    "money or other amounts": [f"{n + 1} {'EUR' if n % 2 else 'USD'}" for n in SHUFFLED],
    "ids": IDS["digits"],
    "texts": READ["titles"],
}


@pytest.mark.parametrize("what", TARGETS)
def test_a_target_whose_classes_hardly_come_back_is_refused(what):
    frame = pd.DataFrame({"x": RANDOM.normal(size=ROWS), "y": TARGETS[what]})
    (problem,) = [p for p in pm.check(frame, target="y").problems if p.column == "y"]
    assert f"look like {what}" in problem.found and problem.cure


def test_amounts_are_learnt_and_answered_as_numbers(tmp_path):
    prices = 1000 + 37 * SHUFFLED
    frame = pd.DataFrame({"area": [f"{n},5 m²" for n in SHUFFLED], "price": [f"${p:,}" for p in prices]})
    frame.to_csv(tmp_path / "flats.csv", index=False)
    written = polymodal("init", "flats.csv", "--target", "price", folder=tmp_path).out
    assert "area: {modality: number, format: '1234,5 m²'}" in written
    assert "price: {task: regression, transform: auto, format: '$1,234'}" in written
    small = settings(train__epochs=1)
    fitted = polymodal("fit", "flats.csv", "--target", "price", "-o", "run", *small, folder=tmp_path)
    assert fitted.status == 0, fitted.err
    kept = pd.read_parquet(tmp_path / "run/predictions.parquet")
    assert set(kept["price_true"]) <= set(map(float, prices))
    run = pm.load(tmp_path / "run")
    same = frame.assign(area=SHUFFLED + 0.5, price=prices)
    assert run.evaluate(frame) == run.evaluate(same)
    assert run.predict(frame)["price"].tolist() == run.predict(same)["price"].tolist()
    with pytest.warns(pm.InputWarning, match=r"'area': '900,100 m²' is read as 900.1, .* gives 900,100"):
        run.predict(frame.assign(area="900,100 m²"))
    frame.assign(area="12 ft").to_csv(tmp_path / "other.csv", index=False)
    line = errors(tmp_path, "predict", "run", "other.csv", "-o", "out.parquet")[0]
    assert "row 1, column 'area': '12 ft', expected a number, written as 1234,5 m²" in line


def test_a_format_that_is_none_is_refused(tmp_path):
    pd.DataFrame({"x": [1, 2, 3] * 20, "y": ["a", "b"] * 30}).to_csv(tmp_path / "t.csv", index=False)
    line = error(tmp_path, "check", "t.csv", "--target", "y", "--set", "inputs.x.format=12 €")
    assert "inputs.x.format: '12 €' is not the number 1234.5" in line


def test_zip_codes_of_which_some_go_on_are_codes(guess):
    cells = [str(98101 + n % 40) for n in SHUFFLED]
    cells[3], cells[7] = "98115-4820", "98116-1111"
    found = guess(cells)
    assert found.modality == "text" and "98115-4820" in found.doubt and "category" in found.cure
    assert guess([cell[:4] + "1" if n != 3 else cell for n, cell in enumerate(cells)]).modality == "category"


@pytest.mark.parametrize("other", ["981-15", "98115 or so", "n/a?", "98115.x"])
def test_codes_beside_what_is_none_are_named(guess, other):
    cells = [str(98101 + n % 40) for n in SHUFFLED]
    cells[3] = other
    assert guess(cells).modality == "number"
