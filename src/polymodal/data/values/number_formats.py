"""How the numbers of a column are written: decimal and thousands sign, currency or unit, multiples."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_CELL = re.compile(
    r"(?P<open>\()?\s*(?P<sign>[+-])?\s*(?P<prefix>[^\d\s.,+\-()'][^\d+\-(),]{0,7}?)?\s*(?P<inner>[+-])?\s*"
    r"(?P<body>\d[\d.,' ]*|[.,]\d+)(?P<exponent>[eE][+-]?\d+)?(?P<gap>\s*)"
    r"(?P<suffix>[^\d\s.,+\-()'](?:[^\d()]|(?<=[A-Za-z])[23](?!\d)){0,19})?\s*(?P<close>\))?",
    re.ASCII,
)
_SAMPLE = re.compile(
    r"(?P<prefix>\D*?)1(?P<thousands>[., ']?)234(?:(?P<decimal>[.,])5)?"
    r"(?P<suffix>(?:\D|(?<=[A-Za-z])[23](?!\d))*)"
)
_AMBIGUOUS = re.compile(r"[1-9]\d{0,2}([.,]\d{3})+")
_MULTIPLE = re.compile(
    r"(k|tsd|thousand|mn|mio|mln|million|m|bn|mrd|billion|b)(?![^\W\d_])\.?\s*(.*)", re.IGNORECASE
)
_FACTORS = {"k": 1e3, "tsd": 1e3, "thousand": 1e3, "b": 1e9, "bn": 1e9, "mrd": 1e9, "billion": 1e9}
MILLION = 1e6
MULTIPLES = "k"
"""The suffix of a sample whose column is written with ``k``, ``M`` or ``bn``."""

_CURRENCIES = (
    "usd eur gbp jpy chf cad aud nzd cny rmb inr brl mxn zar sek nok dkk pln czk huf ron bgn try rub uah ils "
    "aed sar egp krw twd hkd sgd myr thb idr php vnd pkr ngn kes ars clp cop pen "
    "kr zł fr sfr rs rm dm lei ft kč tl руб р"
)
CURRENCIES = frozenset(_CURRENCIES.split())
_UNITS = (
    "% ‰ ° °c °f mm cm dm m km in inch ft yd mi mile mm² cm² m² km² m2 km2 m³ m3 cm3 sqft sqm sq ft ha acre "
    "mg g kg lb lbs oz ml cl dl l ltr gal ms s sec min h hr hour day week month year "
    "hz khz mhz ghz kw mw kwh mwh ma mah kb mb gb tb px dpi bp bps kcal cal kj j pa hpa kpa bar psi mph "
    "km/h kmh kph m/s ppm pt pts"
)
UNITS = frozenset(_UNITS.split())
_FIRST_WORD = re.compile(r"[^\s/*]*")
_TRAILING_MINUS = re.compile(r"\d[\d.,' ]*\s?-", re.ASCII)
_SPACES = [0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000]
_DIGITS = (0x660, 0x6F0, 0x966, 0x9E6, 0xFF10)
_SAME = (
    dict.fromkeys(_SPACES, " ")
    | dict.fromkeys([0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F)], "")
    | dict.fromkeys([0x2010, 0x2011, 0x2012, 0x2013, 0x2212, 0xFE63, 0xFF0D], "-")
    | dict.fromkeys([0x2019, 0x2BC, 0xFF07], "'")
    | {0xFF0B: "+", 0xFF05: "%", 0x66A: "%", 0xFF0E: ".", 0x66B: ".", 0xFF0C: ",", 0x66C: ","}
    | {first + digit: str(digit) for first in _DIGITS for digit in range(10)}
)


def clean(text: str) -> str:
    """``text`` with the spaces, minus signs, apostrophes and digits of Unicode as ASCII's.

    A leading apostrophe, with which a spreadsheet marks a text, goes; ``12,-`` and ``12,--`` are ``12,0``,
    and ``12.50-``, as accounts write it, ``-12.50``.
    """
    text = text.translate(_SAME).strip()
    if len(text) > 1 and text[0] == "'":
        text = text[1:].lstrip()
    if text[-3:] in (".--", ",--"):
        text = text[:-1]
    if len(text) < 2 or text[-1] != "-":
        return text
    if text[-2] in ".,":
        return f"{text[:-1]}0" if len(text) > 2 else text
    return f"-{text[:-1].rstrip()}" if _TRAILING_MINUS.fullmatch(text) else text


@dataclass(frozen=True)
class Written:
    """A cell that may be an amount, in parts.

    Attributes:
        prefix: A currency in front, or ``""``.
        body: Digits with the signs between them.
        exponent: Such as ``e6``, or ``""``.
        suffix: What follows, in lower case and without a plural's ``s``.
        factor: What a multiple such as ``k`` multiplies by; 1 without one. The suffix then lacks it.
        multiple: The multiple as it is written, or ``""``.
        negative: Whether a minus sign or brackets stand around it.
        shown: Prefix and suffix as they are written.
    """

    prefix: str
    body: str
    exponent: str
    suffix: str
    factor: float
    multiple: str
    negative: bool
    shown: tuple[str, str] = ("", "")


def split_cell(text: str) -> Written | None:
    """The parts of a cell that may be an amount; None where it is something else."""
    found = _CELL.fullmatch(clean(text)) if len(text) <= 80 else None
    if found is None or bool(found["open"]) != bool(found["close"]) or (found["sign"] and found["inner"]):
        return None
    prefix = _normal(found["prefix"] or "")
    if prefix and prefix != "%" and not is_currency(prefix):
        return None
    body, suffix = found["body"], (found["suffix"] or "").strip()
    is_attached = not found["gap"] and not body.endswith(" ")
    factor, multiple, rest = _multiple(suffix, is_attached)
    negative = bool(found["open"]) or "-" in (found["sign"], found["inner"])
    return Written(
        prefix, body.rstrip(" '"), found["exponent"] or "", _normal(rest), factor, multiple, negative,
        ((found["prefix"] or "").strip(), rest.strip()),
    )  # fmt: skip


def _multiple(suffix: str, is_attached: bool) -> tuple[float, str, str]:
    """The factor, the multiple and the rest of a suffix; ``12 m`` is no million, ``12m`` may be."""
    found = _MULTIPLE.fullmatch(suffix)
    if found is None or (len(found[1]) == 1 and not is_attached):
        return 1.0, "", suffix
    if found[2] and not is_currency(_normal(found[2])):
        return 1.0, "", suffix
    return _FACTORS.get(found[1].lower(), MILLION), found[1], found[2]


def _normal(affix: str) -> str:
    """A currency or unit so that ``Rooms`` and ``room``, ``Rs.`` and ``rs`` are one."""
    affix = " ".join(affix.casefold().split()).rstrip(".")
    return affix[:-1] if len(affix) > 3 and affix.endswith("s") else affix


def is_currency(affix: str) -> bool:
    """Whether a normalized affix is money by its sign or code: ``$``, ``us$``, ``chf``, ``€/month``."""
    if affix in CURRENCIES:
        return True
    first = _FIRST_WORD.match(affix)[0]  # type: ignore[index]  # it matches nothing too
    if first in CURRENCIES - UNITS and (len(first) == 3 or affix[len(first) :].startswith("/")):
        return True
    return len(first) <= 4 and any(unicodedata.category(letter) == "Sc" for letter in first)


def is_rate(affix: str) -> bool:
    """Whether more follows the currency, as in ``€/month`` or ``eur per l``: rates may have 3 decimals."""
    return is_currency(affix) and _FIRST_WORD.fullmatch(affix) is None


def is_plain(text: str) -> bool:
    """Whether a text is a number as computers write it."""
    return _PLAIN.fullmatch(text.strip()) is not None


def is_known_unit(*affixes: str) -> bool:
    """Whether normalized affixes are currencies or units, as far as there are any."""
    return all(not affix or affix in UNITS or is_currency(affix) for affix in affixes)


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written; a plain number, such as ``-1.5e3``, is always read.

    Attributes:
        decimal: Sign before the fraction; ``""`` where the column holds whole numbers only.
        thousands: Sign between groups of three digits, or ``""``.
        prefix: A currency that may stand in front.
        suffix: A currency, a unit or ``%`` that may follow; ``45%`` is 45.
        multiples: Whether ``k``, ``M`` and ``bn`` multiply.
    """

    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""
    multiples: bool = False

    @classmethod
    def from_sample(cls, sample: str) -> NumberFormat:
        """The format in which the number 1234.5, or 1234 for whole numbers, is written as ``sample``.

        Raises:
            ValueError: If it is another number.
        """
        found = _SAMPLE.fullmatch(clean(sample))
        if found is None or (found["thousands"] and found["thousands"] == found["decimal"]):
            raise ValueError(
                f"'{sample}' is not the number 1234.5 as the column writes it, such as '1.234,5 €'"
            )
        multiple, _, unit = found["suffix"].strip().partition(" ")
        multiples = multiple == MULTIPLES
        suffix = unit if multiples else found["suffix"]
        return cls(
            found["decimal"] or "", found["thousands"], found["prefix"].strip(), suffix.strip(), multiples
        )

    def __str__(self) -> str:
        """The number 1234.5 as the column writes it; see :meth:`from_sample`."""
        gap = " " if self.suffix and self.suffix[0] not in "%‰°" else ""
        number = f"1{self.thousands}234" + (f"{self.decimal}5" if self.decimal else "")
        front = f"{self.prefix}{' ' * self.prefix[-1:].isalnum()}"
        return f"{front}{number}{MULTIPLES * self.multiples}{gap}{self.suffix}"

    def parse(self, text: str) -> float | None:
        """The number that ``text`` writes; None where it does not fit."""
        cell = split_cell(text)
        if cell and cell.multiple and not self.multiples and not cell.suffix:  # 12m of a column in metres
            cell = replace(cell, suffix=_normal(cell.multiple), multiple="", factor=1.0)
        if cell is not None and self._fits(cell):
            number = self.number(cell.body)
            if number is not None:
                return float(f"{number}{cell.exponent}") * cell.factor * (-1 if cell.negative else 1)
        plain = clean(text)
        if _PLAIN.fullmatch(plain) and (self.decimal == "." or not _AMBIGUOUS.fullmatch(plain.lstrip("+-"))):
            return float(plain)
        return None

    def _fits(self, cell: Written) -> bool:
        if cell.multiple and not self.multiples:
            return False
        return {cell.prefix, cell.suffix} <= {"", _normal(self.prefix), _normal(self.suffix)}

    def number(self, body: str) -> str | None:
        """The digits of a cell as Python writes a number; None where its signs are not the format's."""
        decimal = self.decimal or _fraction_sign(body, self.thousands)
        if not self.decimal and decimal != self.thousands and _AMBIGUOUS.fullmatch(body):
            return None  # in a column of whole numbers 1.5 can only be a fraction, 1.234 may be either
        whole, _, fraction = (
            body.partition(decimal) if decimal not in ("", self.thousands) else (body, "", "")
        )
        if not (whole or fraction) or (fraction and not fraction.isdigit()):
            return None
        if self.thousands and self.thousands in whole:
            if not _groups(self.thousands).fullmatch(whole):
                return None
            whole = whole.replace(self.thousands, "")
        return f"{whole or 0}.{fraction or 0}" if not whole or whole.isdigit() else None


def _fraction_sign(body: str, thousands: str) -> str:
    """The last sign of a body that is not its thousands sign; the thousands sign where there is no other."""
    return next((sign for sign in reversed(body) if sign in ".," and sign != thousands), thousands)


@lru_cache(maxsize=16)
def _groups(sign: str) -> re.Pattern[str]:
    """Groups of three digits, or as in India of two and a last one of three."""
    sign = re.escape(sign)
    return re.compile(rf"[1-9]\d{{0,2}}(?:{sign}\d{{3}})+|[1-9]\d?(?:{sign}\d{{2}})+{sign}\d{{3}}", re.ASCII)


@lru_cache(maxsize=256)
def number_format(sample: str) -> NumberFormat:
    """:meth:`NumberFormat.from_sample`, kept."""
    return NumberFormat.from_sample(sample)


def is_amount(sample: str) -> bool:
    """Whether a known unit, or signs that no plain number has, mark the numbers of a format as measured."""
    found = number_format(sample)
    affixes = [_normal(affix) for affix in (found.prefix, found.suffix) if affix]
    has_unit = bool(affixes) and is_known_unit(*affixes)
    return has_unit or found.multiples or bool(found.thousands) or found.decimal == ","
