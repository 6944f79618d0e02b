"""Number formats of columns: decimal and thousands sign, currency or unit, multiples."""

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
"""The suffix of the sample of a column with ``k``, ``M`` or ``bn``."""

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

    A leading apostrophe, by which a spreadsheet marks a text, is removed; ``12,-`` and ``12,--`` become
    ``12,0``, and ``12.50-``, as in accounts, ``-12.50``.
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
        negative: Whether it has a minus sign or is in brackets.
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
    result = _CELL.fullmatch(clean(text)) if len(text) <= 80 else None
    if (
        result is None
        or bool(result["open"]) != bool(result["close"])
        or (result["sign"] and result["inner"])
    ):
        return None
    prefix = _normal(result["prefix"] or "")
    if prefix and prefix != "%" and not is_currency(prefix):
        return None
    body, suffix = result["body"], (result["suffix"] or "").strip()
    is_attached = not result["gap"] and not body.endswith(" ")
    factor, multiple, rest = _multiple(suffix, is_attached)
    negative = bool(result["open"]) or "-" in (result["sign"], result["inner"])
    return Written(
        prefix, body.rstrip(" '"), result["exponent"] or "", _normal(rest), factor, multiple, negative,
        ((result["prefix"] or "").strip(), rest.strip()),
    )  # fmt: skip


def _multiple(suffix: str, is_attached: bool) -> tuple[float, str, str]:
    """The factor, the multiple and the rest of a suffix; ``12 m`` is no million, ``12m`` may be."""
    result = _MULTIPLE.fullmatch(suffix)
    if result is None or (len(result[1]) == 1 and not is_attached):
        return 1.0, "", suffix
    if result[2] and not is_currency(_normal(result[2])):
        return 1.0, "", suffix
    return _FACTORS.get(result[1].lower(), MILLION), result[1], result[2]


def _normal(affix: str) -> str:
    """A normalized currency or unit: ``Rooms`` and ``room``, ``Rs.`` and ``rs`` are equal."""
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
    """Whether it is a rate, such as ``€/month`` or ``eur per l``: rates may have 3 decimals."""
    return is_currency(affix) and _FIRST_WORD.fullmatch(affix) is None


def is_plain(text: str) -> bool:
    """Whether a text is a number in the plain notation of programming languages."""
    return _PLAIN.fullmatch(text.strip()) is not None


def is_known_unit(*affixes: str) -> bool:
    """Whether all normalized affixes, if any, are currencies or units."""
    return all(not affix or affix in UNITS or is_currency(affix) for affix in affixes)


@dataclass(frozen=True)
class NumberFormat:
    """The number format of a column; a plain number, such as ``-1.5e3``, is always parsed.

    Attributes:
        decimal: Sign before the fraction; ``""`` where the column holds whole numbers only.
        thousands: Sign between groups of three digits, or ``""``.
        prefix: A currency that may precede.
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
        result = _SAMPLE.fullmatch(clean(sample))
        if result is None or (result["thousands"] and result["thousands"] == result["decimal"]):
            raise ValueError(
                f"'{sample}' is not the number 1234.5 as the column writes it, such as '1.234,5 €'"
            )
        multiple, _, unit = result["suffix"].strip().partition(" ")
        multiples = multiple == MULTIPLES
        suffix = unit if multiples else result["suffix"]
        return cls(
            result["decimal"] or "", result["thousands"], result["prefix"].strip(), suffix.strip(), multiples
        )

    def __str__(self) -> str:
        """The sample: the number 1234.5 in this format; see :meth:`from_sample`."""
        gap = " " if self.suffix and self.suffix[0] not in "%‰°" else ""
        number = f"1{self.thousands}234" + (f"{self.decimal}5" if self.decimal else "")
        front = f"{self.prefix}{' ' * self.prefix[-1:].isalnum()}"
        return f"{front}{number}{MULTIPLES * self.multiples}{gap}{self.suffix}"

    def parse(self, text: str) -> float | None:
        """Parse a text; None where it does not fit the format."""
        cell = split_cell(text)
        if cell and cell.multiple and not self.multiples and not cell.suffix:  # 12m of a column in metres
            cell = replace(cell, suffix=_normal(cell.multiple), multiple="", factor=1.0)
        if cell is not None and self._fits(cell):
            number = self.number(cell.body) or self._ungrouped(cell)
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
        """The digits of a cell in Python's notation; None where its signs are not the format's."""
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

    def _ungrouped(self, cell: Written) -> str | None:
        """The digits of a cell with thousands, where no number of training had as many digits.

        So ``$1,244.50`` is read where training had ``$950.00``; None where the sign may be the decimal one.
        """
        if self.thousands or cell.multiple:
            return None
        affixes = [_normal(affix) for affix in (self.prefix, self.suffix)]
        is_money = any(map(is_currency, affixes)) and not any(map(is_rate, affixes))
        for thousands in (sign for sign in ",. '" if sign in cell.body and sign != self.decimal):
            whole, _, fraction = cell.body.partition(self.decimal or ("," if thousands == "." else "."))
            is_lone_sure = thousands in " '" or (is_money and bool(self.decimal or thousands == ","))
            is_sure = fraction or is_lone_sure or whole.count(thousands) > 1  # $1.259 may be that of fuel
            if is_sure and (not fraction or fraction.isdigit()) and _groups(thousands).fullmatch(whole):
                return f"{whole.replace(thousands, '')}.{fraction or 0}"
        return None


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
    """The format of a sample, cached: see :meth:`NumberFormat.from_sample`."""
    return NumberFormat.from_sample(sample)


def is_amount(sample: str) -> bool:
    """Whether a known unit, or signs that plain numbers do not have, mark a format as one of quantities."""
    result = number_format(sample)
    affixes = [_normal(affix) for affix in (result.prefix, result.suffix) if affix]
    has_unit = bool(affixes) and is_known_unit(*affixes)
    return has_unit or result.multiples or bool(result.thousands) or result.decimal == ","
