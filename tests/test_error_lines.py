"""Problems of a table in lines: those of one column that are alike are counted."""

from polymodal.errors import DataError, Problem


def cell(row, column="age", expected="a number"):
    return Problem(found=f"'{row} years'", expected=expected, cure="Write it", row=row, column=column)


def test_rows_of_a_column_with_the_same_problem_are_counted():
    error = DataError([*(cell(row) for row in range(1, 131)), cell(7, "weight"), cell(9, expected="a date")])
    assert str(error).splitlines() == [
        "row 1, column 'age': '1 years', expected a number. Write it",
        "row 2, column 'age': '2 years', expected a number. Write it",
        "row 3, column 'age': '3 years', expected a number. Write it",
        "row 7, column 'weight': '7 years', expected a number. Write it",
        "row 9, column 'age': '9 years', expected a date. Write it",
        "… and at least 127 more rows of column 'age'",
    ]
    assert len(error.problems) == 132


def test_few_problems_are_all_shown():
    assert len(str(DataError([cell(row) for row in range(1, 6)])).splitlines()) == 5
    columns = DataError([Problem(found=f"no column '{name}'") for name in range(25)])
    assert str(columns).splitlines()[-1] == "… and 5 more"


def test_rows_of_many_columns_are_counted_together_beyond_those_that_are_shown():
    wide = [cell(row, f"column {number}") for number in range(300) for row in range(1, 7)]
    lines = str(DataError(wide)).splitlines()
    assert len(lines) == 20 + 7 + 1 and lines[20] == "… and at least 3 more rows of column 'column 0'"
    assert lines[-1] == f"… and {300 * 6 - 20 - 7 * 3} more"


def test_of_many_alike_rows_the_first_of_the_table_are_shown():
    lines = str(DataError([cell(row) for row in (5, 9, 2, 7, 1, 8)])).splitlines()
    assert [line[:5] for line in lines[:3]] == ["row 5", "row 2", "row 1"]
