"""Target columns: how the cells of each task are read, split, and given back as answers; one file per kind.

A task (:mod:`polymodal.tasks`) joins such a reader with a head and metrics. The reader lives here, below the
models, since the schema, the checks and the splits need it before any model exists.
"""

from polymodal.data.targets.base import (
    IGNORED,
    LARGEST,
    TARGETS,
    Refusal,
    TargetReader,
    target_content,
)
from polymodal.data.targets.classification import ClassTarget, class_names
from polymodal.data.targets.multilabel import LabelsTarget
from polymodal.data.targets.regression import NumberTarget

__all__ = [
    "IGNORED", "LARGEST", "TARGETS",
    "ClassTarget", "LabelsTarget", "NumberTarget", "Refusal", "TargetReader",
    "class_names", "target_content", "target_reader",
]  # fmt: skip


def target_reader(task: str, *settings: object, **named: object) -> TargetReader:
    """The reader registered for ``task``; for the other arguments see :class:`TargetReader`.

    Raises:
        ConfigError: If no target is registered under that name.
    """
    return TARGETS[task](*settings, **named)  # type: ignore[arg-type]
