"""Checks across the sections ``generation``, ``stages`` and ``inputs``, and against the tables."""

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
from polymodal.training.loop.defaults import metric_name


def check_stage(name: str, declaration: Declaration) -> None:
    """Check the training settings of a stage, and that it has parameters to train.

    Raises:
        ConfigError: If a setting is invalid or every learning part is frozen.
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
        reason = "every encoder is frozen" if inputs else "there is no input"
        listed = " and ".join(stage.learn)
        raise ConfigError(f"stages.{name}: only {listed} learn, and {reason}. Add language_model to 'learn'")


def stage_train(name: str, declaration: Declaration) -> TrainConfig:
    """Training settings of a stage: section ``train``, overridden by those of the stage.

    Raises:
        ConfigError: If a value has the wrong type.
    """
    given = declaration.train.model_dump() | declaration.stages[name].train
    return parse({"train": given}, source=f"stages.{name}").train


def require_columns(templates: GenerationConfig, tables: Iterable[Table], where: str) -> None:
    """Check that tables have the columns of prompts, answers and messages.

    Args:
        templates: Templates of prompt and answer, or the column of messages.
        tables: Of all splits.
        where: The section that declares it, for messages.

    Raises:
        ConfigError: If a template names no column at all.
        DataError: One line for each column that a table lacks.
    """
    wanted = {f"{where}.messages": [templates.messages] if templates.messages else []}
    for role in ("prompt", "answer"):
        text = getattr(templates, role)
        if text is None:
            continue
        location = f"{where}.{role}"
        wanted[location] = Template(text, where=location).columns
        if not wanted[location]:
            reason = f"'{one_line(text, 200)}' names no column, and would be the same in every row"
            raise ConfigError(f"{location}: {reason}. Write {{column}} where a column's cell goes")
    problems = [
        Problem(file=table.name, found=f"no column '{column}' for {location}",
                cure=did_you_mean(column, table.columns))
        for table in tables
        for location, columns in wanted.items()
        for column in columns
        if column not in table.columns
    ]  # fmt: skip
    if problems:
        raise DataError(list(dict.fromkeys(problems)))  # splits of one file lack the same columns


def refuse_idle(declaration: Declaration, readers: Iterable[RowToConversation]) -> None:
    """Check that every input is in a conversation: otherwise its encoder would never run.

    Raises:
        ConfigError: At the first input that is in none.
    """
    read: set[str] = set()
    for reader in readers:
        if isinstance(reader, RowReader):
            read.update(reader.prompt.columns)
        elif isinstance(reader, ConversationReader):
            read.update(name for name, modality in reader.inputs.items() if modality in KINDS)
    for name, entry in declaration.inputs.items():
        if name not in read:
            fix = f"Write {{{name}}} where its items go in generation.prompt"
            if declaration.generation and declaration.generation.messages:
                fix = f"Messages hold items of {', '.join(KINDS)}"
            reason = f"'{name}' ({entry.modality}) stands in no conversation and would not be read"
            raise ConfigError(f"inputs: {reason}. {fix}, or leave it out")
