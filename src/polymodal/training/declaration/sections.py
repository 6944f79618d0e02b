"""Checks across the sections of a declaration, before any file is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymodal.config import Declaration
from polymodal.config.parsing import located
from polymodal.training.declaration.augmentation_check import check_changes
from polymodal.training.declaration.target_checks import check_targets
from polymodal.training.declaration.validation import (
    check_checkpointing,
    check_encoder,
    check_fusions,
    check_layer_decay,
    check_objectives,
    check_weighting,
)
from polymodal.training.loop.arguments import CHECKPOINTING, check_argument, training_arguments
from polymodal.training.loop.defaults import fill_in


def check_parts(
    declaration: Declaration,
    source: str,
    lines: Mapping[tuple, int],
    fusions: Sequence[str] = (),
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Check the parts that a declaration names and their options, before any file is read.

    Args:
        declaration: To check.
        source: Its name in messages.
        lines: Line of each key path, for messages.
        fusions: Names of fusions to compare, if several are fitted.
        known: By input the settings of an encoder that comes from an earlier run.

    Raises:
        ConfigError: If an encoder, fusion, head, metric or field of TrainingArguments does not exist.
    """
    check_targets(declaration, source, lines)
    train, known = declaration.train, known or {}
    for name, value in train.arguments.items():
        with located(source, lines, "train", name):
            check_argument(name, value)
    with located(source, lines, "train"):
        trial = train.model_copy()
        fill_in(trial, 1)
        training_arguments(trial, Path(), 1)
    with located(source, lines, "train", "weighting"):
        check_weighting(declaration)
    with located(source, lines, "objectives"):
        check_objectives(declaration)
    with located(source, lines, "fusion"):
        check_fusions(declaration.fusion, fusions, list(declaration.inputs))
    for name, entry in declaration.inputs.items():
        with located(source, lines, "inputs", name, "encoder"):
            check_encoder(entry, known.get(name))
        with located(source, lines, "inputs", name):
            check_changes(entry)
    with located(source, lines, "train", "layer_decay"):
        check_layer_decay(train.layer_decay, declaration.inputs, known)
    for name in CHECKPOINTING:
        if train.arguments.get(name) and not declaration.generation:  # a language model has such layers
            with located(source, lines, "train", name):
                check_checkpointing(declaration.inputs, known)
