"""From a table or a YAML file to everything a training of a language model needs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from polymodal.config import DataConfig, Declaration, GenerationConfig, StageConfig
from polymodal.config.parsing import located, parse
from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.chat.chat_tokenizer import check_tokenizer, train_language_tokenizer
from polymodal.data.chat.messages_reading import ConversationReader, with_items
from polymodal.data.chat.templates import RowReader
from polymodal.data.media.cells import MediaError
from polymodal.data.preparation import prepare_rows
from polymodal.data.schema.infer import guess_modality
from polymodal.data.tables.table import Table
from polymodal.errors import Problem
from polymodal.evaluation.text_metrics import WORD_METRICS
from polymodal.models.connectors import CONNECTORS
from polymodal.training.declaration.candidate_choice import settle_models
from polymodal.training.declaration.language_validation import (
    check_stage,
    refuse_idle,
    require_columns,
    stage_train,
)
from polymodal.training.declaration.sections import check_parts
from polymodal.training.declaration.source import read_declared_table, resolve
from polymodal.training.declaration.splitting import split_and_skip
from polymodal.training.language.language_check import check_language
from polymodal.training.language.language_inputs import LanguageInputs
from polymodal.training.language.language_job import LanguageJob, Stage
from polymodal.training.loop.defaults import fill_in
from polymodal.training.read_rows import open_cache
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.inheritance import take_over_words
from polymodal.training.warm_start.start import Start, open_declared_start
from polymodal.utils.hub import load_pretrained

TUNING_EPOCHS = 3
"""By default, where the language model came with weights."""
WHOLE = "train"
"""Name of a single stage."""


def open_language_job(request: FitRequest, read: LanguageInputs) -> LanguageJob:
    """Complete the declaration of a language model fit from the table, and open its job.

    Args:
        request: Its ``inputs`` are columns that an encoder reads, beside those that hold media.
        read: Its sections and its table.

    Raises:
        ConfigError: If the declaration has an unknown setting.
        DataError: If a table cannot be read or lacks what is declared.
    """
    declared, table, own = read.declared, read.table, read.own
    values, lines, written = declared.values, declared.lines, declared.written
    begun = open_declared_start(declared, words=True)
    if begun and own is not None:
        take_over_words(begun, values, own, table=table.name, source=written, lines=lines)
    declaration = parse(values, source=written, lines=lines)
    known = begun.encoders if begun else {}
    chosen = settle_models(declaration, table, request, of_run=declared.is_of_run, known=known)
    check_parts(declaration, written, lines, known=known)
    _check_words(declaration, written, lines)
    job = _opened(declaration, table, declared.folder, begun)
    job.notes += chosen
    return job


def _check_words(declaration: Declaration, written: str, lines: Mapping[tuple, int]) -> None:
    """Refuse metrics, connectors and stages that do not exist.

    Raises:
        ConfigError: With the line of the setting.
    """
    with located(written, lines, "generation", "metrics"):
        for name in (declaration.generation.metrics or ()) if declaration.generation else ():
            _ = WORD_METRICS[name]
    for name, entry in declaration.inputs.items():
        with located(written, lines, "inputs", name, "connector"):
            _ = CONNECTORS[entry.connector.type if entry.connector else "mlp"]
    for name in declaration.stages:
        with located(written, lines, "stages", name):
            check_stage(name, declaration)


def _opened(declaration: Declaration, table: Table, folder: Path | None, begun: Start | None) -> LanguageJob:
    generation = declaration.generation
    assert generation is not None
    declaration.stages = declaration.stages or {WHOLE: StageConfig()}
    modalities = {name: entry.modality for name, entry in declaration.inputs.items()}
    splits, numbers, rejected = split_and_skip(table, declaration, folder)
    require_columns(generation, splits.values(), "generation")
    column = generation.messages
    columns = {
        name: with_items(part, column, modalities) if column else part for name, part in splits.items()
    }
    _fill_in(declaration, len(splits["train"]))
    stages = [_stage(name, declaration, splits, folder, rejected) for name in declaration.stages]
    reader = row_reader(declaration, generation)
    refuse_idle(declaration, [reader, *(stage.reader for stage in stages)])
    known = begun.readers(columns["train"], declaration.inputs) if begun else {}
    readers = prepare_rows(columns["train"], declaration.inputs, {}, known).readers
    tokenizer, vocabulary, notes = _tokenizer(generation, stages, begun)
    # What is not read as an input is no less a word of a template: nothing is in doubt.
    guesses = [replace(guess_modality(table, name), doubt="") for name in table.columns]
    return LanguageJob(
        declaration=declaration, guesses=guesses, splits=splits, numbers=numbers, table=table,
        processor=ConversationProcessor(readers, tokenizer), columns=columns, stages=stages, reader=reader,
        vocabulary=vocabulary, cache=open_cache(declaration.data), notes=notes, rejected=rejected,
        folder=folder, checker=check_language, start=begun,
        opener=lambda other: _opened(other, table, folder, begun),
    )  # fmt: skip


def _fill_in(declaration: Declaration, rows: int) -> None:
    """Choose what ``train`` leaves open; a language model that knows words needs few epochs."""
    train, generation = declaration.train, declaration.generation
    assert generation is not None
    if train.epochs is None and generation.language_model.checkpoint:
        train.epochs = TUNING_EPOCHS
    if train.modality_dropout is None and generation.messages:
        train.modality_dropout = 0.0
    if train.metric is None:
        train.metric = "loss"
    fill_in(train, rows)


def _stage(
    name: str,
    declaration: Declaration,
    splits: dict[str, Table],
    folder: Path | None,
    rejected: list[Problem],
) -> Stage:
    """A stage with its own rows, if it declares a table; problems of these are appended to ``rejected``."""
    generation, stage = declaration.generation, declaration.stages[name]
    assert generation is not None
    own = {key: getattr(stage, key) for key in ("prompt", "answer", "messages") if getattr(stage, key)}
    chosen = generation
    if own:
        base = {} if "messages" in own else {"messages": None}
        cleared = {"prompt": None, "answer": None} if "messages" in own else {}
        chosen = generation.model_copy(update=base | cleared | own)
    if stage.data is not None:
        path = resolve(stage.data, folder)
        table = read_declared_table(path, declaration.data, folder)
        splits, _, wrong = split_and_skip(table, _of_its_own(declaration), folder)
        rejected += [problem for problem in wrong if problem not in rejected]
    if own or stage.data is not None:
        require_columns(chosen, (splits["train"], splits["validation"]), f"stages.{name}")
    train = stage_train(name, declaration)
    fill_in(train, len(splits["train"]))
    return Stage(name, stage, train, splits, row_reader(declaration, chosen), chosen.messages)


def _of_its_own(declaration: Declaration) -> Declaration:
    """The declaration of a stage's own table: files of validation and test rows go with ``data.train``."""
    default, data = DataConfig(), declaration.data
    shares = {
        "validation": default.validation if isinstance(data.validation, str) else data.validation,
        "test": 0.0 if isinstance(data.test, str) else data.test,
    }
    return declaration.model_copy(update={"data": data.model_copy(update=shares)})


