"""The tokens of a condition such as ``year > 2010 and "sold by" = 'Ann'``, with their positions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from polymodal.errors import ConfigError, one_line

LONGEST = 1_000_000
"""The most characters of a condition."""
KEYWORDS = ("and", "or", "not", "in", "like", "contains", "is", "null", "true", "false")
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<single>'(?:[^']|'')*')
    | (?P<double>"(?:[^"]|"")*")
    | (?P<back>`(?:[^`]|``)*`)
    | (?P<word>\w[\w.\-]*)
    | (?P<sign><=|>=|!=|<>|==|[=<>(),])
    )""",
    re.VERBOSE,
)
QUOTED = {"single": "'", "double": '"', "back": "`"}


@dataclass(frozen=True)
class Token:
    """A token of a condition.

    Attributes:
        kind: ``number``, ``word``, ``keyword``, ``sign``, ``end``, or the quotes around it: ``single``,
            ``double``, ``back``.
        text: Without its quotes; keywords in lower case.
        at: Its position, from 1.
    """

    kind: str
    text: str
    at: int

    @property
    def shown(self) -> str:
        """The token in messages."""
        return "its end" if self.kind == "end" else f"'{one_line(self.text, 60)}'"


def tokens(text: str) -> list[Token]:
    """The tokens of ``text``, the last of which is its end.

    Raises:
        ConfigError: If a character begins no token, or a quote is never closed.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"the condition has {len(text):,} characters, expected at most {LONGEST:,}")
    result, index = [], 0
    while text[index:].strip():
        match = _TOKEN.match(text, index)
        if match is None:
            at = index + len(text[index:]) - len(text[index:].lstrip())
            raise refused(
                text, Token("sign", text[at], at + 1), "a column, a value or a sign", open_quote(text[at])
            )
        result.append(_token(match))
        index = match.end()
    return [*result, Token("end", "", len(text) + 1)]


def _token(match: re.Match[str]) -> Token:
    kind = str(match.lastgroup)
    text, at = match[kind], match.start(kind) + 1
    if kind in QUOTED:
        quote = QUOTED[kind]
        return Token(kind, text[1:-1].replace(quote * 2, quote), at)
    if kind == "word" and text.lower() in KEYWORDS:
        return Token("keyword", text.lower(), at)
    return Token(kind, text, at)


def open_quote(character: str) -> str:
    """The hint for a quote that is never closed; empty for other characters."""
    return ". Close the quote" if character in QUOTED.values() else ""


def refused(condition: str, token: Token, expected: str, fix: str = "") -> ConfigError:
    """The error of a condition in one line: its position, the token and what is expected."""
    where = f"condition {one_line(condition, 120)}, character {token.at}"
    return ConfigError(f"{where}: found {token.shown}, expected {expected}{fix}")
