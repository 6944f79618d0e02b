"""Training steps whose rows go through the model in parts, where memory is too small for all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from transformers import TrainingArguments

from polymodal.errors import RunError, setting
from polymodal.models.modeling import LearningModel
from polymodal.models.objectives.batch_view import some_rows
from polymodal.utils.out_of_memory import free_memory, is_out_of_memory
from polymodal.utils.progress import note

T = TypeVar("T")
Form = Literal["parts", "pieces", "whole", "pack"]
"""How a batch can go through the model: in parts, each with a loss of its own, whose sum is that of the
batch; with only the encoders in pieces, for losses that compare rows; whole; or as one row, a pack."""
WORDS = {2: "two", 4: "four", 8: "eight"}


class BatchParts:
    """How many rows of a batch go through the model at once: half as many after each failure.

    The loss and the steps stay those of the whole batch, so that the schedule, checkpoints and what is
    learned do not depend on the memory, but for rounding and what is drawn by chance. Several processes have
    to agree on their batches: there the first failure is an error.

    Args:
        arguments: Of the training; its batch size of evaluations is changed.

    Attributes:
        rows: At most as many at once; None: all of a batch.
        form: How a batch can become smaller.
        pack: Tokens of a pack.
        notes: What was changed, a line each.
    """

    def __init__(self, arguments: TrainingArguments) -> None:
        self.arguments, self.notes = arguments, list[str]()
        self.rows: int | None = None
        self.form: Form = "parts"
        self.pack: int | None = None
        self._step: list[Any] = []
        self._random: RandomState | None = None

    def of(self, batch: Any) -> list[Any]:
        """A batch in parts that fit: itself, where all its rows do."""
        if self.rows is None or self.form != "parts" or rows_of(batch) <= self.rows:
            return [batch]
        return list(parts_of(batch, self.rows))

    def step(self, batch: Any, work: Callable[[Any], Tensor], begin_again: Callable[[], None]) -> Tensor:
        """The loss of a batch by ``work``, which adds its gradient.

        After a failure all batches of the step so far are done again, with the same random numbers.

        Args:
            batch: The next one of the step.
            work: On a batch.
            begin_again: Removes the gradients of the step.

        Raises:
            RunError: If memory is too small, and the rows at once cannot be fewer.
        """
        self._step.append(batch)
        if self._random is None:
            self._random = RandomState(self.arguments.device)
        random, todo = self._random, [batch]

        def again() -> None:
            begin_again()
            random.restore()
            todo[:] = self._step

        return self._until_it_fits(
            lambda: [work(each) for each in todo][-1], again, lambda: self._halve(batch)
        )

    def end_step(self) -> None:
        """The next batch begins a step."""
        self._step, self._random = [], None

    def evaluation(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, which evaluates; with fewer rows at once where memory is too small.

        Raises:
            RunError: If memory is too small, and the rows at once cannot be fewer.
        """
        random = RandomState(self.arguments.device)
        return self._until_it_fits(work, random.restore, self._halve_evaluation)

    def _until_it_fits(self, work: Callable[[], T], again: Callable[[], None], halve: Callable[[], str]) -> T:
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                line = halve() if self.arguments.world_size == 1 else ""
                if not line:
                    raise self.too_little_memory() from error
            free_memory()  # only here, where the frames of the error, and what they computed, are gone
            self.notes.append(f"out of memory with {line}")
            note(self.notes[-1])
            again()

    def _halve(self, batch: Any) -> str:
        """Let fewer rows of a batch at once, in words; an empty text if they cannot be."""
        whole = rows_of(batch)
        before = min(whole, self.rows or whole)
        if before == 1 or self.form not in ("parts", "pieces"):
            return ""
        self.rows = before // 2
        if self.form == "pieces":
            return f"{before} rows at once: goes on with {self.rows}, and compares all {whole} of a batch"
        usual = max(whole, self.arguments.per_device_train_batch_size)
        batches = -(-usual // self.rows) * self.arguments.gradient_accumulation_steps
        in_words = f"{WORDS.get(batches, batches)} batches per step"
        return f"{before} rows per batch: goes on with {self.rows}, and {in_words}"

    def _halve_evaluation(self) -> str:
        """The same of an evaluation; where losses compare rows, its batch stays as it is."""
        rows = self.arguments.per_device_eval_batch_size
        before = min(rows, self.rows or rows) if self.form == "pieces" else rows
        if before == 1 or self.form == "whole":
            return ""
        if self.form == "pieces":
            self.rows = before // 2
        else:
            self.arguments.per_device_eval_batch_size = before // 2
        return f"{before} rows per batch of the evaluation: goes on with {before // 2}"

    def too_little_memory(self) -> RunError:
        """The error of a training whose device has too little memory, with the setting that may help."""
        kind, rows = self.arguments.device.type, self.rows or self.arguments.per_device_train_batch_size
        if self.pack:
            batch, fix = f"packs of {self.pack} tokens", setting("generation.pack", self.pack // 2)
        elif rows > 1:
            batch, fix = f"a batch of {rows} rows", setting("train.batch_size", rows // 2)
        else:
            batch = "a single row"
            fix = "more memory" if kind == "cpu" else setting("train.device", "cpu")
        return RunError(
            f"{kind}: out of memory in training with {batch}. Fit with {fix}, or a smaller encoder"
        )


def rows_of(batch: Mapping[str, Any]) -> int:
    """The number of rows of a batch, of cells or of conversations; several packed in one are one."""
    return len(batch["index"] if "index" in batch else batch["input_ids"])


def parts_of(batch: Mapping[str, Any], rows: int) -> Iterator[dict[str, Any]]:
    """A batch in parts of at most ``rows`` rows, in order; padding stays that of the batch.

    Those of batches for objectives have ``part``, the share of the batch's rows that they hold.
    """
    whole = rows_of(batch)
    for start in range(0, whole, rows):
        part = {name: _part(name, value, start, start + rows) for name, value in batch.items()}
        yield part | ({"part": rows_of(part) / whole} if "contents" in batch else {})


def _part(name: str, value: Any, start: int, stop: int) -> Any:
    """An entry of a batch for the rows from ``start`` to ``stop``."""
    if isinstance(value, Tensor):
        return value[start:stop]
    if name == "inputs":
        return {key: some_rows(values, start, stop) for key, values in value.items()}
    return {key: _part(key, values, start, stop) for key, values in value.items()}


def form_of(model: LearningModel) -> Form:
    """How a batch can become smaller without another loss."""
    objectives = [objective for _, objective in model.named_objectives()]
    if not model.named_heads():
        return "whole" if any(objective.whole for objective in objectives) else "pieces"
    return "whole" if any(objective.compares for objective in objectives) else "parts"


class RandomState:
    """The state of torch's random numbers on the CPU and a device.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.cpu = device, torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        """Let the same numbers be drawn again."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)
