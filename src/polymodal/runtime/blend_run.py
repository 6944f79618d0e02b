"""An export of several models, the weighted mean of whose answers is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from polymodal.answers.plain_answers import ArrayAnswers, PlainAnswers, blend_logits
from polymodal.data.readers import Reader
from polymodal.data.readers.joint_reader import joint_readers
from polymodal.data.row_processor import RowProcessor, items_of
from polymodal.errors import RunError
from polymodal.plain.array_model import ArrayModel
from polymodal.plain.blocks import Blocks
from polymodal.plain.plain_readers import check_inputs, load_readers
from polymodal.runtime.exported_run import Cells, ExportedRun
from polymodal.runtime.manifest import CANDIDATES, ENCODED, FILE, ONNX, VECTORS, Manifest
from polymodal.runtime.onnx_run import OnnxRun
from polymodal.runtime.vectors import Vectors


class Member(Protocol):
    """One candidate of a blend."""

    @property
    def readers(self) -> Mapping[str, Reader]:
        """By input that it reads its reader."""

    def answers(self, cells: Cells) -> ArrayAnswers:
        """By target and by model its answers to rows, by input what its readers kept of each."""


class NeuralMember:
    """A neural model in a blend.

    Args:
        name: Of the candidate, and of its only model.
        run: Its export.
    """

    def __init__(self, name: str, run: OnnxRun) -> None:
        self.name, self.run = name, run

    @property
    def readers(self) -> Mapping[str, Reader]:
        """See :class:`Member`."""
        return self.run.reading.readers

    def answers(self, cells: Cells) -> ArrayAnswers:
        """See :class:`Member`."""
        logits = self.run.logits(cells)
        return {name: {self.name: self.run.decoders[name].answer(own)} for name, own in logits.items()}


class ArrayMember:
    """The plain models of a candidate in a blend.

    Args:
        models: Answer.
        readers: By input.
        vectors: The encoders of some inputs; None without.
    """

    def __init__(
        self, models: PlainAnswers, readers: Mapping[str, Reader], vectors: Vectors | None = None
    ) -> None:
        self.models, self.readers, self.vectors = models, readers, vectors

    def answers(self, cells: Cells) -> ArrayAnswers:
        """See :class:`Member`."""
        kept = {name: [items_of(row[name]) for row in cells] for name in self.models.input_names}
        if self.vectors is not None:
            kept |= self.vectors.of_rows(cells)
        features: Blocks = {}
        for name, items in kept.items():
            features |= self.models.model.input_blocks(name, items)
        return self.models.answers(features)


class BlendRun(ExportedRun):
    """Several models of an export.

    Args:
        folder: Where it lies.
        manifest: What it holds.
        processor: Knows the targets and the marks of a missing value.
        members: By candidate.

    Raises:
        RunError: If no candidate reads an input.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, processor: RowProcessor, members: Mapping[str, Member]
    ) -> None:
        super().__init__(folder, manifest, processor.targets)
        self.members = dict(members)
        readers = {name: member.readers for name, member in members.items()}
        self.joint = joint_readers(readers, [entry.name for entry in manifest.inputs])
        self._reading = RowProcessor(self.joint, processor.targets, processor.missing)

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
                vectors = Vectors.of_folder(location / VECTORS, threads) if kind == ENCODED else None
                members[name] = plain_member(name, location, names, vectors)
        if list(processor.targets) != list(manifest.decoders):
            raise RunError(f"{folder}: its files are of different exports. Export again")
        return cls(folder, manifest, processor, members)

    @property
    def reading(self) -> RowProcessor:
        """See :class:`ExportedRun`."""
        return self._reading

    def logits(self, cells: Cells) -> dict[str, np.ndarray]:
        """See :class:`ExportedRun`."""
        answers: ArrayAnswers = {name: {} for name in self.decoders}
        for key, member in self.members.items():
            for target, each in member.answers(self._own(key, cells)).items():
                answers[target] |= each
        try:
            return {
                name: blend_logits(decoder, answers[name], self.manifest.weights[name])
                for name, decoder in self.decoders.items()
            }
        except KeyError as error:
            raise RunError(
                f"{self.folder}: {FILE} blends {error}, which is not there. Export again"
            ) from None

    def _own(self, member: str, cells: Cells) -> list[dict[str, list[Any]]]:
        """By input the items that one candidate's reader kept, of each row."""
        index = {
            name: list(self.joint[name].parts).index(member)
            for name in self.joint
            if member in self.joint[name].parts
        }
        return [
            {name: [item[at] for item in items_of(row.get(name))] for name, at in index.items()}
            for row in cells
        ]


def plain_member(name: str, folder: Path, inputs: Sequence[str], vectors: Vectors | None) -> ArrayMember:
    """The plain models of a candidate in the folder that a fit wrote.

    Raises:
        RunError: If a file is missing or damaged.
    """
    readers, model = load_readers(folder), ArrayModel.load(folder)
    if vectors is not None:
        readers |= vectors.readers
    check_inputs(folder, readers, model, inputs)
    return ArrayMember(PlainAnswers(name, model), readers, vectors)
