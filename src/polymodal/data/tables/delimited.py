"""Parsing of CSV: encoding, lines above the header, separator, and the cells as text."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv

from polymodal.data.tables import records
from polymodal.errors import DataError, Problem, one_line, option

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
"""Separators and their names, in the order in which they are tried."""
NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "space": " "}
QUOTED = {",": "','", "\t": "a tab"}
BOMS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
"""Byte order marks and their encodings; that of UTF-32 begins with that of UTF-16."""
PIECE = 2**20  # bytes
SAMPLE = 2**16  # characters from which the separator is detected
MOST_LISTED = 1000
"""Rows of another length that are listed one by one; more are only counted."""
MOST_SKIPPED = 100_000
SEP_LINE = re.compile(rb'"?sep=(.)"?$', re.IGNORECASE)
FIRST_LINE = re.compile(rb"[^\r\n]*[\r\n]*")
NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?\s*")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The settings of a text file; None where they are detected.

    Attributes:
        sep: Separator of the cells of a CSV.
        encoding: Encoding of the text, by Python's name.
    """

    sep: str | None = None
    encoding: str | None = None


def as_utf8(raw: bytes, name: str, encoding: str | None, header: int, notes: list[str]) -> bytes:
    """The text in UTF-8, without a byte order mark.

    Args:
        raw: The file.
        name: Its name in messages.
        encoding: Its encoding; by default UTF-8, or that of its byte order mark.
        header: Lines above the first row.
        notes: Another encoding is noted here.

    Raises:
        DataError: If the text is not in that encoding: the first byte that is not, with line and row.
    """
    marked = next((known for mark, known in BOMS.items() if raw.startswith(mark)), None)
    if encoding is None and marked is None:
        _check_utf8(raw, name, header)
        return raw.removeprefix(codecs.BOM_UTF8)
    chosen = encoding or str(marked)
    try:
        text = raw.decode(chosen)
    except LookupError:
        fix = "Give one that Python knows, such as cp1252, latin-1 or utf-16."
        raise _error(name, f"there is no encoding '{chosen}'", cure=fix) from None
    except UnicodeError as error:
        raise _error(name, f"the file is not in the encoding '{chosen}' ({_reason(error)})") from None
    notes.append(f"read in the encoding {chosen}")
    return text.removeprefix("\ufeff").encode("utf-8", "surrogatepass")


def _reason(error: UnicodeError) -> str:
    return one_line(str(getattr(error, "reason", "") or error), 100)


def _check_utf8(raw: bytes, name: str, header: int) -> None:
    try:
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(raw), PIECE):  # in pieces, to avoid a second, larger copy of the file
            decoder.decode(raw[start : start + PIECE], final=start + PIECE >= len(raw))
        return
    except UnicodeDecodeError:
        pass  # an offset in the piece, not in the file
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line, row = _line_and_row(raw, error.start, header)
        reason = f"byte 0x{raw[error.start]:02X} in line {line} is not UTF-8"
        fix = "Save the table as UTF-8 (in a spreadsheet: 'CSV UTF-8'), or name its encoding by "
        fix += f"{option('encoding')}."
        raise _error(name, reason, "UTF-8 text", fix, row) from None


def _line_and_row(raw: bytes, at: int, header: int) -> tuple[int, int | None]:
    """The line of a byte, and its row if it is in one."""
    before = raw[:at]
    line = before.count(b"\n") + 1
    # Line ends inside quotes do not end a row; doubled quotes leave the count of pieces even.
    ended = sum(piece.count(b"\n") for piece in before.split(b'"')[::2]) if header else line - 1
    row = ended - header + 1
    return line, row if row > 0 else None


