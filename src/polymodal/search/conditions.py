"""``--where``: a condition on a row's columns, parsed and built again; no text is passed on unparsed.

    condition  = all {"or" all} ;  all = one {"and" one} ;  one = "not" one | "(" condition ")" | test
    test       = column ("=" | "!=" | "<" | "<=" | ">" | ">=") value
               | column ["not"] "in" "(" value {"," value} ")"
               | column ["not"] ("like" | "contains") text
               | column "is" ["not"] ("null" | "empty")

A column is a word, or anything in double quotes or backticks; a text is in single or double quotes. The
result holds the index's own names (``text_3``), signs, numbers and quoted texts, and is LanceDB's filter.
A column is compared by its type: dates and times with a text in ISO 8601 (``'2024-03-01'``, see
:mod:`polymodal.search.moments`), truth values with ``true`` and ``false``; any other value is refused, and so
is a number where no cell is one (``$1,200`` is a text).
As in SQL, a test of an empty cell is neither true nor false, and ``not`` does not change that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from polymodal.errors import ConfigError, did_you_mean, one_line
from polymodal.search import moments
from polymodal.search.fields import DECIMAL, Field
from polymodal.search.lance_store import quoted
from polymodal.search.tokens import Token, refused, tokens

SIGNS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
ORDERING = ("<", "<=", ">", ">=")
MOST_TESTS, DEEPEST = 500, 40
"""The deepest nesting: beyond it the library that runs the filter overflows its stack."""
EXACT = 2**53
"""The largest whole number up to which all are exact as floats."""
NUMERIC = ("int", "float")
TRUTH = {"true": "1.0", "false": "0.0", "1": "1.0", "0": "0.0"}


def build_filter(
    condition: str, fields: Sequence[Field], holds_numbers: Callable[[int], bool] = lambda place: True
) -> str:
    """The filter that ``condition`` means in tables of these ``fields``.

    Args:
        condition: The user's text.
        fields: The columns.
        holds_numbers: Whether a cell of the field at an index is a number, though its column holds texts.

    Raises:
        ConfigError: If it is no condition, or there is no such column: one line with the position.
    """
    return _Parser(condition, fields, holds_numbers).whole()


class _Parser:
    """A recursive descent parser of one condition."""

    def __init__(self, condition: str, fields: Sequence[Field], holds_numbers: Callable[[int], bool]) -> None:
        self.condition, self.fields, self.holds_numbers = condition, fields, holds_numbers
        self.tokens, self.place, self.depth, self.tests = tokens(condition), 0, 0, 0

    @property
    def next(self) -> Token:
        """The token to read next."""
        return self.tokens[self.place]

    def whole(self) -> str:
        """The filter of the whole condition."""
        built = self.any()
        if self.next.kind != "end":
            raise self.refused("and, or, or its end")
        return built

    def any(self) -> str:
        """Tests joined by ``or``."""
        parts = [self.all()]
        while self.take("keyword", "or"):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def all(self) -> str:
        """Tests joined by ``and``."""
        parts = [self.one()]
        while self.take("keyword", "and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"

    def one(self) -> str:
        """A test, its negation, or a condition in brackets."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise ConfigError(f"the condition is nested deeper than {DEEPEST} levels")
        if self.take("keyword", "not"):
            built = f"(NOT {self.one()})"
        elif self.take("sign", "("):
            built = self.any()
            self.must("sign", ")")
        else:
            built = self.test()
        self.depth -= 1
        return built

    def test(self) -> str:
        """A column compared with a value, a list, a pattern or emptiness."""
        self.tests += 1
        if self.tests > MOST_TESTS:
            raise ConfigError(f"the condition has more than {MOST_TESTS} tests; put values into: in (…)")
        index, entry = self.column()
        text = f"text_{index}"
        if self.next.kind == "sign" and self.next.text in SIGNS:
            sign = SIGNS[self.advance().text]
            return self.compared(index, entry, sign, self.advance())
        if self.take("keyword", "is"):
            negated = self.take("keyword", "not")
            if not (self.next.kind == "word" and self.next.text.lower() == "empty"):
                self.must("keyword", "null")
            else:
                self.advance()
            return f"({text} IS {'NOT ' if negated else ''}NULL)"
        negated = self.take("keyword", "not")
        if self.take("keyword", "in"):
            built = self.listed(index, entry)
        elif self.take("keyword", "like"):
            built = f"({text} LIKE {quoted(self.text_value())})"
        elif self.take("keyword", "contains"):
            built = self.contained(text, entry, self.text_value())
        else:
            raise self.refused("=, !=, <, <=, >, >=, in, like, contains, is empty or is null")
        return f"(NOT {built})" if negated else built

    def column(self) -> tuple[int, Field]:
        """The index and the field of a column name."""
        token = self.advance()
        if token.kind not in ("word", "double", "back"):
            fix = ". Put a column of such a name in double quotes" if token.kind == "keyword" else ""
            raise refused(self.condition, token, "a column", fix)
        names = [entry.name for entry in self.fields]
        if token.text not in names:
            raise ConfigError(
                f"there is no column '{one_line(token.text, 80)}'. {did_you_mean(token.text, names)}"
            )
        index = names.index(token.text)
        return index, self.fields[index]

    def listed(self, place: int, entry: Field) -> str:
        """``in``: each value compared with the text or the number, depending on its own kind."""
        self.must("sign", "(")
        groups: dict[str, list[str]] = {}
        days: list[str] = []
        while True:
            token = self.advance()
            if entry.kind in moments.KINDS:
                days.append(self.compared(place, entry, "=", token))
                if not self.take("sign", ","):
                    break
                continue
            name, literal = self.operand(place, entry, "=", token)
            groups.setdefault(name, []).append(literal)
            if not self.take("sign", ","):
                break
        self.must("sign", ")")
        tests = [f"{name} IN ({', '.join(group)})" for name, group in groups.items()]
        return "(" + " OR ".join([*days, *tests]) + ")"

    def compared(self, place: int, entry: Field, sign: str, token: Token) -> str:
        """The filter that compares a column with a value."""
        if entry.kind in moments.KINDS:
            text = moments.iso_text(token.text, entry.kind) if token.kind in ("single", "double") else None
            if text is None:
                raise self.refused_value(token, f"{moments.FORMS[entry.kind]}: '{entry.name}' holds such")
            return moments.compared(f"text_{place}", sign, text, entry.kind)
        name, literal = self.operand(place, entry, sign, token)
        return f"({name} {sign} {literal})"

    def operand(self, place: int, entry: Field, sign: str, token: Token) -> tuple[str, str]:
        """The text or number column that a value is compared with, and the value as a literal."""
        text, number = f"text_{place}", f"number_{place}"
        if entry.kind == "duration":
            raise self.refused_value(token, f"is empty, like or contains: '{entry.name}' holds durations")
        if entry.kind == "bool":
            return number, self.truth(entry, token)
        if token.kind == "keyword" and token.text in TRUTH:
            if entry.kind in NUMERIC:
                raise self.refused_value(token, f"a number: '{entry.name}' holds numbers")
            return number, TRUTH[token.text]
        if token.kind == "number":
            if entry.kind not in NUMERIC and not self.holds_numbers(place):
                raise self.refused_value(token, f"a text in quotes: no cell of '{entry.name}' is a number")
            whole = int(token.text) if token.text.lstrip("+-").isdigit() else 0
            if abs(whole) > EXACT and sign not in ORDERING:
                return text, quoted(str(whole))
            return number, self.finite(token)
        if token.kind not in ("single", "double"):
            raise self.refused_value(token, "a value", ". A text stands in quotes")
        if not token.text.strip():
            raise self.refused_value(token, "a value")
        return self.text_operand(place, entry, sign, token)

    def text_operand(self, place: int, entry: Field, sign: str, token: Token) -> tuple[str, str]:
        """The same for a value in quotes."""
        is_number = entry.kind in NUMERIC and DECIMAL.fullmatch(token.text)
        if is_number and (sign in ORDERING or abs(float(token.text)) < EXACT):  # '2.50' is 2.5
            return f"number_{place}", self.finite(token)
        if sign in ORDERING and entry.kind in NUMERIC:
            raise refused(self.condition, token, f"a number: '{entry.name}' holds numbers")
        if sign in ORDERING and moments.iso_text(token.text, moments.DATE):
            reason = f"a text: '{entry.name}' holds texts that are not all dates such as '2024-03-01'"
            raise self.refused_value(token, reason)
        return f"text_{place}", quoted(token.text)

    def truth(self, entry: Field, token: Token) -> str:
        """A truth value, also written as a text or as 1 and 0, as the number that represents it."""
        value = TRUTH.get(token.text.strip().lower()) if token.kind != "word" else None
        if value is None:
            raise self.refused_value(token, f"true or false: '{entry.name}' holds truth values")
        return value

    def refused_value(self, token: Token, expected: str, fix: str = "") -> ConfigError:
        """The error for a value that does not fit the column, with a hint on empty cells."""
        is_empty = token.text == "null" if token.kind == "keyword" else not token.text.strip()
        if is_empty and token.kind != "end":
            fix = ". For empty cells write: is empty"
        return refused(self.condition, token, expected, fix)

    def finite(self, token: Token) -> str:
        """A number as a literal; infinite ones are refused."""
        value = float(token.text)
        if abs(value) == float("inf"):
            raise refused(self.condition, token, "a number of at most 1.8e308")
        return repr(value)

    @staticmethod
    def contained(text: str, entry: Field, value: str) -> str:
        """``contains``: an item of a list, or a part of a text in any case."""
        if entry.kind == "list":
            return f"contains({text}, {quoted(json.dumps(value, ensure_ascii=False))})"
        return f"contains(lower({text}), {quoted(value.lower())})"

    def text_value(self) -> str:
        """A text in quotes."""
        token = self.advance()
        if token.kind not in ("single", "double"):
            raise refused(self.condition, token, "a text in quotes")
        return token.text

    def advance(self) -> Token:
        """Read a token."""
        token = self.next
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def take(self, kind: str, text: str) -> bool:
        """Read the next token if it is this one; returns whether it was."""
        matches = self.next.kind == kind and self.next.text == text
        self.place += matches
        return matches

    def must(self, kind: str, text: str) -> None:
        """Read this token, or refuse the condition."""
        if not self.take(kind, text):
            raise self.refused(f"'{text}'")

    def refused(self, expected: str) -> ConfigError:
        """The error for the next token."""
        return refused(self.condition, self.next, expected)
