"""Plain learners on the outputs of pretrained encoders as they came, beside numbers, categories and dates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from polymodal.artifact.integrity import check_agreement, check_run_files, without_hub
from polymodal.artifact.weights import load_model
from polymodal.candidates.base import CANDIDATES, HELD_OUT, Tried
from polymodal.candidates.fused import FusedCandidate
from polymodal.candidates.plain import PlainCandidate
from polymodal.config import Declaration
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.readers.frozen_reader import FrozenReader, VectorReader
from polymodal.data.readers.joint_reader import KeptReader
from polymodal.models.blend_members import FrozenMember, Member
from polymodal.models.build import build_encoders, reader_settings
from polymodal.models.encoders import Encoder
from polymodal.models.fusion import FeatureFusion
from polymodal.models.modeling import PolymodalModel
from polymodal.plain.features import Featurizer, VectorFeaturizer
from polymodal.plain.model import PlainModel
from polymodal.plain.plain_readers import check_inputs, featurizer_for, load_readers, write_readers
from polymodal.training.declaration.candidate_choice import pretrained_inputs
from polymodal.training.frozen_features import fill_cache, frozen_encoders, frozen_reader
from polymodal.training.output_folder import how_to_finish
from polymodal.utils.atomic import writing
from polymodal.utils.deadline import Deadline, OutOfTime

ENCODERS = "encoders"
"""Folder of the encoders inside that of the candidate: configuration, weights, tokenizers."""
UNUSED = FeatureFusion("sum", width=8)
"""A model has a fusion; this one's is not used."""


@CANDIDATES.register("frozen")
class FrozenCandidate(PlainCandidate):
    """Linear, boosted and kernel models on the mean output of each pretrained encoder as it came.

    Inputs without such an encoder are read as by plain models. What is computed by the encoders is kept in
    the cache, from which a neural model over frozen ones takes it; one that tunes them has its own copies.
    """

    name = "frozen"
    needs_torch = True
    encoders: PolymodalModel | None = None
    whole_cache = True
    """Whether the cache has room for all that the encoders computed."""

    def refusal(self) -> str:
        """See :class:`Candidate`."""
        if self.job.start is not None:
            return "the encoders of the run that the fit starts from are those of the neural model alone"
        if not pretrained_inputs(self.job.declaration):
            return "no input is read by a pretrained encoder"
        return super().refusal()

    def fit(self, *, resume: bool, quiet: bool) -> Tried:
        """See :class:`Candidate`."""
        self.quiet, self.too_slow = quiet, list[str]()
        return super().fit(resume=resume, quiet=quiet)

    def _plain_readers(self) -> dict[str, Reader]:
        """See :class:`PlainCandidate`; those of inputs with an encoder read vectors."""
        plain, encoded = super()._plain_readers(), self._encoded()
        every = plain | self._vector_readers(encoded) if encoded else plain
        return {name: every[name] for name in self.job.declaration.inputs if name in every}

    def _vector_readers(self, encoded: list[str]) -> dict[str, Reader]:
        """The readers of inputs with an encoder, which has run over all cells; without those too slow for the
        time limit.

        Raises:
            OutOfTime: If all are.
        """
        self.encoders, self.processor = _encoders(encoded, self.job.declaration, self.job.batching)
        every = frozen_encoders(self.encoders.encoders, self.encoders.encoder_of)
        train = self.job.declaration.train
        vectors = self._filled(
            (names, frozen_reader(encoder, self.processor, names[0], train)) for names, encoder in every
        )
        if len(vectors) < len(encoded):
            self.encoders, self.processor = _part_of(self.encoders, self.processor, list(vectors))
        self.deadline = self.whole.share(self.parts)
        return vectors

    def _filled(self, readers: Iterable[tuple[list[str], FrozenReader]]) -> dict[str, Reader]:
        """By input the vectors of those of ``readers``, each with its inputs, that are not too slow.

        Raises:
            OutOfTime: If all are.
        """
        job, vectors, late = self.job, dict[str, Reader](), list[OutOfTime]()
        for names, reader in readers:
            cells = list(job.cells(names, ("train", *HELD_OUT)))
            listed, time = ", ".join(f"'{name}'" for name in names), self._encoding(names)
            try:
                whole = fill_cache(reader, cells, job.cache, listed, deadline=time, quiet=self.quiet)
            except OutOfTime as error:
                late.append(error)
                self.too_slow.append(f"{listed} read without the pretrained encoder: {error}")
                continue
            self.whole_cache &= whole
            vectors |= dict.fromkeys(names, VectorReader(reader))
        if late and not vectors:
            raise min(late, key=lambda error: error.shortest)
        return vectors

    def _skipped(self) -> list[str]:
        """See :class:`PlainCandidate`."""
        return [*(f"candidate '{self.name}': {reason}" for reason in self.too_slow), *super()._skipped()]

    def _encoding(self, names: Sequence[str]) -> Deadline:
        """The deadline of running the encoder of some inputs.

        What it computes is work of this candidate alone, unless the neural model takes it from the cache.
        """
        declaration = self.job.declaration
        again = (
            FusedCandidate.name in (declaration.train.candidates or ())
            and declaration.inputs[names[0]].freeze
        )
        return self.whole if again else self.deadline

    def _encoded(self) -> list[str]:
        """The inputs that are read by their encoder."""
        return pretrained_inputs(self.job.declaration)

    def _featurizers(self) -> dict[str, Featurizer]:
        """See :class:`PlainCandidate`."""
        return {
            name: VectorFeaturizer() if isinstance(reader, VectorReader) else featurizer_for(reader)
            for name, reader in self.kept.items()
        }

    def _write(self) -> None:
        super()._write()
        if self.encoders is None:
            return
        with writing(self.folder, how_to_finish()):
            write_readers(self.folder, self._unencoded())
            self.encoders.save_pretrained(self.folder / ENCODERS)
            self.processor.save_pretrained(self.folder / ENCODERS)

    def _unencoded(self) -> dict[str, Reader]:
        return {name: reader for name, reader in self.kept.items() if not isinstance(reader, VectorReader)}

    def member(self) -> Member:
        """See :class:`Candidate`."""
        assert self.model is not None
        return FrozenMember(self.name, self.model, self.encoders)

    def readers(self) -> Mapping[str, Reader]:
        """See :class:`Candidate`."""
        if self.encoders is None:
            return super().readers()
        return _joined(self._unencoded(), self.processor, list(self.kept))

    def cached_readers(self) -> Mapping[str, Reader]:
        """See :class:`Candidate`."""
        kept = self.kept if self.whole_cache else {}
        return {name: reader.frozen for name, reader in kept.items() if isinstance(reader, VectorReader)}

    @classmethod
    def load(cls, folder: Path, inputs: Sequence[str]) -> tuple[Member, Mapping[str, Reader]]:
        """See :class:`Candidate`."""
        model = PlainModel.load(folder)
        encoders, readers = load_encoders(folder, model, inputs)
        return FrozenMember(cls.name, model, encoders), readers


