"""From declaration and training split to the readers: sizes, rates, vocabularies, scales, classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polymodal.config import InputConfig, TargetConfig
from polymodal.data.readers import READERS, Reader
from polymodal.data.readers.columns import TrainingColumns
from polymodal.data.row_processor import RowProcessor
from polymodal.data.tables.table import Table
from polymodal.data.targets import TARGETS


def prepare_rows(
    train: Table,
    inputs: Mapping[str, InputConfig],
    targets: Mapping[str, TargetConfig],
    known: Mapping[str, Reader] | None = None,
    *,
    held_by: int = 1,
) -> RowProcessor:
    """The readers of a declaration; what it learns from data it learns from the training split alone.

    Args:
        train: The training split.
        inputs: By name.
        targets: By name.
        known: Readers that some of the inputs have already; they learn nothing more.
        held_by: Training rows that each edge of a number's bins is the mean of.

    Raises:
        ConfigError: If the processor of a checkpoint cannot be had.
    """
    readers: dict[str, Reader] = dict(known or {})
    inputs_left = {name: config for name, config in inputs.items() if name not in readers}
    for names in shared_inputs(inputs_left):
        config = inputs[names[0]]
        kind = READERS[config.modality]
        for group in kind.readable_together(train, names, config):
            reader = kind.fit(TrainingColumns(train, group, config, kind.split_items, held_by))
            reader.items = config.items
            readers |= dict.fromkeys(group, reader)
    return RowProcessor(
        {name: readers[name] for name in inputs},
        {name: TARGETS[config.family].fit(train, name, config) for name, config in targets.items()},
        train.missing,
    )


def shared_inputs(inputs: Mapping[str, InputConfig]) -> list[list[str]]:
    """Inputs by the encoder they share: those of one modality and equal settings, unless 'share' is off."""
    groups: dict[Any, list[str]] = {}
    for name, config in inputs.items():
        shares = config.share and READERS[config.modality].may_share
        groups.setdefault(config.model_dump_json() if shares else name, []).append(name)
    return list(groups.values())