def read_delimited(
    raw: bytes, name: str, usual: str, dialect: Dialect, rejected: list[Problem] | None, notes: list[str]
) -> pa.Table:
    """Parse a CSV: all columns as text ('007' and the country code 'NA' stay unchanged), empty cells as null.

    Args:
        raw: The text, in UTF-8.
        name: The file's name in messages.
        usual: The usual separator of such a file.
        dialect: The separator, where it is not to be detected.
        rejected: Skipped rows of another length are added here; without it they are refused.
        notes: Unusual findings, such as another separator, are noted here.

    Raises:
        DataError: If it does not hold rows and columns; lists every bad row.
    """
    at = raw.find(b"\0")
    if at >= 0:
        line, row = _line_and_row(raw, at, header=1)
        utf16 = option("encoding", "utf-16-le")
        fix = f"Write it again as CSV; text in UTF-16 without a mark is read with {utf16}."
        raise _error(name, f"line {line} holds a NUL character", "text", fix, row)
    raw, named = _below_preamble(raw, notes)
    head, is_whole = raw[:SAMPLE].decode("utf-8", "ignore"), len(raw) <= SAMPLE
    sep = _given(dialect.sep, name) or named or _find_separator(head, is_whole, usual)
    raw, head = _below_comments(raw, head, sep, is_whole, notes)
    if not raw.strip():
        raise _error(name, "the file holds no table", "column names and rows")
    columns = _header(raw, name, sep)
    if sep != usual:
        notes.append(f"cells are separated by {SEPARATORS.get(sep, repr(sep))}")
    return _parse(raw, name, sep, columns, rejected)


def _given(sep: str | None, name: str) -> str | None:
    if sep is None:
        return None
    known = NAMED.get(sep.lower(), sep)
    if len(known) != 1 or not known.isascii() or known in '"\r\n\0':
        expected = f"one character, or {', '.join(entry for entry in NAMED if entry.isalpha())}"
        raise _error(name, f"data.sep is {sep!r}", expected)
    return known


def _below_preamble(raw: bytes, notes: list[str]) -> tuple[bytes, str | None]:
    """The text below blank lines and Excel's ``sep=;``, and that separator."""
    raw = raw.lstrip(b"\r\n")
    line, rest = _first_line(raw)
    stated = SEP_LINE.match(line.strip())
    if not stated or not stated[1].isascii():
        return raw, None
    return rest.lstrip(b"\r\n"), stated[1].decode()


def _first_line(raw: bytes) -> tuple[bytes, bytes]:
    ends = [at for at in (raw.find(b"\n"), raw.find(b"\r")) if at >= 0]
    if not ends:
        return raw, b""
    end = min(ends)
    return raw[:end], raw[end + (2 if raw[end : end + 2] == b"\r\n" else 1) :]


def _behind_line(raw: bytes, at: int) -> int:
    """The start of the line after that at ``at``, without blank lines."""
    line = FIRST_LINE.match(raw, at)
    return line.end() if line else len(raw)


def _below_comments(raw: bytes, head: str, sep: str, is_whole: bool, notes: list[str]) -> tuple[bytes, str]:
    """The text below lines that begin with ``#``, except a last one that names the columns."""
    at = passed = 0
    while raw.startswith(b"#", at):
        below = _behind_line(raw, at)
        is_last = not raw.startswith(b"#", below)
        head = raw[at : at + SAMPLE].decode("utf-8", "ignore") if is_last else head
        if is_last and _names_columns(head, is_whole, sep, raw[at:below].rstrip()):
            notes.append("the first line begins with '#': it is read as the names of the columns")
            break
        at, passed = below, passed + 1
    raw = raw[at:]
    head = raw[:SAMPLE].decode("utf-8", "ignore") if passed else head
    if passed:
        notes.append(
            f"{passed} line{'s' * (passed > 1)} that begin{'s' * (passed == 1)} with '#' passed over"
        )
    return raw, head


def _names_columns(head: str, is_whole: bool, sep: str, line: bytes) -> bool:
    """Whether a line with ``#`` is the header: it has as many cells as the next line.

    A line with a blank after the ``#`` may be a sentence with as many commas; it is a header only if numbers
    follow, not names of columns.
    """
    rows = _sample(head, is_whole, sep)
    if len(rows) < 2 or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return False
    return not line[1:2].isspace() or any(NUMBER.fullmatch(cell) for cell in rows[1])


