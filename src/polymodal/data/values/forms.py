"""Texts of a known form: dates, times, ids, codes, ranges, addresses, paths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from polymodal.data.values.number_formats import clean

SHARE = 0.95  # of the distinct texts have to have the form
FIRST, FIRST_SHARE = 40, 0.8  # texts of which most have to match before the others are tried
LOOKED_AT = 2000  # different texts, spread over all
SHORTEST_CODE = 4
MOST_WORDS = 3  # of a prefix and digits
LONGEST_NAME = 3  # letters of a code of letters alone, such as a country's
MOST_SKELETONS = 0.05
"""Largest share of distinct texts, without their digits, of a column of prefixes and digits."""
_MONTH = r"(?:jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zä]*\.?"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s*[ap]\.?m\.?)?"
_ZONE = r"(?:\s*(?:z|utc|gmt|[+-]\d{2}:?\d{2}))?"
_DAY = (
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{4}年\d{1,2}月\d{1,2}日"
    rf"|(?:[a-z]{{2,9}}\.?,?\s+)?\d{{1,2}}(?:st|nd|rd|th|\.)?[\s-]{_MONTH},?[\s-]\d{{2,4}}"
    rf"|(?:[a-z]{{2,9}}\.?,?\s+)?{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?,?\s\d{{4}})"
)
_NUMBER = r"[+-]?\d+(?:[.,]\d+)?"
_AMOUNT = rf"[$€£¥]?\s*{_NUMBER}\s*[km%€$£]?"
_PART = (
    r"\d+(?:[.,]\d+)?\s*(?:years?|months?|weeks?|w|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)"
)
_FORMS = {
    "dates": rf"{_DAY}(?:[t\s,]+{_CLOCK}{_ZONE})?",
    "months": rf"\d{{4}}[-/](?:0?[1-9]|1[0-2])|\d{{1,2}}/\d{{4}}|{_MONTH}[\s,-]+\d{{2,4}}",
    "quarters or weeks": r"q[1-4][\s/-]*\d{2,4}|\d{4}[\s/-]*q[1-4]|\d{4}-?w\d{2}",
    "times or durations": rf"(?:\d+\s*days?,?\s+)?{_CLOCK}|\d+:\d{{2}}:\d{{2}}|{_PART}(?:[\s,]*{_PART})+"
    r"|p(?=[\dt])(?:\d+[ymwd])*(?:t(?:\d+(?:\.\d+)?[hms])+)?",
    "UUIDs": r"\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?",
    "hashes": r"(?=.*\d)(?=.*[a-f])(?:[0-9a-f]{16}|[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})",
    "e-mail addresses": r"[^\s@]+@[^\s@]+\.[a-z]{2,}",
    "addresses on the network": r"(?:[a-z][a-z+.-]*://|www\.)\S+",
    "addresses of machines": r"\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d+)?|(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}",
    "ISBN or article numbers": r"(?:97[89][\s-]?)?\d{1,5}[\s-]\d{1,7}[\s-]\d{1,7}[\s-][\dx]",
    "coordinates": rf"\(?{_NUMBER}°?\s*[ns]?\s*[,;]\s*{_NUMBER}°?\s*[ewo]?\)?|\d+°.*[nsewo]|point\s*\(.*\)",
    "phone numbers": r"(?:\+|00|0|\(\d)[\d\s()/.-]{6,20}\d|\d{3}[-.\s]\d{3}[-.\s]\d{4}|\d{3}-\d{4}",
    "fractions": r"\d+\s*(?:/|of|out of|von)\s*\d+",
    "ranges": rf"{_AMOUNT}\s*(?:-|to|bis|\.\.+|~)\s*{_AMOUNT}\s*[a-z%]{{0,8}}|[<>≤≥=~]+\s*{_NUMBER}"
    rf"|{_NUMBER}\s*\+",
    "measures of several sides": rf"{_NUMBER}(?:\s*[x×*]\s*{_NUMBER})+\s*[a-z]{{0,3}}",
    "fractions or rates": rf"{_NUMBER}\s*(?:/|out of|von)\s*{_NUMBER}",
    "feet and inches": r"\d+\s*(?:'|′|ft\.?|feet)\s*\d+(?:\.\d+)?\s*(?:\"|″|''|in\.?|inch(?:es)?)?",
    "versions": r"v?\d+(?:\.\d+){2,}\S{0,12}",
}
FORMS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _FORMS.items()}
IDS = ("UUIDs", "hashes", "e-mail addresses")
"""Forms whose texts each identify one thing."""
_LONE_NUMBER = re.compile(r"\d+(?:[.,'_€$£ ]\d+)*", re.ASCII)
LONGEST_FORM, FEWEST_NUMBERS = 12, 5
_WORD = re.compile(r"[A-Za-z0-9_\-./:]+")
_LETTERS = re.compile(r"[A-Z]+")
_LATIN = re.compile(r"[^\W\d_]+", re.ASCII)
_PATH = re.compile(r"[^\s<>|?*\"]+\.([A-Za-z][A-Za-z0-9]{0,6})")
_TOP_DOMAINS = "com org net io de uk fr edu gov info eu ru cn jp in it es nl br co"
_DOMAINS = frozenset(_TOP_DOMAINS.split())
_SAVED_INDEX = re.compile(
    r"(unnamed:\s*\d+(_level_\d+)?|index|level_\d+|__index_level_\d+__|\s*)", re.IGNORECASE
)
_ID_NAME = re.compile(r"(?:.*[\W_])?(?:id|ids|idx|uid|uuid|guid|rowid|index)|.*[a-z](?:Id|ID|Uid)", re.ASCII)
_CODE_NAME = re.compile(
    r"(?:.*[\W_])?(?:zip|zipcode|zip_?code|plz|postcode|postal_?code|postleitzahl|cap|cep|pin_?code|fips"
    r"|phone|telephone|tel|mobile|fax|isbn|ean|gtin|upc|sku|iban|vat|ssn|imei)(?:[\W_]?(?:no|nr|number|code))?",
    re.IGNORECASE,
)


def form_of(texts: Sequence[str]) -> str | None:
    """The form of nearly all distinct ``texts``; None where they have none that is known."""
    some = _some(texts)
    first = [clean(text) for text in some[:FIRST]]
    likely = {name: pattern for name, pattern in FORMS.items() if _share(first, pattern, FIRST_SHARE)}
    cleaned = [clean(text) for text in some] if likely else []
    return next((name for name, pattern in likely.items() if _share(cleaned, pattern, SHARE)), None)


def _some(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: len(texts) // LOOKED_AT + 1]


def _share(texts: Sequence[str], pattern: re.Pattern[str], share: float) -> bool:
    """Whether at least a share of the texts match; stops as soon as too many do not."""
    left = int((1 - share) * len(texts))
    for text in texts:
        left -= len(text) > 200 or pattern.fullmatch(text) is None
        if left < 0:
            return False
    return bool(texts)


def id_of(texts: Sequence[str]) -> str | None:
    """The reason why distinct texts are mere ids of their rows; None where they may hold more.

    A prefix and digits, or one word with digits of one length or so, or a code of a few capitals.
    """
    texts = [text.strip() for text in _some(texts)]
    skeletons = {re.sub(r"\d+", "0", text) for text in texts}
    are_short = all("0" in skeleton and len(skeleton.split()) <= MOST_WORDS for skeleton in skeletons)
    if are_short and len(skeletons) <= max(1, MOST_SKELETONS * len(texts)):
        return "the same text but for their digits"
    if not all(_WORD.fullmatch(text) for text in texts):
        return None
    lengths = Counter(map(len, texts))
    usual = sum(count for _, count in lengths.most_common(3))
    having_digits = sum(any(letter.isdigit() for letter in text) for text in texts)
    if usual >= 0.9 * len(texts) and having_digits >= 0.9 * len(texts) and min(lengths) >= SHORTEST_CODE:
        return "one word with digits"
    if len(lengths) == 1 and max(lengths) <= LONGEST_NAME and all(map(_LETTERS.fullmatch, texts)):
        return f"{max(lengths)} capitals"
    return None


def numbers_with_more(texts: Sequence[str]) -> str:
    """A sample of texts of one number in constant words: ``#12``; ``""`` for other texts."""
    some = [text.strip() for text in _some(texts)]
    forms = Counter(_LONE_NUMBER.sub("0", text) for text in some)
    form, having = forms.most_common(1)[0] if forms else ("", 0)
    is_short = 1 < len(form) <= LONGEST_FORM and len(form.split()) <= MOST_WORDS
    if not is_short or form.count("0") != 1 or having < SHARE * len(some) or len(some) < FEWEST_NUMBERS:
        return ""
    return next(text for text in some if _LONE_NUMBER.sub("0", text) == form)


