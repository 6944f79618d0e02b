"""A run whose language model generates answers: load, generate, embed, chat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from polymodal.artifact.capabilities import Capability, Kind
from polymodal.artifact.integrity import check_agreement, without_hub
from polymodal.artifact.weights import load_model
from polymodal.config import Declaration
from polymodal.config.parsing import load_yaml
from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.chat.messages import Conversation
from polymodal.data.chat.messages_reading import ConversationReader
from polymodal.data.chat.templates import RowReader
from polymodal.data.checks.findings import Findings, inspect_table
from polymodal.data.checks.rejected import ON_ERROR, SKIP, in_order
from polymodal.data.media.cells import MediaError
from polymodal.data.media.path_access import Root
from polymodal.data.tables.kept_columns import KeptColumns
from polymodal.data.tables.table import Table, read_table
from polymodal.data.values.missing import Marks
from polymodal.errors import DataError, Problem, RunError, did_you_mean
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.runs.answering import answer_rows, answer_turns, context_of, decoding, prompt_vectors
from polymodal.runs.core import RunBase
from polymodal.runs.row_errors import ReadRows
from polymodal.runs.streaming import stream_turn
from polymodal.training.language.conversation_rows import ConversationRows
from polymodal.training.language.language_opening import row_reader
from polymodal.utils.progress import obeying_quiet, progress

OUTPUT, MISSING = "output", "missing"
"""Column of answers whose template is not a single column, and column of the inputs that a row lacks."""


class GenerationRun(RunBase[PolymodalForConditionalGeneration, ConversationProcessor]):
    """A run whose language model generates answers.

    Attributes:
        generation: Section of its declaration with the templates of prompt and answer.
    """

    kinds = frozenset({Kind.words})

    def __init__(
        self,
        folder: Path,
        model: PolymodalForConditionalGeneration,
        processor: ConversationProcessor,
        declaration: Declaration,
        precision: str = "fp32",
    ) -> None:
        assert declaration.generation is not None
        super().__init__(folder, model, processor, declaration, precision)
        self.generation = declaration.generation
        processor.count = model.count_tokens

    @classmethod
    def read(cls, path: Path, precision: str) -> Self:
        """Read the language model, the processor and the declaration of a run folder."""
        model = load_model(path, PolymodalForConditionalGeneration)
        with without_hub():
            processor = ConversationProcessor.from_pretrained(path)
        declaration = load_yaml(path / "run.yaml")
        if not declaration.generation or list(processor.readers) != model.config.input_names:
            raise RunError(f"{path}: config.json and the other files are of different runs. Fit again")
        check_agreement(model.config, processor, path)
        return cls(path, model, processor, declaration, precision)

    @property
    def kind(self) -> Kind:
        """Words."""
        return Kind.words

    @property
    def column(self) -> str:
        """Name of the column of answers: the single column of the answers' template, else ``output``."""
        reader = row_reader(self.declaration, self.generation)
        answer = getattr(reader, "answer", None)
        alone = answer is not None and answer.text == "{" + "".join(answer.columns) + "}"
        return answer.columns[0] if answer is not None and alone else OUTPUT

    @obeying_quiet
    def generate(
        self,
        source: Any,
        *,
        batch_size: int = 32,
        on_error: str = "refuse",
        keep: str | Sequence[str] = (),
        quiet: bool = False,
        max_new_tokens: int | None = None,
        beams: int | None = None,
        sample: bool | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """Generate the answer to every row of a table, a DataFrame or a list of dicts, in their order.

        Inputs that all rows lack are named in an ``InputWarning``.

        Args:
            source: With the columns of the prompt, or of messages.
            batch_size: Rows per batch.
            on_error: With ``skip`` the answer to a row that cannot be read is empty, and a column ``error``
                has the reason.
            keep: Columns of the table that are put before the answers.
            quiet: Show no progress.
            max_new_tokens: Most tokens of an answer.
            beams: Beams of a beam search.
            sample: Draw tokens instead of taking the likeliest.
            temperature: Of drawn tokens.
            top_p: Of drawn tokens, the likeliest share.
            options: Any other option of Transformers' ``generate``.

        Returns:
            One row per row of ``source``, with the index of a DataFrame: the column of answers, and
            ``missing``, which names the inputs that the row lacks.

        Raises:
            DataError: If a row cannot be read, or a column is missing.
            ConfigError: If there is no such column to keep, or no such option.
        """
        table = read_table(source)
        chosen = decoding(
            self.generation.decoding,
            options
            | {
                "max_new_tokens": max_new_tokens, "beams": beams, "sample": sample,
                "temperature": temperature, "top_p": top_p,
            },
        )  # fmt: skip
        kept = KeptColumns(table, keep)
        frame = self._answer(table, chosen, batch_size, on_error)
        self.inspect(table).warn()
        return kept.beside(frame, np.arange(len(table)))

    predict = generate

    def _answer(self, table: Table, options: dict[str, Any], batch_size: int, on_error: str) -> pd.DataFrame:
        """Columns of answers and of the inputs that rows lack; with ``on_error="skip"`` also of errors."""
        problems: list[Problem] = []
        rows = self.readable(table, on_error, problems)
        outputs: dict[int, str] = {}
        made = answer_rows(self.model, rows, options, batch_size=batch_size, precision=self.precision)
        for batch, answers in made:
            outputs |= zip((int(rows.numbers[row]) for row in batch), answers, strict=True)
        lacking = dict(zip(map(int, rows.numbers), self._lacking(rows), strict=True))
        frame = pd.DataFrame({
            MISSING: pd.array([lacking.get(n) for n in table.places], dtype="string"),
            self.column: pd.array([outputs.get(n) for n in table.places], dtype="string"),
        })[list(dict.fromkeys([self.column, MISSING]))]  # fmt: skip
        if on_error == SKIP:
            messages = {problem.row: str(problem) for problem in problems}
            errors = [messages.get(int(number) + 1) for number in table.places]
            frame["error"] = pd.array(errors, dtype="string")
        return frame

    def _lacking(self, rows: ConversationRows) -> list[str]:
        """The inputs of the prompt that each row lacks, separated by commas."""
        held = [{media.input for media in row.encoded.media} for row in rows.rows]
        names = self._prompt_inputs(rows.reader)
        return [", ".join(name for name in names if name not in there) for there in held]

    def _prompt_inputs(self, reader: Any) -> list[str]:
        """The inputs that the prompt's template names; all inputs for messages, which may hold any."""
        names = reader.prompt.columns if isinstance(reader, RowReader) else list(self.processor.readers)
        return [name for name in self.processor.readers if name in names]

    def inspect(self, source: Any) -> Findings:
        """Findings about the inputs that the prompt names, such as columns that the table lacks.

        Raises:
            DataError: If the table cannot be read.
        """
        reader = row_reader(self.declaration, self.generation)
        names = self._prompt_inputs(reader) if isinstance(reader, RowReader) else []
        table = read_table(source).marking(Marks.of(self.declaration.data.missing))
        return inspect_table(table, {name: self.processor.readers[name] for name in names})

    def predict_batches(
        self,
        source: Any,
        batch_size: int = 32,
        probabilities: bool = False,
        on_error: str = "refuse",
        keep: str | Sequence[str] = (),
    ) -> Iterator[pd.DataFrame]:
        """Like :meth:`generate`, one DataFrame per batch, in constant memory.

        Raises:
            DataError: If a row cannot be read, or a column is missing.
            RunError: If ``probabilities`` is set: generated text has no probability per class.
            ConfigError: If there is no such column to keep.
        """
        if probabilities:
            self.require(Capability.probabilities)
        table = read_table(source)
        kept, chosen = KeptColumns(table, keep), decoding(self.generation.decoding)
        self.inspect(table).warn()
        for start in range(0, len(table), batch_size):
            indices = np.arange(start, min(len(table), start + batch_size))
            yield kept.beside(self._answer(table.select(indices), chosen, batch_size, on_error), indices)

    def rows(self, table: Table, *, reply: bool = True) -> ConversationRows:
        """The conversations of ``table``: prompts alone with ``reply``, else prompts and answers.

        Raises:
            DataError: If a column of the prompt is missing.
        """
        reader = row_reader(self.declaration, self.generation)
        table = table.marking(Marks.of(self.declaration.data.missing))
        wanted = [reader.column] if isinstance(reader, ConversationReader) else reader.prompt.columns
        lacking = [
            name for name in wanted if name not in table.columns and name not in self.declaration.inputs
        ]
        if lacking or not any(name in table.columns for name in wanted):
            reason = f"no column '{(lacking or wanted)[0]}' among {', '.join(table.columns)}"
            raise DataError(Problem(file=table.name, found=reason, expected="the columns of the prompt"))
        return ConversationRows(table, reader, self.processor, reply=reply, column=self.generation.messages)

    def readable(
        self,
        table: Table,
        on_error: str = "refuse",
        rejected: list[Problem] | None = None,
        *,
        too_long: str = "refuse",
    ) -> ConversationRows:
        """Read the prompts of ``table``; with ``skip`` only the rows that can be read.

        Args:
            table: The rows.
            on_error: ``refuse`` or ``skip``.
            rejected: Problems of skipped rows are appended to it.
            too_long: As ``generation.too_long``: ``leave_out`` also skips prompts that exceed the context.

        Raises:
            DataError: If a row cannot be read or fits no context, or a column is missing.
            RunError: If ``on_error`` has another value.
        """
        if on_error not in ON_ERROR:
            raise RunError(f"on_error is '{on_error}', expected {' or '.join(ON_ERROR)}")
        rows = self.rows(table)
        problems = rows.prepare()
        # At least one token of answer must fit.
        longer = rows.longer_than(self.context - 1) if self.context is not None else []
        refused = problems + longer * (too_long != "leave_out")
        if refused and on_error != SKIP:
            raise DataError(in_order(refused))
        problems += longer
        if rejected is not None:
            rejected += in_order(problems)
        rows.leave_out(problems)
        return rows

    def embed(
        self,
        source: Any,
        *,
        input: str | None = None,
        batch_size: int = 32,
        on_error: str = "refuse",
        quiet: bool = False,
    ) -> np.ndarray:
        """Vectors ``(rows, width of the language model)`` of the prompts of a table.

        The vector of a row is the last hidden state of the language model at the last token of its prompt,
        the one state that every token of the prompt contributes to (as E5-Mistral, Wang et al. 2024). With
        ``input`` it is the mean of the vectors that the connector makes of that input's items; NaN where the
        row has none.

        Args:
            source: With the columns of the prompt, or of messages.
            input: One of the run's inputs.
            batch_size: Rows per batch.
            on_error: ``skip`` gives NaN for a row that cannot be read.
            quiet: Show no progress.

        Raises:
            DataError: If a row cannot be read, or a column is missing.
            RunError: If there is no such input.
        """
        table = read_table(source)
        batches = self.embed_batches(table, input, batch_size, on_error)
        shown = progress(batches, "embedding", -(-len(table) // batch_size), quiet=quiet)
        return np.concatenate([vectors for vectors, _ in shown])

    def embed_batches(
        self, source: Any, input: str | None = None, batch_size: int = 32, on_error: str = "refuse"
    ) -> Iterator[tuple[np.ndarray, ReadRows]]:
        """Like :meth:`embed`, batch by batch: vectors and the rows that they are of."""
        names = self.model.config.input_names
        if input is not None and input not in names:
            raise RunError(f"{self.folder}: there is no input '{input}'. {did_you_mean(input, names)}")
        table = read_table(source)
        self.inspect(table).warn()
        for start in range(0, len(table), batch_size):
            indices = np.arange(start, min(len(table), start + batch_size))
            problems: list[Problem] = []
            part = table.select(indices)
            rows = self.readable(part, on_error, problems)
            vectors = np.full((len(indices), self.model.config.get_text_config().hidden_size), np.nan)
            at = np.searchsorted(part.places, rows.numbers)
            if len(rows):
                turns = [rows[index] for index in range(len(rows))]
                vectors[at] = prompt_vectors(self.model, self.processor, turns, input, self.precision)
            known = {int(number) + 1: index for number, index in zip(part.places, indices, strict=True)}
            by_row: dict[int, list[Problem]] = {}
            for problem in problems:
                by_row.setdefault(int(known[problem.row or 0]), []).append(problem)
            yield vectors.astype(np.float32), ReadRows(indices, by_row)

    @property
    def context(self) -> int | None:
        """Context length of the language model in tokens; None if its configuration does not declare one."""
        return context_of(self.model)

    def chat(
        self,
        messages: Sequence[Any],
        *,
        stream: bool = False,
        root: str | Root = None,
        max_new_tokens: int | None = None,
        beams: int | None = None,
        sample: bool | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        **options: Any,
    ) -> Any:
        """The answer to a conversation in the Transformers chat format, whose last message is the user's.

        Args:
            messages: ``{"role", "content"}`` each; content a text, or parts of type text, image, ….
            stream: Give the answer piece by piece, as it is made.
            root: The folder that relative paths start from; or, as a
                :class:`polymodal.data.media.path_access.MediaAccess`, also which files may be named.
            max_new_tokens: Most tokens of an answer.
            beams: Beams of a beam search.
            sample: Draw tokens instead of taking the likeliest.
            temperature: Of drawn tokens.
            top_p: Of drawn tokens, the likeliest share.
            options: Any other option of Transformers' ``generate``.

        Returns:
            The text; with ``stream`` an iterator over its pieces, which may be closed before its end.

        Raises:
            MediaError: If a message or an item cannot be read.
        """
        folder = Path(root) if isinstance(root, str) else root
        turn = self.processor.encode(self.conversation(messages), folder, reply=True)
        self._require_room(len(turn.encoded.ids))
        chosen = decoding(
            self.generation.decoding,
            options
            | {
                "max_new_tokens": max_new_tokens, "beams": beams, "sample": sample,
                "temperature": temperature, "top_p": top_p,
            },
        )  # fmt: skip
        if stream:
            return stream_turn(self.model, self.processor, turn, chosen, self.precision)
        return answer_turns(self.model, self.processor, [turn], chosen, self.precision)[0]

    def _require_room(self, tokens: int) -> None:
        """Raise if a conversation of ``tokens`` leaves no room for an answer in the model's context."""
        if self.context and tokens >= self.context:
            reason = f"a conversation of {tokens} tokens, and the language model's context is {self.context}"
            raise MediaError(found=reason, cure="Begin anew, or say less.")

    def conversation(self, messages: Sequence[Any]) -> Conversation:
        """Parse messages in the Transformers chat format.

        Raises:
            MediaError: If they do not have this format.
        """
        reader = row_reader(self.declaration, self.generation)
        between = "\n"
        if isinstance(reader, RowReader):  # the separator of the training rows
            written = reader.prompt.beside(reader.inputs)
            between = written if written.isspace() else between
        chat_reader = ConversationReader(inputs=reader.inputs, between=between)
        return chat_reader.read({"messages": list(messages)})
