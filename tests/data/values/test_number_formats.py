"""Numbers as people write them: signs, currencies, units, multiples."""

import pandas as pd
import pytest

from polymodal.data.tables.table import read_table
from polymodal.data.values.amounts import find_amounts, find_format
from polymodal.data.values.column_values import look, parse_numbers
from polymodal.data.values.number_formats import NumberFormat
from polymodal.data.values.numbers import read_number
from polymodal.errors import PolymodalError


def column(cells):
    return read_table(pd.DataFrame({"x": cells})).values("x")


COLUMNS = [
    (["45%", "7 %", "12.5%"], "1234.5%", [45, 7, 12.5]),
    (["$1,200", "$950", "-$5", "($20)"], "$1,234", [1200, 950, -5, -20]),
    (["1.012 €", "2.500 €", "900 €"], "1.234 €", [1012, 2500, 900]),
    (["54,2 m²", "48 m²", "7,25 m²"], "1234,5 m²", [54.2, 48, 7.25]),
    (["1.234,5", "17,25", "-3"], "1.234,5", [1234.5, 17.25, -3]),
    (["12k", "1.5M", "900", "2bn"], "1234.5k", [12e3, 1.5e6, 900, 2e9]),
    (["1,2 Mio. €", "300 Tsd. €"], "1234,5k €", [1.2e6, 3e5]),
    (["(1,200)", "3,450", "(12)"], "1,234", [-1200, 3450, -12]),
    (["'0.5", "'12", "'-3"], "1234.5", [0.5, 12, -3]),
    (["1\u00a0200,50", "13\u202f000,00", "7,00"], "1 234,5", [1200.5, 13000, 7]),
    (["1’200.50", "12'345.00", "3.00"], "1'234.5", [1200.5, 12345, 3]),
    (["\u22125", "+3", "2.5"], "1234.5", [-5, 3, 2.5]),
    (["USD 12", "usd 3"], "USD 1234", [12, 3]),
    (["12 km", "0.5 km"], "1234.5 km", [12, 0.5]),
    (["54 m2", "7 m2"], "1234 m2", [54, 7]),
    (["12.50-", "3.25", "1.00 -"], "1234.5", [-12.5, 3.25, -1]),
    (["9m", "12m"], "1234 m", [9, 12]),
    (["1 room", "3 rooms", "2 rooms"], "1234 rooms", [1, 3, 2]),
    (["₹1,23,456", "₹12,34,567"], "₹1,234", [123456, 1234567]),
    (["1.234.567", "8.900", "12"], "1.234", [1234567, 8900, 12]),
    (["1.200,-", "950,-"], "1.234,5", [1200, 950]),
    (["1.012 €/Monat", "2.500 €/Monat", "900 €/Monat"], "1.234 €/Monat", [1012, 2500, 900]),
    (["1.012 EUR VB", "900 EUR VB"], "1.234 EUR VB", [1012, 900]),
    (["CHF 1'200.--", "CHF 75.50"], "CHF 1'234.5", [1200, 75.5]),
    (["%45", "% 7,5"], "%1234,5", [45, 7.5]),
    (["٣٫٥", "١٢٫٢٥"], "1234.5", [3.5, 12.25]),
]


@pytest.mark.parametrize(("cells", "written", "numbers"), COLUMNS, ids=lambda value: str(value)[:20])
def test_a_column_is_read_as_it_is_written(cells, written, numbers):
    values = column(cells * 3)
    assert find_format(values) == written
    read, bad = parse_numbers(values, written)
    assert read.tolist() == numbers * 3 and not len(bad)
    assert [read_number(cell, written) for cell in cells] == numbers
    assert str(NumberFormat.from_sample(written)) == written


@pytest.mark.parametrize("written", [written for _, written, _ in COLUMNS])
def test_plain_numbers_are_read_in_every_column(written):
    assert [read_number(cell, written) for cell in (3, 2.5, "7", "-1.5", "3.5e6", True)] == [
        3, 2.5, 7, -1.5, 3.5e6, 1,
    ]  # fmt: skip
    assert pd.isna(read_number("n/a", written))


