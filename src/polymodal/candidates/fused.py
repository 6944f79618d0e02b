"""The neural model as a candidate: encoders, embedding, fusion and heads, trained together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polymodal.artifact.integrity import check_agreement, without_hub
from polymodal.artifact.run_folder import require_files, write_run
from polymodal.artifact.weights import load_model
from polymodal.candidates.base import CANDIDATES, Candidate, Tried
from polymodal.config.overrides import read_yaml
from polymodal.config.parsing import parse
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.readers.frozen_reader import FrozenReader
from polymodal.errors import RunError
from polymodal.models import PolymodalForPrediction
from polymodal.models.blend_members import FusedMember, Member
from polymodal.models.inference import answers, run_batches
from polymodal.models.modeling import LearningModel
from polymodal.training.output_folder import how_to_finish
from polymodal.training.warm_start.load import build_started
from polymodal.utils.atomic import writing

if TYPE_CHECKING:
    from polymodal.training.prediction_training import TrainedModel

BATCH = 128


@CANDIDATES.register("fused")
class FusedCandidate(Candidate):
    """Today's model; its folder is a whole run folder, which embeds, searches and is fine-tuned from."""

    name = "fused"
    of_all_processes = True
    model: LearningModel
    trained: TrainedModel | None = None

    def prepare(self) -> str:
        """See :class:`Candidate`: the fusion and the number of parameters."""
        from polymodal.training.prediction_training import model_in_words  # loads the Trainer, to train alone

        self.model = build_started(self.job, self.job.declaration)
        return model_in_words(self.job.declaration, self.model)

    def fit(self, *, resume: bool, quiet: bool) -> Tried:
        """See :class:`Candidate`; trained as a fit of this candidate alone would."""
        from polymodal.training.prediction_training import train_prediction

        self.job = replace(self.job, notes=list(self.job.notes))
        trained = train_prediction(
            self.job, self.model, self.folder, resume=resume, quiet=quiet, deadline=self.deadline,
            least_epochs=0.0 if self.alone else 1.0,
        )  # fmt: skip
        self.trained = trained
        result = {"validation": self._answers(trained.model, "validation")}
        begun = self.deadline.clock()
        result["test"] = self._answers(trained.model, "test")
        self.later_seconds = self.deadline.clock() - begun
        models = {name: [self.name] for name in trained.model.config.head_names}
        seconds, notes = {self.name: trained.log["seconds"]}, [*trained.calibration.notes, *trained.notes]
        return Tried(models, result, seconds, notes, seen_validation=True)

    @property
    def log(self) -> dict[str, Any]:
        """See :class:`Candidate`."""
        return self.trained.log if self.trained else {}

    def _answers(self, model: PolymodalForPrediction, split: str) -> dict[str, dict[str, np.ndarray]]:
        """Its answers to the rows of a split, by target."""
        parts: dict[str, list[torch.Tensor]] = {name: [] for name in model.config.head_names}
        if len(self.job.splits[split]):
            for batch in run_batches(model, self.job.rows(split), BATCH):
                for name, answer in answers(model, batch).items():
                    parts[name].append(answer)
        return {
            name: {self.name: torch.cat(result).double().numpy()} for name, result in parts.items() if result
        }

    def finish(self, used: Mapping[str, Collection[str]], *, quiet: bool) -> list[str]:
        """See :class:`Candidate`; the run is kept though the blend may not use it."""
        assert self.trained is not None
        alone = self.job.declaration.model_copy(deep=True)
        alone.train.candidates = [self.name]
        with writing(self.folder, how_to_finish()):
            write_run(self.folder, self.trained.model, self.job.processor, alone)
        return []

    @staticmethod
    def write_member(member: Member, folder: Path) -> None:
        """See :class:`Candidate`; adapters may have been merged."""
        assert isinstance(member, FusedMember)
        with without_hub():
            processor = PolymodalProcessor.from_pretrained(folder)
        declaration = parse(read_yaml(folder / "run.yaml")[0], source=str(folder))
        write_run(folder, member.model, processor, declaration)

    def member(self) -> Member:
        """See :class:`Candidate`."""
        assert self.trained is not None
        return FusedMember(self.name, self.trained.model)

    def readers(self) -> Mapping[str, Reader]:
        """See :class:`Candidate`."""
        return self.job.processor.readers

    def cached_readers(self) -> Mapping[str, Reader]:
        """See :class:`Candidate`."""
        reading = self.job.features.get("test")
        readers = reading.readers if reading else {}
        return {name: reader for name, reader in readers.items() if isinstance(reader, FrozenReader)}

    @classmethod
    def load(cls, folder: Path, inputs: Sequence[str]) -> tuple[Member, Mapping[str, Reader]]:
        """See :class:`Candidate`."""
        require_files(folder)
        model = load_model(folder, PolymodalForPrediction)
        with without_hub():
            processor = PolymodalProcessor.from_pretrained(folder)
        if list(processor.readers) != list(inputs) or model.config.input_names != list(inputs):
            raise RunError(f"{folder}: reads other inputs than the blend that it is part of. Fit again")
        check_agreement(model.config, processor, folder)
        return FusedMember(cls.name, model), processor.readers
