"""Classes as vectors of the texts that name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from polymodal.data.readers import TextReader
from polymodal.data.tables.table import read_table
from polymodal.embedding_eval.probe_table import Reading, unit
from polymodal.errors import RunError, did_you_mean

if TYPE_CHECKING:
    from polymodal.run import Run

GAP = "{}"
"""Where the name of the class goes; alone it is the plainest prompt."""


def class_vectors(
    run: Run, classes: Sequence[str], prompts: Sequence[str], name: str, asked: Reading
) -> np.ndarray:
    """Unit vectors ``(classes, width)``: of each class the mean of its prompts' unit vectors.

    An ensemble of prompts in the space of the vectors (Radford et al. 2021, section 3.1.4).

    Args:
        run: Shares a space.
        classes: Their names.
        prompts: See :func:`check_prompts`.
        name: The input of text that reads them.
        asked: How much at once.
    """
    texts = [{name: prompt.replace(GAP, entry)} for entry in classes for prompt in prompts]
    reading = Reading(batch_size=asked.batch_size, quiet=asked.quiet)
    vectors = reading.vectors(run, read_table(texts, name="prompts"), "encoding prompts")
    of_class = unit(vectors.inputs[name]).reshape(len(classes), len(prompts), -1)
    return unit(of_class.mean(axis=1))


def check_prompts(prompts: Sequence[str]) -> None:
    """See that each has a place for the name of a class.

    Raises:
        RunError: If one has none, or there is no prompt.
    """
    if not prompts:
        raise RunError(f"no prompts, expected one or more such as 'a drawing of {GAP}'")
    for prompt in prompts:
        if GAP not in prompt:
            raise RunError(f"the prompt '{prompt}' has no {GAP}, where the name of the class goes")


def prompt_reader(run: Run, name: str | None) -> str:
    """The input that reads prompts: ``name``, or the only one of text.

    Raises:
        RunError: If the run has no input of text, or several and none is named, or ``name`` is none.
    """
    readers = run.processor.readers
    texts = [entry for entry, reader in readers.items() if reader.modality == TextReader.modality]
    if not texts:
        reads = ", ".join(f"{entry} ({reader.modality})" for entry, reader in readers.items())
        raise RunError(f"{run.folder}: no input reads text, so no class can be named to it. It reads {reads}")
    if name is not None and name not in texts:
        known = f"an input of {readers[name].modality}" if name in readers else "no input"
        raise RunError(
            f"{run.folder}: '{name}' is {known}, expected one of text. {did_you_mean(name, texts)}"
        )
    if name is None and len(texts) > 1:
        cure = "Name the one that is to read the prompts with --prompt-input (prompt_input=)"
        raise RunError(f"{run.folder}: several inputs read text ({', '.join(texts)}). {cure}")
    return name or texts[0]
