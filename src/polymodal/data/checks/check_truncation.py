"""Items that a fit would truncate: texts, recordings and sequences longer than the input's limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from polymodal.config import InputConfig
from polymodal.data.checks.check_columns import Findings
from polymodal.data.checks.split_view import Parts
from polymodal.data.media.cells import MediaError
from polymodal.data.readers import Reader, TextReader
from polymodal.data.readers.items import check_count, each_item
from polymodal.data.tables.table import each_cell
from polymodal.data.values.column_values import as_label, holds_objects

COUNTED = 1000
"""Rows whose tokens are counted: more would not change the share that a person reads."""
LETTERS_A_TOKEN = 16
"""Of a longer text than this many letters for each token read, the tokens are estimated from its start."""
WORTH = 0.01
"""Share of the rows above which cutting is warned of."""
USUAL = 0.02
"""The same of recordings and sequences, whose default length holds 98 of 100 whole."""


def check_text_length(
    parts: Parts, name: str, config: InputConfig, reader: Reader | None, findings: Findings
) -> str:
    """Warn where texts are cut, and refuse cells of too many texts; how many are cut, in words.

    Args:
        parts: The splits.
        name: The input.
        config: Its settings.
        reader: Reads it; nothing is counted where it is no reader of texts.
        findings: Takes the warnings.
    """
    long = list(_long_rows(parts, name, config, reader, findings))
    total = sum(len(parts.tables[split]) for split in parts.having(name))
    if not isinstance(reader, TextReader) or not long:
        return ""
    chosen = long
    if len(long) > COUNTED:
        indices = np.random.default_rng(0).choice(len(long), COUNTED, replace=False)
        chosen = [long[position] for position in np.sort(indices)]
    counts = _tokens(parts, name, chosen, reader)
    cut = counts > reader.max_length
    if not cut.any():
        return ""
    share = float(cut.mean()) * len(long) / total
    sampled = f" (estimated from {len(chosen)} rows)" if len(long) > len(chosen) else ""
    words = f"{_percent(share)} of the rows cut at {reader.max_length} tokens{sampled}"
    if share > WORTH:
        reason = f"{_percent(share)} of the {total} rows have more than the {reader.max_length} tokens that "
        reason += f"are read, up to {counts.max():,}: the rest is cut{sampled}"
        fix = _text_cure(name, reader, int(counts.max()))
        split, index = chosen[int(cut.argmax())]
        findings.warnings.append(parts.problem(split, index, name, reason, cure=fix))
    return f", {words}"


def _long_rows(
    parts: Parts, name: str, config: InputConfig, reader: Reader | None, findings: Findings
) -> Iterator[tuple[str, int]]:
    """The rows whose texts may have more tokens than are read; a token has a byte at least.

    Normalizing may lengthen a text, which is why it may have half as many bytes.
    """
    most = reader.max_length if isinstance(reader, TextReader) else None
    for split in parts.having(name):
        values = parts.tables[split].values(name)
        may_list = holds_objects(values.type)
        for index, cell in enumerate(each_cell(values)):
            if may_list:
                try:
                    check_count(cell, config.modality, config.items)
                except MediaError as error:
                    more = {"expected": error.expected, "cure": error.cure}
                    findings.problems.append(parts.problem(split, index, name, error.found, **more))
                    continue
            if most is not None and _bytes(cell, config.modality) * 2 > most:
                yield split, index


def _bytes(cell: object, modality: str) -> int:
    """Bytes of the longest text in a cell."""
    if isinstance(cell, str):
        return len(cell.encode("utf-8", "surrogatepass"))
    texts = (as_label(text) for _, text in each_item(cell, modality))
    return max((len(text.encode("utf-8", "surrogatepass")) for text in texts), default=0)


def _tokens(parts: Parts, name: str, rows: Sequence[tuple[str, int]], reader: TextReader) -> np.ndarray:
    """Tokens of the longest text in each cell, ``(rows,)``; estimated from the start of a very long one."""
    columns = {split: parts.tables[split].values(name) for split in parts.having(name)}
    owners, texts = [], []
    for number, (split, index) in enumerate(rows):
        for _, text in each_item(columns[split][index].as_py(), reader.modality):
            owners.append(number)
            texts.append(text if isinstance(text, str) else as_label(text))
    starts = [text[: LETTERS_A_TOKEN * reader.max_length] for text in texts]
    scales = [len(text) / max(len(start), 1) for text, start in zip(texts, starts, strict=True)]
    most = np.zeros(len(rows), np.int64)
    np.maximum.at(most, owners, np.round(np.multiply(reader.lengths(starts), scales)).astype(np.int64))
    return most


def _text_cure(name: str, reader: TextReader, longest: int) -> str:
    limit = reader.most_tokens
    if limit is not None and reader.max_length >= limit:
        return f"The encoder reads no more than {limit}: shorten the texts, or give another encoder"
    enough = _round_up(longest) if limit is None else min(_round_up(longest), limit)
    return f"Raise inputs.{name}.max_length (to {enough}, at more time a step), or shorten the texts"


def _round_up(tokens: int) -> int:
    """``801`` → ``1024``, ``140`` → ``192``: in steps that are easy to read."""
    step = max(64, 2 ** int(np.log2(max(tokens, 1)))) // 2
    return -(-int(tokens) // step) * step


def cut_media(
    parts: Parts, name: str, reader: Reader | None, sizes: Sequence[tuple[float, ...]], findings: Findings
) -> None:
    """Warn where recordings or sequences are longer than what is kept.

    Args:
        parts: The splits.
        name: The input.
        reader: Reads it.
        sizes: Of each item measured, its seconds or steps first.
        findings: Takes the warnings.
    """
    if not sizes:
        return
    lengths = np.array([size[0] for size in sizes], dtype=np.float64)
    kept = reader.kept_length if reader is not None else None
    if reader is None or kept is None:
        return
    share = float((lengths > kept.value + kept.tolerance).mean())
    if share <= USUAL:
        return
    reason = (
        f"{_percent(share)} of {len(lengths)} {reader.noun}s measured are longer than the {kept.value:g} "
    )
    reason += f"{kept.unit} that are kept, up to {lengths.max():.4g} {kept.unit}: the rest is cut"
    fix = f"Raise inputs.{name}.{reader.length_setting}, or cut them into pieces that each have a row"
    if kept.is_fixed:
        most = f"The encoder reads no more than {kept.value:g} {kept.unit}"
        fix = f"{most}: cut them into pieces that each have a row"
    findings.warnings.append(parts.problem("train", None, name, reason, cure=fix))


def _percent(share: float) -> str:
    """``37 %``, ``0.4 %``; never ``0 %`` of something."""
    return f"{share:.0%}" if share >= 0.1 else f"{max(share, 0.001):.1%}"
