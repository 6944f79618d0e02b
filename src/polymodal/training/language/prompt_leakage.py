"""Leakage checks of prompts: held-out rows with the prompt of a training row, and prompts with the answer."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from polymodal.data.cache.memory import cell_key
from polymodal.data.chat.messages import ASSISTANT, Conversation
from polymodal.data.chat.templates import RowReader, Template, text_of
from polymodal.data.checks.check_derived import giveaways
from polymodal.data.checks.split_view import Parts
from polymodal.data.media.cells import MediaError
from polymodal.data.readers.base import content_of
from polymodal.data.readers.content import Content
from polymodal.data.tables.table import Table
from polymodal.data.targets import ClassTarget
from polymodal.errors import Problem
from polymodal.training.language.conversation_rows import ConversationRows, Row
from polymodal.training.language.language_job import LanguageJob, Stage

REPEATED_FIX = "Leave them out, or split by a column that keeps them together (data.group)."


def repeated_prompts(job: LanguageJob) -> list[Problem]:
    """A warning per split with rows whose prompt (text and items) equals that of a training row."""
    learned: dict[Hashable, int] = {}
    for stage in job.stages:
        for index, key in _prompts(stage.rows["train"]):
            learned.setdefault(key, int(stage.rows["train"].numbers[index]) + 1)
    warnings = []
    for split, rows in job.asked.items():
        again = [(index, learned[key]) for index, key in _prompts(rows) if key in learned]
        if again:
            index, same = again[0]
            reason = (
                f"{len(again)} of {len(rows)} {split} rows have the prompt of a training row, "
                f"this one of row {same}"
            )
            row = int(rows.numbers[index]) + 1
            warnings.append(Problem(file=rows.table.name, row=row, found=reason, cure=REPEATED_FIX))
    return warnings


def _prompts(rows: ConversationRows) -> Iterator[tuple[int, Hashable]]:
    """Index and key of the prompt of each row; without rows of empty prompts."""
    for index, row in enumerate(rows.rows):
        if row.encoded.media or not rows.keeps_one:
            prompt = row.encoded.ids if rows.reply else _prompt(row)
            yield index, (prompt.tobytes(), *_items(rows, row))


def _prompt(row: Row) -> np.ndarray:
    """The tokens before the last answer."""
    learned = row.encoded.learned
    starts = np.flatnonzero(learned & ~np.r_[False, learned[:-1]])
    return row.encoded.ids[: starts[-1]]


def _items(rows: ConversationRows, row: Row) -> Iterator[Hashable]:
    for media in row.encoded.media:
        key = cell_key(media.cell)
        yield rows.table.root, id(media) if key is None else key  # an item without a key equals no other


FEWEST_ROWS = 10
LOOKED_AT = 2000
SURE = 0.97
MORE_THAN_OTHERS = 0.6  # share of rows that contain their own answer, and not another row's
ROWS_AN_ANSWER, TIMES_OF_CLASSES = (
    5,
    40,
)  # answers that recur this often are classes
TIMES = 10  # a text longer than this many answers may be one to extract the answer from
ANSWER_FIX = "If it is not known when asking, leave it out of the prompt"


def shown_answers(job: LanguageJob) -> list[Problem]:
    """A warning per column, or part of the messages, that contains the answer."""
    warnings: list[Problem] = []
    for stage in job.stages:
        table = stage.splits["train"]
        result = (
            _in_templates(job, stage, table)
            if isinstance(stage.reader, RowReader)
            else _in_messages(stage, table)
        )
        warnings += [problem for problem in result if problem not in warnings]
    return warnings


def _in_templates(job: LanguageJob, stage: Stage, table: Table) -> list[Problem]:
    reader = stage.reader
    assert isinstance(reader, RowReader)
    if reader.answer is None:
        return []
    columns = [name for name in reader.prompt.columns if name not in reader.inputs]
    own = [name for name in columns if name in reader.answer.columns]
    result = [_problem(table, name, "the answer is made of it, and the prompt shows it") for name in own]
    rows = list(table.rows(_chosen(table)))
    for name in (name for name in columns if name not in own):
        pairs = [(text_of(row.get(name), name), _answer(stage, row)) for row in rows]
        share = _share_shown(pairs)
        if share:
            result.append(_problem(table, name, f"its text contains the answer in {share:.1%} of the rows"))
    named = {problem.column for problem in result}
    return result + _followed(job, table, reader.answer, [name for name in columns if name not in named])


def _followed(job: LanguageJob, table: Table, answer: Template, columns: Sequence[str]) -> list[Problem]:
    """Columns of numbers and categories that determine an answer of one column."""
    if len(answer.columns) != 1 or answer.text.strip() != "{" + answer.columns[0] + "}":
        return []
    kinds = {guess.column: guess.modality for guess in job.guesses}
    roles = {name: str(kinds.get(name)) for name in columns if _is_plain(kinds.get(name))}
    parts = Parts({"train": table}, {}, roles | {answer.columns[0]: ClassTarget.task})
    return giveaways(parts, list(roles), answer.columns[0])


def _in_messages(stage: Stage, table: Table) -> list[Problem]:
    pairs = []
    for row in table.rows(_chosen(table)):
        conversation = _read(stage, row)
        if conversation and conversation[-1].role == ASSISTANT:
            prompt = "\n".join(message.text for message in conversation[:-1])
            pairs.append((prompt, conversation[-1].text))
    share = _share_shown(pairs)
    reason = f"the prompt contains the answer in {share:.1%} of the rows"
    return [_problem(table, stage.column, reason)] if share else []


def _share_shown(pairs: Sequence[tuple[str, str]]) -> float:
    """The share of prompts that contain their answer; 0 where it is expected, or there are few."""
    known = [(text.casefold(), answer.strip().casefold()) for text, answer in pairs if answer.strip()]
    come_back = len({answer for _, answer in known}) * ROWS_AN_ANSWER <= len(known)
    times = TIMES_OF_CLASSES if come_back else TIMES
    if len(known) < FEWEST_ROWS or np.median([len(text) / len(answer) for text, answer in known]) > times:
        return 0.0
    share = float(np.mean([answer in text for text, answer in known]))
    order = np.random.default_rng(0).permutation(len(known))
    others = [
        (text, known[index][1])
        for (text, own), index in zip(known, order, strict=True)
        if known[index][1] != own
    ]
    if share < SURE or not others:
        return 0.0
    return share if share - np.mean([answer in text for text, answer in others]) >= MORE_THAN_OTHERS else 0.0


def _answer(stage: Stage, row: dict) -> str:
    conversation = _read(stage, row)
    return conversation[-1].text if conversation and conversation[-1].role == ASSISTANT else ""


def _read(stage: Stage, row: dict) -> Conversation:
    try:
        return stage.reader.read(row)
    except MediaError:  # reported by the check
        return ()


def _chosen(table: Table) -> np.ndarray:
    if len(table) <= LOOKED_AT:
        return np.arange(len(table))
    return np.sort(np.random.default_rng(0).choice(len(table), LOOKED_AT, replace=False))


def _problem(table: Table, column: str | None, reason: str) -> Problem:
    return Problem(file=table.name, column=column, found=reason, cure=ANSWER_FIX)


def _is_plain(modality: str | None) -> bool:
    """Whether the cells of a column are numbers or categories."""
    return content_of(modality) in (Content.NUMBER, Content.CATEGORY)
