"""The base of candidates: one kind of model for all targets, fitted, kept in a folder, loaded again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from polymodal.answers.plain_answers import PlainAnswers
from polymodal.data.readers import Reader
from polymodal.utils.registry import Registry

if TYPE_CHECKING:  # plain candidates need no torch
    from polymodal.models.blend_members import Member
    from polymodal.training.prediction_job import PredictionJob

Loaded: TypeAlias = "tuple[Member, Mapping[str, Reader]]"
"""The models of a candidate, and by input its reader."""
HELD_OUT = ("validation", "test")
"""The splits that no candidate is fitted to before the blend is chosen."""
FEW = 200
"""Validation rows below which plain models are also compared out of fold, and a model that these rows chose
something of gets a large share only for a clear gain."""


@dataclass(frozen=True)
class Tried:
    """What a candidate came to, fitted to the training rows alone.

    Attributes:
        models: By target that it predicts, the names of its models.
        answers: By split (``validation``, ``test``), target and model ``(rows, classes)`` probabilities or
            ``(rows,)`` numbers.
        seconds: By model, of its fit.
        out_of_fold: By target and model the answers to the training rows by models that were fitted without
            them; empty where a candidate does not make them.
        notes: What was left out and why, a line each.
        seen_validation: Whether the validation rows chose something of its models, such as the epoch, so that
            their losses on these rows are too small.
    """

    models: dict[str, list[str]]
    answers: dict[str, dict[str, dict[str, np.ndarray]]]
    seconds: dict[str, float]
    notes: list[str] = field(default_factory=list)
    out_of_fold: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    seen_validation: bool = False


class Candidate(ABC):
    """One kind of model that a fit may try. A subclass of another package is an entry point of the group
    ``polymodal.candidates``.

    Args:
        job: The fit: checked rows, readers of the targets.
        folder: Of the candidate, inside the run folder.

    Attributes:
        name: The name it is registered under; that of its models begins with it.
        needs_torch: Whether it does: then its models answer as a :meth:`member`, otherwise also by
            :meth:`plain_answers`.
        of_all_processes: Whether all processes of a distributed fit take part; otherwise the main one alone.
        needs: Candidates that are fitted before it, since it takes parts of their models; a blend with it
            holds them too.
        share: Of the time that is left, relative to the candidates after it.
        others: Those of ``needs``, fitted.
        deadline: Of the next step, such as :meth:`fit`; what it is too short for is left out, with a note.
        whole: The deadline of this candidate and those after it together.
        parts: Of that time, in how many such as this candidate's it is divided.
        alone: Whether no other candidate was fitted before, so that a poor one is better than none.
        later_seconds: After :meth:`fit`, what :meth:`finish` and one more answer to the test rows take.
        fitted_again: After :meth:`finish`, whether it fitted its models to the validation rows as well.
    """

    name: ClassVar[str] = ""
    needs_torch: ClassVar[bool] = True
    of_all_processes: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    share: ClassVar[float] = 1.0

    def __init__(self, job: PredictionJob, folder: Path) -> None:
        self.job, self.folder, self.deadline = job, folder, job.deadline
        self.whole, self.parts = job.deadline, 1.0
        self.others: Mapping[str, Candidate] = {}
        self.alone, self.later_seconds, self.fitted_again = True, 0.0, False

    def refusal(self) -> str:
        """Why it cannot be fitted here, in one line; empty if it can."""
        return ""

    def prepare(self) -> str:
        """Build what it fits, before any candidate is fitted; returns what it is in a few words.

        Raises:
            PolymodalError: If it cannot be built.
        """
        return ""

    @abstractmethod
    def fit(self, *, resume: bool, quiet: bool) -> Tried:
        """Fit to the training rows, and answer the rows held out.

        Args:
            resume: Go on from what an interrupted fit left in the folder.
            quiet: Show no progress.

        Raises:
            PolymodalError: If it cannot be fitted; the others can be without it.
            OutOfTime: If there is too little time for it.
        """

    @property
    def log(self) -> dict[str, Any]:
        """The log of the training of a neural model; empty without one."""
        return {}

    @abstractmethod
    def finish(self, used: Mapping[str, Collection[str]], *, quiet: bool) -> list[str]:
        """Keep the models that the blend uses, and write them into the folder.

        Args:
            used: By target, the names of the models with a weight above 0; maybe none.
            quiet: Show no progress.

        Returns:
            What the user should know of it, a line each.

        Raises:
            RunError: If the folder cannot be written.
        """

    @staticmethod  # noqa: B027
    def write_member(member: Member, folder: Path) -> None:
        """Write a member that may have been changed since it was loaded over what :meth:`finish` wrote.

        Args:
            member: As :meth:`load` returned it.
            folder: A copy of the one that :meth:`finish` wrote; members that cannot be changed leave it.
        """

    @abstractmethod
    def member(self) -> Member:
        """The models as members of a blend, after :meth:`finish`."""

    @abstractmethod
    def readers(self) -> Mapping[str, Reader]:
        """By input, its reader; inputs that it does not read are absent."""

    def cached_readers(self) -> Mapping[str, Reader]:
        """By input, what hands on an encoder's outputs for test rows, all of which are kept; else absent."""
        return {}

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, inputs: Sequence[str]) -> tuple[Member, Mapping[str, Reader]]:
        """The member and the readers that :meth:`finish` wrote; nothing of the folder is executed.

        Raises:
            RunError: If a file is missing or is not what a fit writes.
        """

    @classmethod
    def load_beside(cls, folder: Path, inputs: Sequence[str], others: Mapping[str, Loaded]) -> Loaded:
        """As :meth:`load`, given the candidates of the blend that were loaded before: ``needs`` too."""
        return cls.load(folder, inputs)

    def plain_answers(self) -> PlainAnswers:
        """The models of a candidate that needs no torch, after :meth:`finish`."""
        raise TypeError(f"the candidate '{self.name}' answers by its member")

    @classmethod
    def load_plain(cls, folder: Path, inputs: Sequence[str]) -> tuple[PlainAnswers, Mapping[str, Reader]]:
        """As :meth:`load`, of a candidate that needs no torch.

        Raises:
            RunError: If a file is missing or is not what a fit writes.
        """
        raise TypeError(f"the candidate '{cls.name}' answers by its member")


CANDIDATES: Registry[type[Candidate]] = Registry("candidate", group="polymodal.candidates", base=Candidate)
"""Candidates by name, in the order in which a fit tries them."""
