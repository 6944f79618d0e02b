"""TabICL as a candidate: answers in context, over plain features and outputs of frozen encoders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from torch import nn

from polymodal.candidates.base import CANDIDATES
from polymodal.candidates.frozen import FrozenCandidate, load_encoders
from polymodal.candidates.in_context import NAME, InContextModel, Networks
from polymodal.candidates.in_context_weights import (
    FILES,
    Network,
    checkpoint_path,
    fetched_checkpoint,
    how_to_get,
    load_checkpoint,
    missing_package,
    write_network,
)
from polymodal.candidates.plain import KINDS, PlainCandidate
from polymodal.data.readers import Reader
from polymodal.errors import ConfigError
from polymodal.models.blend_members import FrozenMember, Member
from polymodal.models.modeling import PolymodalModel
from polymodal.plain.model import SETTLED, PlainModel
from polymodal.training.loop.arguments import training_device
from polymodal.training.output_folder import how_to_finish
from polymodal.utils.atomic import writing
from polymodal.utils.distributed import is_main
from polymodal.utils.progress import note


class InContextMember(FrozenMember):
    """Answers in context as a member of a blend; the networks move with it from device to device.

    Args:
        name: Of the candidate.
        model: Fitted.
        encoders: See :class:`FrozenMember`.
        networks: By kind of answer, those that the model uses.
    """

    def __init__(
        self, name: str, model: PlainModel, encoders: PolymodalModel | None, networks: Networks
    ) -> None:
        super().__init__(name, model, encoders)
        self.networks = nn.ModuleDict({kind: network.module for kind, network in networks.items()})


@CANDIDATES.register(NAME)
class TabICLCandidate(FrozenCandidate):
    """A transformer that reads the training rows and predicts others, without being fitted to them.

    Its features are those of plain models, and of inputs with a frozen encoder the mean of its output;
    wide ones are reduced. The run holds the weights, and the features of the rows that they read.
    """

    name = NAME
    noun = "TabICL model"
    networks: dict[str, Network]
    missing: dict[str, str]

    def refusal(self) -> str:
        """See :class:`Candidate`."""
        if self.job.declaration.data.private:
            return "with data.private: it keeps the features of the training rows"
        return missing_package() or PlainCandidate.refusal(self)

    def prepare(self) -> str:
        """See :class:`Candidate`: the parameters of its networks, whose weights are loaded or downloaded."""
        self.networks, self.missing = {}, {}
        for kind in self._kinds():
            path = checkpoint_path(kind) or fetched_checkpoint(kind, lambda line: note(line, not is_main()))
            if path is None:
                self.missing[kind] = f"its weights are not on this machine: {how_to_get(kind)}"
            else:
                self.networks[kind] = load_checkpoint(path, kind)
        if not self.networks:
            raise ConfigError("; ".join(self.missing.values()))
        device = training_device(self.job.declaration.train.device)
        modules = [network.module.to(device) for network in self.networks.values()]
        weights = sum(weight.numel() for module in modules for weight in module.parameters())
        return f"TabICL, {weights:,} parameters"

    def _kinds(self) -> list[str]:
        """The kinds of answers that the targets need a network for."""
        tasks = [config.task for config in self.job.declaration.targets.values()]
        goals = {KINDS[task] for task in tasks if task in KINDS} - {"labels"}
        wanted = {"numbers" if goal == "numbers" else "classes" for goal in goals}
        return [kind for kind in FILES if kind in wanted]

    def _encoded(self) -> list[str]:
        """See :class:`FrozenCandidate`; the encoders of a run that the fit starts from are not its own."""
        return super()._encoded() if self.job.start is None else []

    def _new_model(self) -> PlainModel:
        """See :class:`PlainCandidate`."""
        train = self.job.declaration.train
        model = InContextModel(self._featurizers(), seed=train.seed, threads=train.threads)
        model.networks, model.missing = self.networks, self.missing
        return model

    def _again(self, names: Collection[str]) -> float:
        """See :class:`PlainCandidate`; no settings were chosen, so that reading again takes as long."""
        return super()._again(names) / SETTLED

    def _write(self) -> None:
        super()._write()
        with writing(self.folder, how_to_finish()):
            for kind, network in self._used().items():
                write_network(network, self.folder / FILES[kind])

    def _used(self) -> Networks:
        assert isinstance(self.model, InContextModel)
        return {kind: self.networks[kind] for kind in self.model.kinds_in_use()}

    def member(self) -> Member:
        """See :class:`Candidate`."""
        assert self.model is not None
        return InContextMember(self.name, self.model, self.encoders, self._used())

    @classmethod
    def load(cls, folder: Path, inputs: Sequence[str]) -> tuple[Member, Mapping[str, Reader]]:
        """See :class:`Candidate`."""
        model = InContextModel.load(folder)
        model.read_networks(folder)
        encoders, readers = load_encoders(folder, model, inputs)
        return InContextMember(cls.name, model, encoders, model.networks), readers