def row_reader(declaration: Declaration, generation: GenerationConfig) -> RowReader | ConversationReader:
    """The reader that converts a row to a conversation: from messages, or by templates."""
    modalities = {name: entry.modality for name, entry in declaration.inputs.items()}
    if generation.messages:
        return ConversationReader(inputs=modalities, column=generation.messages)
    assert generation.prompt is not None
    return RowReader(
        prompt=generation.prompt, answer=generation.answer, system=generation.system, inputs=modalities
    )


def _tokenizer(
    generation: GenerationConfig, stages: Sequence[Stage], begun: Start | None
) -> tuple[PreTrainedTokenizerBase, int | None, list[str]]:
    """The language model's tokenizer, ready for conversations; its tokens before; what was done to it.

    The tokens are None for the tokenizer of a run, which holds those that its fit added.
    """
    checkpoint = generation.language_model.checkpoint
    continues = begun is not None and begun.speaks
    if begun and continues and isinstance(begun.processor, ConversationProcessor):
        tokenizer = copy.deepcopy(begun.processor.tokenizer)
    elif checkpoint:
        tokenizer = load_pretrained(AutoTokenizer, checkpoint)
    else:
        tokenizer = train_language_tokenizer(_texts(stages), generation.vocabulary)
    where = checkpoint or "the tokenizer of the data"
    vocabulary = None if continues else len(tokenizer)
    return tokenizer, vocabulary, check_tokenizer(tokenizer, generation.chat_template, where)


def _texts(stages: Sequence[Stage]) -> Iterator[str]:
    """Texts of the conversations in the training rows."""
    for stage in stages:
        for row in stage.splits["train"].rows():
            try:
                conversation = stage.reader.read(row)
            except MediaError:
                continue  # the check names it
            for message in conversation:
                yield from (part for part in message.parts if isinstance(part, str))
