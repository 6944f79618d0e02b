"""Tasks: one object per kind of target, which joins its target reader, head and metrics; one file per task.

To add one: a head (:mod:`polymodal.models.heads`), metrics (:mod:`polymodal.evaluation.metrics`) and a
subclass of :class:`Task` here; how its cells are read is one of :mod:`polymodal.data.targets`.
"""

from polymodal.tasks.base import TASKS, Answered, Task, Tuned, Tuning, reader_name, score_of, task_of
from polymodal.tasks.classification import Classification
from polymodal.tasks.multilabel import Multilabel
from polymodal.tasks.ordinal import Ordinal
from polymodal.tasks.regression import Regression

__all__ = [
    "TASKS", "Answered", "Classification", "Multilabel", "Ordinal", "Regression", "Task", "Tuned", "Tuning",
    "reader_name", "score_of", "task_of",
]  # fmt: skip