def load_encoders(
    folder: Path, model: PlainModel, inputs: Sequence[str]
) -> tuple[PolymodalModel | None, dict[str, Reader]]:
    """The encoders in a candidate's folder, and by input what reads its cells for predictions.

    Args:
        folder: Of the candidate.
        model: Read from it.
        inputs: Of the blend.

    Raises:
        RunError: If a file is missing or is not what a fit writes.
    """
    plain = load_readers(folder)
    if not (folder / ENCODERS).is_dir():
        check_inputs(folder, plain, model, inputs)
        return None, {name: KeptReader(reader) for name, reader in plain.items()}
    check_run_files(folder / ENCODERS)
    encoders = load_model(folder / ENCODERS, PolymodalModel)
    with without_hub():
        processor = PolymodalProcessor.from_pretrained(folder / ENCODERS)
    check_agreement(encoders.config, processor, folder / ENCODERS)
    readers = _joined(plain, processor, [name for name in inputs if name in model.featurizers])
    check_inputs(folder, readers, model, inputs)
    return encoders, readers


def _encoders(
    names: Sequence[str], declaration: Declaration, processor: PolymodalProcessor
) -> tuple[PolymodalModel, PolymodalProcessor]:
    """A model of the encoders of some inputs, all frozen, and the processor of these."""
    as_it_came = {"freeze": True, "lora": None, "unfreeze_last": None}
    inputs = {name: declaration.inputs[name].unchanged().model_copy(update=as_it_came) for name in names}
    alone = declaration.model_copy(update={"inputs": inputs})
    own = PolymodalProcessor({name: processor.readers[name] for name in names}, {}, processor.missing)
    model = _frozen_model(build_encoders(alone, own))
    own.change_readers(reader_settings(model.encoders, model.encoder_of))
    return model, own


def _frozen_model(encoders: Mapping[str, Encoder]) -> PolymodalModel:
    """A model of encoders, by input."""
    model = cast(PolymodalModel, PolymodalModel.from_parts(encoders, UNUSED))
    model.requires_grad_(False)
    return cast(PolymodalModel, model.eval())


def _part_of(
    model: PolymodalModel, processor: PolymodalProcessor, names: Sequence[str]
) -> tuple[PolymodalModel, PolymodalProcessor]:
    """The encoders of some inputs of a model, and the processor of these."""
    kept = {name: model.encoders[model.encoder_of[name]] for name in names}
    readers = {name: processor.readers[name] for name in names}
    return _frozen_model(kept), PolymodalProcessor(readers, {}, processor.missing)


def _joined(
    plain: Mapping[str, Reader], encoded: PolymodalProcessor, order: Sequence[str]
) -> dict[str, Reader]:
    """By input what reads its cells for predictions: for plain features, or for its encoder."""
    every = encoded.readers | {name: KeptReader(reader) for name, reader in plain.items()}
    return {name: every[name] for name in order if name in every}