@pytest.mark.parametrize("cells", [["3.5e6", "1", "nan"], ["item 12", "item 3"], ["12a", "14b", "3"],
    ["10-20", "30-40"], ["2024-01-02", "2024-02-03"], ["01.02.2024", "03.05.2023"],
    ["192.168.100.200", "10.0.0.1"],
    ["555 123 4567", "555 987 6543"], ["A+", "B"], ["2h 30m", "1h 5m"], ["52.5, 13.4"] * 3])  # fmt: skip
def test_what_is_plain_or_no_amount_has_no_format(cells):
    assert find_format(column(cells * 5)) is None


@pytest.mark.parametrize(
    ("cells", "doubt"),
    [
        (["12 km", "3 mi"], "amounts of different units ('km' in 5, 'mi' in 5 of 10 cells)"),
        (["45%", "0.3"], "amounts of different units ('%' in 5, no unit in 5 of 10 cells)"),
        (["1.5", "2,5"], "numbers with different decimal signs, '.' and ','"),
        (["12m", "15"], "numbers with an 'm' or 'b' that may be a multiple or a unit"),
    ],
)
def test_numbers_written_in_several_ways_are_in_doubt(cells, doubt):
    found = find_amounts(look(column(cells * 5)))
    assert found is not None and found.format is None and found.doubt == doubt


def test_a_lone_group_of_three_digits_is_read_as_thousands_and_in_doubt():
    found = find_amounts(look(column(["501,257", "498,679", "12,500"])))
    assert found is not None and found.format == "1,234"
    assert found.doubt == "'501,257' is read with ',' between thousands; it might be the decimal sign"
    settled = find_amounts(look(column(["501,257", "1,498,679", "12,500"])))
    assert settled is not None and not settled.doubt


@pytest.mark.parametrize(
    ("cell", "written"),
    [("€5", "$1,234"), ("1.200", "1234,5"), ("5 km", "1234 mi"), ("1,2", "1,234.5"), ("€1.200", "€1234"),
     ("12k", "$1234"), ("1,23,45", "1,234")],
)  # fmt: skip
def test_a_cell_that_does_not_fit_is_refused(cell, written):
    with pytest.raises(PolymodalError, match="expected a number, written as"):
        read_number(cell, written)


@pytest.mark.parametrize("sample", ["", "€", "1000", "1,234,5", "12345"])
def test_a_sample_is_of_one_number(sample):
    with pytest.raises(ValueError, match=r"is not the number 1234\.5"):
        NumberFormat.from_sample(sample)


@pytest.mark.parametrize(
    ("written", "cell", "number"),
    [
        ("$1234.5", "$1,244.52", 1244.52),
        ("$1234.5", "$1,244", 1244),
        ("$1234", "$1,244", 1244),
        ("$1234", "-$1,244.50", -1244.5),
        ("1234,5 €", "1.244,50 €", 1244.5),
        ("1234 €", "1.244 €", None),
        ("1234 €", "1.244,00 €", 1244),
        ("1234,5 €", "1 244,50 €", 1244.5),
        ("1234.5 km", "1,244.5 km", 1244.5),
        ("1234 km", "1,244,000 km", 1244000),
        ("1234 km", "1,244 km", None),
        ("1234.5 €/l", "1,244 €/l", None),
        ("$1234.5", "$12,44", None),
        ("$1234.5", "$1,244.5.2", None),
        ("$1234.5k", "$1,244k", None),
    ],
)
def test_thousands_that_training_never_reached_are_read_where_they_are_sure(written, cell, number):
    assert NumberFormat.from_sample(written).parse(cell) == number
    read, bad = parse_numbers(column([cell]), written)
    assert (len(bad) == 1) if number is None else (read.tolist() == [number])
