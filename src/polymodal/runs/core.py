"""Base class of runs: a folder with a model, its processor and its declaration."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from polymodal.artifact.capabilities import CAPABILITIES, Capability, Kind, require
from polymodal.artifact.run_folder import kind_of, require_files, write_run
from polymodal.artifact.run_list import test_metrics
from polymodal.artifact.sample_files import copy_samples
from polymodal.config import Declaration
from polymodal.data.tables.table import Table
from polymodal.evaluation.number_text import metric
from polymodal.utils.atomic import writing
from polymodal.utils.device import check_precision, find_device
from polymodal.utils.overview import Overview, Overviewed

if TYPE_CHECKING:  # runs of plain models need no torch
    from polymodal.data.processor import PolymodalProcessor
    from polymodal.models.base import PolymodalPreTrainedModel

M = TypeVar("M", bound="PolymodalPreTrainedModel")
P = TypeVar("P", bound="PolymodalProcessor")
K = TypeVar("K")

PREDICTION = "polymodal.runs.prediction_run"
MODULES = {Kind.heads: PREDICTION, Kind.space: PREDICTION, Kind.words: "polymodal.runs.generation_run"}
"""Where the class of a kind of run is: one that is not loaded is not imported, for it may need torch."""


class RunBase(Overviewed, Generic[M, P]):
    """A trained model with its processor and declaration.

    Attributes:
        folder: Where it lies.
        model: In evaluation mode.
        processor: Feeds the model.
        declaration: What the run was made from.
        precision: What the model computes in: ``fp32``, ``bf16`` or ``fp16``.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset()
    """The kinds of run that a class reads; its subclasses read the same."""
    fitted_to: Table | None = None
    """The table in memory that the run was fitted to, after the fit in the same process."""

    def __init__(
        self, folder: Path, model: M, processor: P, declaration: Declaration, precision: str = "fp32"
    ) -> None:
        self.folder, self.declaration, self.precision = folder, declaration, precision
        self._model, self._processor = model, processor
        model.eval()

    @property
    def model(self) -> M:
        """The model, in evaluation mode."""
        return self._model

    @property
    def processor(self) -> P:
        """The processor, which feeds the model."""
        return self._processor

    @property
    def parameters(self) -> int:
        """The number of weights of its neural models."""
        return self.model.num_parameters()

    def place(self, device: str | None) -> None:
        """Move the model to a device; by default a GPU if there is one.

        Raises:
            ConfigError: If this machine has no such device.
        """
        self.model.to(find_device(device))  # type: ignore[arg-type]

    def as_kind(self, kind: Callable[..., K]) -> K:
        """The same run as another class, such as one with more analyses."""
        return kind(self.folder, self._model, self._processor, self.declaration, self.precision)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = None, precision: str = "fp32") -> Self:
        """Load the run in ``folder``; :class:`RunBase` itself loads the subclass of the run's kind.

        Args:
            folder: The run folder that a fit wrote.
            device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; by default a GPU if there is one.
            precision: ``fp32``, or ``bf16`` or ``fp16`` for speed; the weights are not converted.

        Raises:
            RunError: If the folder does not exist or is incomplete, or its run is of another kind.
            ConfigError: If this machine has no such device, or there is no such precision.
        """
        path = Path(folder)
        check_precision(precision)  # refused before anything is read
        if device not in (None, "cpu"):
            find_device(device)
        require_files(path)
        kind = kind_of(path)
        run = cls._class_for(kind, path).read(path, precision)
        run.place(device)
        return run

    @classmethod
    def _class_for(cls, kind: Kind, path: Path) -> type[Self]:
        """The class that loads a kind of run: ``cls``, or for :class:`RunBase` one of its subclasses."""
        if not cls.kinds:
            import_module(MODULES[kind])  # a subclass is known once its module is imported
            return next(each for each in cls.__subclasses__() if kind in each.kinds)
        if kind not in cls.kinds:
            words = Capability.generate if Kind.words in cls.kinds else Capability.explain
            require(kind, words, path)
        return cls

    @classmethod
    @abstractmethod
    def read(cls, path: Path, precision: str) -> Self:
        """Read a complete run folder to the CPU.

        Args:
            path: The folder, checked already.
            precision: Floating-point format of computations.

        Raises:
            RunError: If its files cannot be read, or are of different runs.
        """

    def overview(self) -> Overview:
        """Inputs, targets and test metrics, by the files of the folder."""
        config = self.declaration
        reads = ", ".join(f"{name} ({entry.modality})" for name, entry in config.inputs.items())
        answers = ", ".join(f"{name} ({entry.task})" for name, entry in config.targets.items())
        lines = [f"reads {reads}" if reads else "", f"predicts {answers}" if answers else ""]
        metrics = test_metrics(self.folder)
        rows = [
            (name, key, metric(key, value)) for name, own in metrics.items() for key, value in own.items()
        ]
        page = self.folder / "report.html"
        lines.append(f"report: {page}" if page.is_file() else "")
        heads = ("target", "metric", "test rows")
        return Overview(f"Run in {self.folder}", heads, tuple(rows), tuple(filter(None, lines)))

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """Kind of the run, by its output."""

    @property
    def targets(self) -> list[str]:
        """The target columns that its heads predict."""
        return []

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Operations that the run supports."""
        return CAPABILITIES[self.kind]

    def __dir__(self) -> list[str]:
        """The names of what the run supports: methods of other kinds of run refuse in one line."""
        lacking = tuple(entry.value for entry in Capability if entry not in self.capabilities)
        return [name for name in super().__dir__() if name not in lacking and name not in _batched(lacking)]

    def require(self, capability: Capability) -> None:
        """Raise if the run lacks a capability.

        Raises:
            RunError: If ``capability`` is not among :attr:`capabilities`.
        """
        require(self.kind, capability, self.folder, self.targets)

    def save(self, folder: str | Path) -> None:
        """Write model, processor, declaration and samples to ``folder``; one with the weights is complete.

        Raises:
            RunError: If it cannot be written, as when the disk is full.
        """
        with writing(folder):
            self.write(Path(folder))
            copy_samples(self.folder, Path(folder))

    def write(self, folder: Path) -> None:
        """Like :meth:`save`, but raises ``OSError`` if writing fails."""
        write_run(folder, self.model, self.processor, self.declaration)


def _batched(names: Iterable[str]) -> set[str]:
    """The methods that do the same batch by batch."""
    return {f"{name}_batches" for name in names}


AnyRun = RunBase[Any, Any]
"""A run of whichever kind."""
