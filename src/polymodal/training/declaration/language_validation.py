"""Refuses what the sections ``generation`` and ``stages`` cannot tell by themselves."""

from __future__ import annotations

from collections.abc import Iterable

from polymodal.config import Declaration, GenerationConfig, TrainConfig
from polymodal.config.parsing import parse
from polymodal.data.chat.messages_reading import ConversationReader
from polymodal.data.chat.sources import KINDS
from polymodal.data.chat.templates import RowReader, Template
from polymodal.data.tables.table import Table
from polymodal.errors import ConfigError, DataError, Problem, did_you_mean, one_line
from polymodal.training.language.conversation_rows import RowToConversation
from polymodal.training.loop.arguments import check_argument
from polymodal.training.loop.model_selection import metric_name


def check_stage(name: str, declaration: Declaration) -> None:
    """Refuse a stage that is trained in no way there is, or in which nothing learns.

    Raises:
        ConfigError: If it is one.
    """
    stage, inputs = declaration.stages[name], declaration.inputs
    train = stage_train(name, declaration)
    try:
        for key, value in train.arguments.items():
            check_argument(key, value)
        metric_name(train.metric, {})
    except ConfigError as error:
        raise ConfigError(f"stages.{name}: {error}") from None
    frozen = all(entry.freeze for entry in inputs.values())
    learners = {"language_model": True, "connectors": bool(inputs), "encoders": not frozen}
    if not any(learners[part] for part in stage.learn):
        found = "every encoder is frozen" if inputs else "there is no input"
        listed = " and ".join(stage.learn)
        raise ConfigError(f"stages.{name}: only {listed} learn, and {found}. Add language_model to 'learn'")


def stage_train(name: str, declaration: Declaration) -> TrainConfig:
    """How a stage is trained: as ``train`` says, and over it as the stage does.

    Raises:
        ConfigError: If a value is of a wrong type.
    """
    given = declaration.train.model_dump() | declaration.stages[name].train
    return parse({"train": given}, source=f"stages.{name}").train


def require_columns(asked: GenerationConfig, tables: Iterable[Table], where: str) -> None:
    """See that tables hold the columns that are asked with and answered by.

    Args:
        asked: Templates, or the column of messages.
        tables: Of all splits.
        where: The section that declares it, for messages.

    Raises:
        ConfigError: If a template names no column at all.
        DataError: One line for each column that a table lacks.
    """
    wanted = {f"{where}.messages": [asked.messages] if asked.messages else []}
    for role in ("prompt", "answer"):
        text = getattr(asked, role)
        if text is None:
            continue
        place = f"{where}.{role}"
        wanted[place] = Template(text, where=place).columns
        if not wanted[place]:
            found = f"'{one_line(text, 200)}' names no column, and would be the same in every row"
            raise ConfigError(f"{place}: {found}. Write {{column}} where a column's cell goes")
    problems = [
        Problem(file=table.name, found=f"no column '{column}' for {place}",
                cure=did_you_mean(column, table.columns))
        for table in tables
        for place, columns in wanted.items()
        for column in columns
        if column not in table.columns
    ]  # fmt: skip
    if problems:
        raise DataError(list(dict.fromkeys(problems)))  # the splits of one file all lack the same


def refuse_idle(declaration: Declaration, readers: Iterable[RowToConversation]) -> None:
    """Refuse an input whose items stand in no conversation: its encoder would never run.

    Raises:
        ConfigError: At the first one.
    """
    read: set[str] = set()
    for reader in readers:
        if isinstance(reader, RowReader):
            read.update(reader.prompt.columns)
        elif isinstance(reader, ConversationReader):
            read.update(name for name, modality in reader.inputs.items() if modality in KINDS)
    for name, entry in declaration.inputs.items():
        if name not in read:
            cure = f"Write {{{name}}} where its items go in generation.prompt"
            if declaration.generation and declaration.generation.messages:
                cure = f"Messages hold items of {', '.join(KINDS)}"
            found = f"'{name}' ({entry.modality}) stands in no conversation and would not be read"
            raise ConfigError(f"inputs: {found}. {cure}, or leave it out")