def _find_separator(head: str, is_whole: bool, usual: str) -> str:
    """The usual separator, or another one that gives every row as many cells as the header."""
    head = "\n".join(head.splitlines()[_comments(head) :])
    shares = {}
    for sep in dict.fromkeys((usual, *SEPARATORS)):
        rows = _sample(head, is_whole, sep)
        if rows and len(rows[0]) > 1:
            shares[sep] = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
    whole = [sep for sep, share in shares.items() if share == 1]
    if whole or usual in shares:  # otherwise rows of another length are reported with the usual one
        return whole[0] if whole else usual
    nearly = [sep for sep, share in shares.items() if share >= 0.9]
    return nearly[0] if nearly else usual


def _comments(head: str) -> int:
    """Number of first lines that begin with ``#``."""
    lines = head.splitlines()
    return next((at for at, line in enumerate(lines) if not line.startswith("#")), 0)


def _sample(head: str, is_whole: bool, sep: str) -> list[list[str]]:
    """The first complete rows that are not blank."""
    try:
        rows = [row for row in csv.reader(io.StringIO(head, newline=""), delimiter=sep) if row]
    except csv.Error:
        return []
    return rows if is_whole else rows[:-1]


def _header(raw: bytes, name: str, sep: str) -> list[str]:
    text = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8", newline="")
    try:
        columns = next(row for row in csv.reader(text, delimiter=sep) if row)
    except csv.Error as error:
        raise _error(name, f"the first line cannot be read ({error})", "the names of the columns") from error
    records.check_columns(columns, name)
    return columns


def _parse(raw: bytes, name: str, sep: str, columns: list[str], rejected: list[Problem] | None) -> pa.Table:
    ragged: list[Problem] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        problem, expected = (
            f"found {row.actual_columns} cells",
            f"{row.expected_columns} as in the first line",
        )
        fix = f"Put a cell that holds {QUOTED.get(sep, repr(sep))} in double quotes."
        # Arrow counts rows from 1 with the header, blank lines not counted.
        ragged.append(Problem(found=problem, expected=expected, cure=fix, file=name, row=row.number - 1))
        return "skip" if len(ragged) < (MOST_LISTED if rejected is None else MOST_SKIPPED) else "error"

    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(raw),
            # One block: a cell may be a data: URI of any length. One thread: errors then have row numbers.
            pyarrow.csv.ReadOptions(use_threads=False, block_size=min(len(raw) + 1, 2**31 - 1)),
            pyarrow.csv.ParseOptions(
                delimiter=sep, newlines_in_values=True, invalid_row_handler=note,
                ignore_empty_lines=len(columns) > 1,  # of a single column blank lines are rows
            ),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), null_values=[""], strings_can_be_null=True
            ),
            pa.system_memory_pool(),  # which returns the memory after parsing
        )  # fmt: skip
    except pa.ArrowException as error:
        if ragged:
            raise DataError(ragged) from None
        reason = str(error).splitlines()[0]
        raise _error(name, f"cannot be read as a table ({reason})", cure="Write it again as CSV.") from error
    _check_quotes(raw, table, name)
    if ragged and rejected is None:
        raise DataError(ragged)
    if rejected is not None:
        rejected += ragged
    return table


def _check_quotes(raw: bytes, table: pa.Table, name: str) -> None:
    """Refuse a quote that is never closed: the parser silently takes all following rows as one cell."""
    if raw.count(b'"') % 2 and len(table):
        swallowed = [c for c in table.column_names if "\n" in (table.column(c)[-1].as_py() or "")]
        if swallowed:
            reason, fix = "a double quote is opened and never closed", "Close it, or write a quote as two."
            raise DataError(Problem(found=reason, cure=fix, file=name, row=len(table), column=swallowed[-1]))


def _error(name: str, found: str, expected: str = "", cure: str = "", row: int | None = None) -> DataError:
    return DataError(Problem(found=found, expected=expected, cure=cure, file=name, row=row))
