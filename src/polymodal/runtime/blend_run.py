"""An export of several models, the weighted mean of whose answers is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from polymodal.answers.plain_blend import ArrayAnswers, PlainAnswers, blend_logits
from polymodal.data.media.path_access import Root
from polymodal.data.row_processor import RowProcessor, items_of
from polymodal.errors import RunError
from polymodal.plain.blocks import Blocks
from polymodal.plain.model import PlainModel
from polymodal.plain.plain_readers import check_inputs, load_readers
from polymodal.runtime.array_processor import read_rows
from polymodal.runtime.exported_run import Cells, ExportedRun
from polymodal.runtime.manifest import CANDIDATES, FILE, ONNX, Manifest
from polymodal.runtime.onnx_run import OnnxRun


class Member(Protocol):
    """One candidate of a blend."""

    @property
    def modalities(self) -> dict[str, str]:
        """By input that it reads its modality."""

    def answers(self, rows: Cells, root: Root, first: int) -> tuple[ArrayAnswers, dict[str, np.ndarray]]:
        """By target and by model its answers to rows; and by input ``(rows,)`` bool, whether a row has it.

        Raises:
            DataError: Every cell that cannot be read, with its row and column.
        """


class NeuralMember:
    """A neural model in a blend.

    Args:
        name: Of the candidate, and of its only model.
        run: Its export.
    """

    def __init__(self, name: str, run: OnnxRun) -> None:
        self.name, self.run = name, run

    @property
    def modalities(self) -> dict[str, str]:
        """See :class:`Member`."""
        return self.run.inputs

    def answers(self, rows: Cells, root: Root, first: int) -> tuple[ArrayAnswers, dict[str, np.ndarray]]:
        """See :class:`Member`."""
        logits, present = self.run.logits(rows, root, first)
        given = {t: {self.name: self.run.decoders[t].answer(values)} for t, values in logits.items()}
        return given, dict(zip(self.run.inputs, present.T, strict=True))


class ArrayMember:
    """The plain models of a candidate in a blend.

    Args:
        models: Answer.
        processor: Reads rows for them.
    """

    def __init__(self, models: PlainAnswers, processor: RowProcessor) -> None:
        self.models, self.processor = models, processor

    @property
    def modalities(self) -> dict[str, str]:
        """See :class:`Member`."""
        return {name: reader.modality for name, reader in self.processor.readers.items()}

    def answers(self, rows: Cells, root: Root, first: int) -> tuple[ArrayAnswers, dict[str, np.ndarray]]:
        """See :class:`Member`."""
        cells = read_rows(self.processor, rows, root, first)
        kept = {name: [items_of(row[name]) for row in cells] for name in self.processor.readers}
        features: Blocks = {}
        for name in self.models.input_names:
            features |= self.models.model.input_blocks(name, kept[name])
        present = {name: np.array([bool(items) for items in each]) for name, each in kept.items()}
        return self.models.answers(features), present


class BlendRun(ExportedRun):
    """Several models of an export.

    Args:
        folder: Where it lies.
        manifest: What it holds.
        processor: Knows the targets and the marks of a missing value.
        members: By candidate.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, processor: RowProcessor, members: Mapping[str, Member]
    ) -> None:
        super().__init__(folder, manifest, processor.targets)
        self.members = dict(members)

    @classmethod
    def of_folder(cls, folder: Path, manifest: Manifest, threads: int | None = None) -> Self:
        """The blend in a folder whose files were checked.

        Raises:
            RunError: If a file is missing or damaged.
        """
        processor = RowProcessor.read_folder(folder)
        names = [entry.name for entry in manifest.inputs]
        members: dict[str, Member] = {}
        for name, kind in manifest.candidates.items():
            location = folder / CANDIDATES / name
            if kind == ONNX:
                run = OnnxRun.of_folder(location, Manifest.read(location), threads)
                members[name] = NeuralMember(name, run)
            else:
                members[name] = plain_member(name, location, names, processor, threads)
        if list(processor.targets) != list(manifest.decoders):
            raise RunError(f"{folder}: its files are of different exports. Export again")
        return cls(folder, manifest, processor, members)

    @property
    def inputs(self) -> dict[str, str]:
        """See :class:`ExportedRun`."""
        known = {name: kind for each in self.members.values() for name, kind in each.modalities.items()}
        return {entry.name: known[entry.name] for entry in self.manifest.inputs}

    def logits(self, rows: Cells, root: Root, first: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """See :class:`ExportedRun`."""
        answers: ArrayAnswers = {name: {} for name in self.decoders}
        there: dict[str, np.ndarray] = {}
        for member in self.members.values():
            given, present = member.answers(rows, root, first)
            there = present | there
            for target, each in given.items():
                answers[target] |= each
        try:
            blended = {
                name: blend_logits(decoder, answers[name], self.manifest.weights[name])
                for name, decoder in self.decoders.items()
            }
        except KeyError as error:
            raise RunError(
                f"{self.folder}: {FILE} blends {error}, which is not there. Export again"
            ) from None
        return blended, np.stack([there[name] for name in self.inputs], axis=1)


def plain_member(
    name: str, folder: Path, inputs: Sequence[str], processor: RowProcessor, threads: int | None
) -> ArrayMember:
    """The plain models of a candidate in the folder that a fit wrote.

    Raises:
        RunError: If a file is missing or damaged.
    """
    readers, model = load_readers(folder), PlainModel.load(folder, threads=threads)
    check_inputs(folder, readers, model, inputs)
    return ArrayMember(PlainAnswers(name, model), RowProcessor(readers, {}, processor.missing))
