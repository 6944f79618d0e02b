"""How the values of a column are written: spellings read as one value or as two, marks of a missing one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import pyarrow.compute as pc

from polymodal.data.checks.split_view import Parts
from polymodal.data.readers.base import content_of
from polymodal.data.readers.content import Content
from polymodal.data.targets import target_content
from polymodal.data.values.column_values import as_labels, is_textual
from polymodal.data.values.labels import readable_labels
from polymodal.data.values.missing import number_marks
from polymodal.data.values.spelling import as_label
from polymodal.data.values.vocabulary import Vocabulary, value_names
from polymodal.errors import Problem

EXAMPLES = 3


def check_values(parts: Parts, name: str, separator: str | None = None) -> list[Problem]:
    """Warnings of a column of categories, classes, labels, groups or texts: at most one of each kind."""
    is_labels = parts.holds(name) is Content.LABELS
    texts = _label_texts(parts, name, separator) if is_labels else _texts(parts, name)
    warnings = _unmarked(parts, name, texts)
    if parts.holds(name) is not Content.TEXT:
        warnings += _alike(parts, name, texts)
    return warnings


def count_marks(parts: Parts, name: str, modality: str | None) -> dict[str, int]:
    """How many cells of a column are empty by a mark, by the mark, over all splits; the commonest first."""
    counts: Counter[str] = Counter()
    for split in parts.having(name):
        table = parts.tables[split]
        values = table.raw(name)
        marked = table.missing.marked(values)
        if marked is not None:
            cells = values.filter(marked)
            counts.update(cells.to_pylist() if is_textual(values.type) else as_labels(cells).tolist())
    if (target_content(modality) or content_of(modality)) is Content.NUMBER:
        texts = _texts(parts, name)
        counts |= Counter({text: texts[text] for text in number_marks(texts)})
    merged: Counter[str] = Counter()
    for text, count in counts.items():
        merged[text.strip()] += count
    return dict(sorted(merged.items(), key=lambda entry: (-entry[1], entry[0])))


def describe_marks(marks: dict[str, int]) -> str:
    """``12 cells empty by mark: 'NA' 8, '?' 4``."""
    total = sum(marks.values())
    listed = ", ".join(f"'{mark}' {count:,}" for mark, count in list(marks.items())[:EXAMPLES])
    return f"{total:,} cell{'s' * (total != 1)} empty by mark: {listed}" if marks else ""


def _texts(parts: Parts, name: str) -> Counter[str]:
    """How often each text occurs in a column of texts, as it was given, over all splits."""
    counts: Counter[str] = Counter()
    for split in parts.having(name):
        values = parts.tables[split].raw(name)
        if is_textual(values.type):
            counted = pc.value_counts(values)
            pairs = zip(counted.field("values"), counted.field("counts"), strict=True)
            counts.update({text.as_py(): count.as_py() for text, count in pairs if text.is_valid})
    return counts


def _label_texts(parts: Parts, name: str, separator: str | None) -> Counter[str]:
    counts: Counter[str] = Counter()
    for split in parts.having(name):
        table = parts.tables[split]
        for labels in readable_labels(table.values(name), separator, table.missing, written=True):
            counts.update(labels or ())
    return counts


def _unmarked(parts: Parts, name: str, texts: Counter[str]) -> list[Problem]:
    """A warning where common marks of a missing value are read as values."""
    missing = parts.train.missing
    counts: Counter[str] = Counter()
    for text in number_marks(texts):
        if not missing.stands_for_empty(text):
            counts[text.strip()] += texts[text]
    if not counts:
        return []
    listed = _listed(f"{count:,} cell{'s' * (count != 1)} '{mark}'" for mark, count in counts.most_common())
    in_use = missing.given or [mark for mark in map(str.strip, texts) if missing.stands_for_empty(mark)]
    marks = ", ".join(_quoted(mark) for mark in dict.fromkeys([*counts, *in_use]))
    fix = f"If they stand for a missing value: data.missing: [{marks}] makes them empty."
    is_one = counts.total() == 1
    reason = f"{listed} {'is read as a value' if is_one else 'are read as values'}"
    return [parts.problem("train", None, name, reason, cure=fix)]


def _quoted(mark: str) -> str:
    return mark if mark.isalpha() else f'"{mark}"'


def _alike(parts: Parts, name: str, texts: Counter[str]) -> list[Problem]:
    """A warning where values differ only in how they are written, or texts are read as one value."""
    names = parts.names(name) or Vocabulary(value_names(texts))
    read: dict[str, dict[str, int]] = defaultdict(dict)
    for text, count in texts.items():
        label = "" if parts.train.missing.stands_for_empty(text) else names.label(text)
        if label:
            read[label][text] = count
    counts = {label: sum(written.values()) for label, written in read.items()}
    groups = [
        *_differing(counts),
        *_in_two_spellings(counts),
        *_read_as_one(read),
    ]
    if not groups:
        return []
    fix = "Write alike what means the same."
    return [parts.problem("train", None, name, "; ".join(groups), cure=fix)]


def _differing(counts: dict[str, int]) -> list[str]:
    folded: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        folded["".join(label.casefold().split())].append(label)
    groups = [sorted(labels) for labels in folded.values() if len(labels) > 1]
    shown = _listed(_both(labels, counts) for labels in sorted(groups))
    return [f"values that differ only in case or blanks: {shown}"] if groups else []


def _in_two_spellings(counts: dict[str, int]) -> list[str]:
    meant: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        meant[as_label(label)].append(label)
    groups = [sorted(labels) for labels in meant.values() if len(labels) > 1]
    shown = _listed(_both(labels, counts) for labels in sorted(groups))
    return [f"numbers in two spellings, which are two values: {shown}"] if groups else []


def _read_as_one(read: dict[str, dict[str, int]]) -> list[str]:
    groups = [sorted(written) for written in read.values() if len(written) > 1]
    shown = _listed(" and ".join(ascii(text) for text in written[:EXAMPLES]) for written in sorted(groups))
    return [f"texts that are read as one value: {shown}"] if groups else []


def _both(labels: list[str], counts: dict[str, int]) -> str:
    return " and ".join(f"'{label}' ({counts[label]:,})" for label in labels[:EXAMPLES])


def _listed(examples: Iterable[str]) -> str:
    """The first examples, and how many more there are."""
    every = list(examples)
    more = f" and {len(every) - EXAMPLES} more" if len(every) > EXAMPLES else ""
    return ", ".join(every[:EXAMPLES]) + more
