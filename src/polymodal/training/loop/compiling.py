"""`train.torch_compile`: what a batch looks like for it, and what is said where compiling fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import TrainingArguments

from polymodal.data.processor import Form
from polymodal.errors import RunError, one_line


def batch_form(arguments: TrainingArguments) -> Form:
    """Only what is there, in batches; blanks beside it where compiled code wants one shape in all of them."""
    if arguments.torch_compile:
        return "dense"
    return "idle" if arguments.world_size > 1 else "items"


@contextmanager
def compiling(arguments: TrainingArguments) -> Iterator[None]:
    """Say in a line what ``torch.compile`` says in many.

    Raises:
        RunError: If the model cannot be compiled, as where there is no compiler.
    """
    if not arguments.torch_compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        backend, said = arguments.torch_compile_backend, one_line(str(error).splitlines()[0], 200)
        cure = "Leave train.torch_compile out, or give another train.torch_compile_backend"
        raise RunError(f"the model cannot be compiled by '{backend}': {said}. {cure}") from error
