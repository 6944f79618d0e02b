"""Plain learners on the outputs of the encoders that the neural model tuned to the targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.candidates.base import CANDIDATES, Loaded, Tried
from polymodal.candidates.choosing import FEWEST
from polymodal.candidates.frozen import FrozenCandidate
from polymodal.candidates.fused import FusedCandidate
from polymodal.candidates.plain import PlainCandidate
from polymodal.config import TrainConfig
from polymodal.data.cache.memory import digest
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.readers.frozen_reader import FrozenReader
from polymodal.data.readers.joint_reader import KeptReader
from polymodal.errors import RunError
from polymodal.models.blend_members import FrozenMember, FusedMember, Member
from polymodal.models.encoders import Encoder
from polymodal.plain.features import VectorFeaturizer
from polymodal.plain.model import PlainModel
from polymodal.plain.plain_readers import check_inputs, load_readers, write_readers
from polymodal.training.declaration.candidate_choice import tuned_inputs
from polymodal.training.frozen_features import (
    encode_items,
    frozen_reader,
    items_at_once,
    weights_digest,
)
from polymodal.training.output_folder import how_to_finish
from polymodal.utils.atomic import writing
from polymodal.utils.deadline import Deadline

FUSED = FusedCandidate.name


@CANDIDATES.register("tuned")
class TunedCandidate(FrozenCandidate):
    """Linear, boosted and kernel models on the mean output of each pretrained encoder of the neural model.

    Encoders that were tuned to the targets make better features for nearly every learner (MulTaBench,
    arXiv 2605.10616). Inputs without a pretrained encoder are read as by plain models. The encoders are
    those of the candidate ``fused``: they are neither written nor loaded a second time.

    The encoders have learned the answers of the training rows, whose features are therefore better than
    those of any other row. Learners are fitted to them, as the head of the neural model is, but their answers
    to training rows are too good, even out of fold: the encoder knows the rows that a learner was fitted
    without. So these models have no answers out of fold, and only validation rows weigh them, by the rule for
    models whose epoch these rows chose (:mod:`polymodal.candidates.choosing`). Encoders tuned within folds
    would need one training a fold, and the features of two trainings are not comparable.
    """

    name = "tuned"
    needs = (FUSED,)
    share = 0.25

    def refusal(self) -> str:
        """See :class:`Candidate`."""
        if not tuned_inputs(self.job.declaration):
            return "no input is read by a pretrained encoder that is tuned"
        if len(self.job.splits["validation"]) < FEWEST:
            return f"fewer than {FEWEST} validation rows are too few to weigh it by"
        return PlainCandidate.refusal(self)

    def fit(self, *, resume: bool, quiet: bool) -> Tried:
        """See :class:`Candidate`; the validation rows chose the epoch that the encoders are kept of."""
        return replace(super().fit(resume=resume, quiet=quiet), seen_validation=True)

    def _encoded(self) -> list[str]:
        """The inputs that the neural model reads by a pretrained encoder."""
        fused = self.others[FUSED]
        assert isinstance(fused, FusedCandidate) and fused.trained is not None
        self.encoders, self.processor = fused.trained.model.model, fused.job.batching
        of = self.encoders.encoder_of
        return [name for name, number in of.items() if self.encoders.encoders[number].pretrained]

    def _vector_readers(self, encoded: list[str]) -> dict[str, Reader]:
        """See :class:`FrozenCandidate`; of tuned encoders the cache keeps the means alone."""
        return self._filled(([name], self._reader(name)) for name in encoded)

    def _reader(self, name: str) -> FrozenReader:
        """The reader of an input's encoder, as it is now."""
        assert self.encoders is not None
        encoder = self.encoders.encoders[self.encoders.encoder_of[name]]
        make = frozen_reader if encoder.frozen else _mean_reader
        return make(encoder, self.processor, name, self.job.declaration.train)

    def _encoding(self, names: Sequence[str]) -> Deadline:
        """See :class:`FrozenCandidate`; no other model takes what is computed."""
        return self.deadline

    def _out_of_fold(self, model: PlainModel) -> dict[str, dict[str, np.ndarray]]:
        """None: the encoders know every training row."""
        return {}

    def _write(self) -> None:
        PlainCandidate._write(self)
        with writing(self.folder, how_to_finish()):
            write_readers(self.folder, self._unencoded())

    @classmethod
    def load(cls, folder: Path, inputs: Sequence[str]) -> tuple[Member, Mapping[str, Reader]]:
        """See :class:`Candidate`; the encoders are read from the folder of ``fused`` beside it."""
        return cls.load_beside(folder, inputs, {FUSED: FusedCandidate.load(folder.parent / FUSED, inputs)})

    @classmethod
    def load_beside(cls, folder: Path, inputs: Sequence[str], others: Mapping[str, Loaded]) -> Loaded:
        """See :class:`Candidate`; the encoders are those of the neural model that was loaded."""
        fused, every = others.get(FUSED, (None, {}))
        if not isinstance(fused, FusedMember):
            raise RunError(f"{folder}: the blend lacks '{FUSED}', whose encoders it takes. Fit again")
        model, plain = PlainModel.load(folder), load_readers(folder)
        encoders = fused.model.model
        for name, featurizer in model.featurizers.items():
            if not isinstance(featurizer, VectorFeaturizer):
                continue
            number, width = encoders.encoder_of.get(name), len(featurizer.columns[""].names)
            if number is None or encoders.encoders[number].width != width or name in plain:
                raise RunError(f"{folder}: '{name}' is read by another encoder than '{FUSED}' has. Fit again")
        own = {name: KeptReader(reader) for name, reader in plain.items()}
        readers = own | {name: every[name] for name in model.featurizers if name not in own}
        check_inputs(folder, readers, model, inputs)
        return FrozenMember(cls.name, model, encoders), {n: readers[n] for n in inputs if n in readers}


def _mean_reader(
    encoder: Encoder, processor: PolymodalProcessor, name: str, train: TrainConfig
) -> FrozenReader:
    """Hands on the mean of an encoder's tokens, as the only token of an item."""
    at_once = items_at_once(train)

    def means(items: Sequence[Any]) -> list[np.ndarray]:
        tokens = encode_items(encoder, processor, name, items, at_once=at_once)
        flat = [each.reshape(-1, each.shape[-1]) for each in tokens]
        return [each.mean(axis=0, keepdims=True) if len(each) else _none(encoder) for each in flat]

    return FrozenReader(processor.readers[name], means, digest(b"mean", weights_digest(encoder)), 1)


def _none(encoder: Encoder) -> np.ndarray:
    return np.zeros((1, encoder.width), np.float32)