def are_words(texts: Sequence[str]) -> bool:
    """Whether each text is one word of Latin letters and digits."""
    return all(_WORD.fullmatch(text.strip()) for text in _some(texts))


def unknown_suffixes(texts: Sequence[str]) -> list[str]:
    """The suffixes of texts that look like paths of files; empty where they do not."""
    some = [text.strip().strip("'\"") for text in _some(texts)]
    matches = [_PATH.fullmatch(text.replace("\\", "/")) for text in some]
    result = Counter(match[1].lower() for match in matches if match and match[1].lower() not in _DOMAINS)
    if result.total() < SHARE * len(some) or len(result) > max(2, len(some) // 10):
        return []
    return [f".{suffix}" for suffix, _ in result.most_common(3)]


def is_saved_index(column: str) -> bool:
    """Whether a column has the name that pandas gives to a table's index."""
    return _SAVED_INDEX.fullmatch(column) is not None


def is_id_name(column: str) -> bool:
    """Whether the name of a column suggests ids."""
    return _ID_NAME.fullmatch(column) is not None or _ID_NAME.fullmatch(column.lower()) is not None


def is_code_name(column: str) -> bool:
    """Whether the name of a column suggests that its numbers are codes, not quantities."""
    return _CODE_NAME.fullmatch(column) is not None
