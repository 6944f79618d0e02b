"""Prompts that show the answer: the answer's own column, a copy of it, or a column from which it follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymodal.data.chat.messages import ASSISTANT, Conversation
from polymodal.data.chat.templates import RowReader, Template, text_of
from polymodal.data.checks.check_derived import giveaways
from polymodal.data.checks.split_view import Parts
from polymodal.data.media.cells import MediaError
from polymodal.data.readers.base import Content, content_of
from polymodal.data.tables.table import Table
from polymodal.data.targets import ClassTarget
from polymodal.errors import Problem
from polymodal.training.language.language_job import LanguageJob, Stage

FEWEST_ROWS = 10
LOOKED_AT = 2000
SURE = 0.97
MORE_THAN_OTHERS = 0.6  # share of the rows that show their own answer, and not another row's
ROWS_AN_ANSWER, TIMES_OF_CLASSES = 5, 40  # answers that come back so often are classes: a sentence says one
TIMES = 10  # a text longer than so many answers may be one to pick the answer from
CURE = "If it is not known when asking, leave it out of the prompt"


def shown_answers(job: LanguageJob) -> list[Problem]:
    """A warning for each column, or part of the messages, that shows what is to be answered."""
    warnings: list[Problem] = []
    for stage in job.stages:
        table = stage.splits["train"]
        found = (
            _in_templates(job, stage, table)
            if isinstance(stage.reader, RowReader)
            else _in_messages(stage, table)
        )
        warnings += [problem for problem in found if problem not in warnings]
    return warnings


def _in_templates(job: LanguageJob, stage: Stage, table: Table) -> list[Problem]:
    reader = stage.reader
    assert isinstance(reader, RowReader)
    if reader.answer is None:
        return []
    columns = [name for name in reader.prompt.columns if name not in reader.inputs]
    own = [name for name in columns if name in reader.answer.columns]
    found = [_problem(table, name, "the answer is made of it, and the prompt shows it") for name in own]
    rows = list(table.rows(_chosen(table)))
    for name in (name for name in columns if name not in own):
        pairs = [(text_of(row.get(name), name), _answer(stage, row)) for row in rows]
        share = _share_shown(pairs)
        if share:
            found.append(_problem(table, name, f"its text contains the answer in {share:.1%} of the rows"))
    named = {problem.column for problem in found}
    return found + _followed(job, table, reader.answer, [name for name in columns if name not in named])


def _followed(job: LanguageJob, table: Table, answer: Template, columns: Sequence[str]) -> list[Problem]:
    """Columns of numbers and categories from which an answer follows that is one column."""
    if len(answer.columns) != 1 or answer.text.strip() != "{" + answer.columns[0] + "}":
        return []
    kinds = {guess.column: guess.modality for guess in job.guesses}
    roles = {name: str(kinds.get(name)) for name in columns if _is_plain(kinds.get(name))}
    parts = Parts({"train": table}, {}, roles | {answer.columns[0]: ClassTarget.task})
    return giveaways(parts, list(roles), answer.columns[0])


def _is_plain(modality: str | None) -> bool:
    """Whether the cells of a column are numbers or categories."""
    return content_of(modality) in (Content.NUMBER, Content.CATEGORY)


def _in_messages(stage: Stage, table: Table) -> list[Problem]:
    pairs = []
    for row in table.rows(_chosen(table)):
        conversation = _read(stage, row)
        if conversation and conversation[-1].role == ASSISTANT:
            asked = "\n".join(message.text for message in conversation[:-1])
            pairs.append((asked, conversation[-1].text))
    share = _share_shown(pairs)
    found = f"what is asked contains the answer in {share:.1%} of the rows"
    return [_problem(table, stage.column, found)] if share else []


def _share_shown(pairs: Sequence[tuple[str, str]]) -> float:
    """The share of texts that contain the answer beside them; 0 where it is no surprise, or there are few."""
    known = [(text.casefold(), answer.strip().casefold()) for text, answer in pairs if answer.strip()]
    come_back = len({answer for _, answer in known}) * ROWS_AN_ANSWER <= len(known)
    times = TIMES_OF_CLASSES if come_back else TIMES
    if len(known) < FEWEST_ROWS or np.median([len(text) / len(answer) for text, answer in known]) > times:
        return 0.0
    share = float(np.mean([answer in text for text, answer in known]))
    order = np.random.default_rng(0).permutation(len(known))
    others = [
        (text, known[place][1])
        for (text, own), place in zip(known, order, strict=True)
        if known[place][1] != own
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
    except MediaError:  # which the check names
        return ()


def _chosen(table: Table) -> np.ndarray:
    if len(table) <= LOOKED_AT:
        return np.arange(len(table))
    return np.sort(np.random.default_rng(0).choice(len(table), LOOKED_AT, replace=False))


def _problem(table: Table, column: str | None, found: str) -> Problem:
    return Problem(file=table.name, column=column, found=found, cure=CURE)
