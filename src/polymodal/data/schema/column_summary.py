"""The content of a column, in a few words and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # lists of runs write numbers, and read no table
    from polymodal.data.checks.split_view import Parts


def brief(number: float) -> str:
    """A number as a person reads it: ``1,255,000``, ``12.5``, ``0.0246``."""
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e15 else f"{number:.4g}"


def describe_numbers(parts: Parts, name: str) -> str:
    """``−3.1 … 12, 14 distinct``."""
    columns = [parts.numbers(split, name)[0] for split in parts.having(name)]
    numbers = np.concatenate(columns)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return ""
    low, high = (brief(number).replace("-", "−") for number in (numbers.min(), numbers.max()))
    written = f", written as {parts.formats[name]}" if parts.formats.get(name) else ""
    return f"{low} … {high}, {len(np.unique(numbers))} distinct{written}"


def describe_classes(parts: Parts, name: str, what: str) -> str:
    """``10 classes, rarest 'x' 12 rows``; over all splits."""
    labels = np.concatenate([parts.labels(split, name) for split in parts.having(name)])
    names, counts = np.unique(labels[labels != ""].astype(str), return_counts=True)
    if not len(names):
        return ""
    rarest = int(counts.argmin())
    rows = "row" if counts[rarest] == 1 else "rows"
    return f"{len(names)} {what}, rarest '{names[rarest]}' {counts[rarest]} {rows}"


def describe_text(parts: Parts, name: str) -> str:
    """``3.2 words a cell, at most 12``."""
    words = np.array(
        [len(label.split()) for split in parts.having(name) for label in parts.labels(split, name)]
    )
    words = words[words > 0]
    return f"{words.mean():.1f} words a cell, at most {words.max()}" if len(words) else ""
