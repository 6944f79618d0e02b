"""Plain models as a candidate: features per modality, then linear, boosted and kernel learners."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from polymodal.answers.plain_answers import PlainAnswers, model_name
from polymodal.candidates.base import CANDIDATES, FEW, HELD_OUT, Candidate, Tried
from polymodal.config import TargetConfig
from polymodal.data.readers import READERS, Reader
from polymodal.data.readers.columns import TrainingColumns
from polymodal.data.readers.joint_reader import KeptReader
from polymodal.data.row_dataset import RowDataset
from polymodal.data.row_processor import RowProcessor, items_of
from polymodal.errors import ConfigError
from polymodal.plain.features import Featurizer, featurizer_of
from polymodal.plain.learners import LEARNERS, Goal
from polymodal.plain.learners.goal import Kind
from polymodal.plain.learners.tuning import inner_folds
from polymodal.plain.model import SETTLED, PlainModel
from polymodal.plain.plain_readers import check_inputs, featurizer_for, load_readers, write_readers
from polymodal.training.declaration.target_transform import long_tail
from polymodal.training.output_folder import how_to_finish
from polymodal.utils.atomic import discard, writing
from polymodal.utils.deadline import OutOfTime
from polymodal.utils.progress import progress

if TYPE_CHECKING:
    from polymodal.models.blend_members import Member

KINDS: Mapping[str, Kind] = {
    "classification": "classes", "ordinal": "ordered", "multilabel": "labels", "regression": "numbers",
}  # fmt: skip
"""What plain models learn of each task; those of other packages they leave out."""
AT_ONCE = 256
FOLDS = 5
"""With few validation rows, plain models also answer the training rows, in so many folds."""
AGAIN = 0.1
"""Share of a time limit that is kept for fitting the models of the blend again, at most."""


@dataclass(frozen=True)
class _Rows:
    """The rows of a split as plain models take them.

    Attributes:
        contents: By input, per row what its reader kept of each item.
        answers: By target ``(rows, …)`` as its reader reads them.
        weights: ``(rows,)``; None where all count the same.
        groups: ``(rows,)`` values of the group column, as texts; None without one.
    """

    contents: dict[str, list[list[Any]]]
    answers: dict[str, np.ndarray]
    weights: np.ndarray | None
    groups: np.ndarray | None

    def __len__(self) -> int:
        return len(next(iter(self.answers.values())))

    def beside(self, other: _Rows) -> _Rows:
        """These rows, then those of ``other``."""
        return _Rows(
            {name: [*items, *other.contents[name]] for name, items in self.contents.items()},
            {name: np.concatenate([values, other.answers[name]]) for name, values in self.answers.items()},
            None if self.weights is None or other.weights is None else np.r_[self.weights, other.weights],
            None if self.groups is None or other.groups is None else np.r_[self.groups, other.groups],
        )


@CANDIDATES.register("plain")
class PlainCandidate(Candidate):
    """Linear, boosted and kernel models on features of every input: seconds, not minutes.

    The blend is chosen by models that were fitted to the training rows; those that it uses are then fitted
    again to training and validation rows.
    """

    name = "plain"
    needs_torch: ClassVar[bool] = False
    noun: ClassVar[str] = "plain model"
    model: PlainModel | None = None
    both: frozenset[str] = frozenset()
    """The targets of a long tail, which are learned as they are and as logarithms."""

    def refusal(self) -> str:
        """See :class:`Candidate`."""
        declaration = self.job.declaration
        if declaration.data.private:
            return "with data.private: plain models keep values that few training rows have"
        if not any(config.task in KINDS for config in declaration.targets.values()):
            tasks = ", ".join(sorted({config.task for config in declaration.targets.values()}))
            return f"{self.noun}s know no task {tasks}"
        if not any(featurizer_of(config.modality) for config in declaration.inputs.values()):
            return "no input has a modality with plain features"
        return ""

    def prepare(self) -> str:
        """See :class:`Candidate`: the learners."""
        targets, known = self.job.declaration.targets, self.job.processor.targets
        goals = [(KINDS[targets[name].task], max(len(known[name].classes), 1)) for name in self._targets()]
        return ", ".join(name for name in LEARNERS if any(LEARNERS[name].suits(*goal) for goal in goals))

    def fit(self, *, resume: bool, quiet: bool) -> Tried:
        """See :class:`Candidate`; it is always fitted again, which takes seconds."""
        self.kept = self._plain_readers()
        self.notes = self._skipped()
        self.read = {split: self._read(split, quiet) for split in ("train", *HELD_OUT)}
        self.both = self._long_tailed()
        begun = self.deadline.clock()
        self.tried = model = self._fitted(self.read["train"])
        self.fitting = self.deadline.clock() - begun
        if not any(model.members.values()):
            reasons = [f"{name}: {reason}" for own in model.left_out.values() for name, reason in own.items()]
            raise ConfigError(f"no {self.noun} can be fitted ({'; '.join(dict.fromkeys(reasons))})")
        self.notes += [
            f"{model_name(self.name, learner)} of {target} is left out: {reason}"
            for target, reasons in model.left_out.items()
            for learner, reason in reasons.items()
        ]
        self.notes += [
            f"{model_name(self.name, learner)} of {target}: fewer settings were tried, for time"
            for target, names in model.hurried().items()
            for learner in names
        ]
        begun = self.deadline.clock()
        answers = {split: self._answers(model, self.read[split]) for split in HELD_OUT}
        self.later_seconds = self.deadline.clock() - begun
        few = len(self.read["validation"]) < FEW
        out_of_fold = self._out_of_fold(model) if few else {}
        if self._fits_again():
            self.later_seconds += min(self._again(self._all_names()), AGAIN * self.deadline.limit)
        return Tried(self._names(model), answers, self._seconds(model), self.notes, out_of_fold)

    def _names(self, model: PlainModel) -> dict[str, list[str]]:
        """By target the names of its models."""
        each = {
            target: [model_name(self.name, learner) for learner in own]
            for target, own in model.members.items()
        }
        return {target: names for target, names in each.items() if names}

    def _out_of_fold(self, model: PlainModel) -> dict[str, dict[str, np.ndarray]]:
        """The answers to the training rows by models of the other folds; NaN where the answer is unknown."""
        rows, seed = self.read["train"], self.job.declaration.train.seed
        result: dict[str, dict[str, np.ndarray]] = {}
        for target in self._targets():
            goal, known = self._goal(target, rows)
            folds = np.zeros(len(goal), int)
            # Of several labels, rows of as many labels are dealt out to the folds.
            dealt = goal if goal.kind != "labels" else replace(goal, values=goal.values.sum(axis=1))
            for number, (_, held) in enumerate(inner_folds(dealt, seed, FOLDS)):
                folds[held] = number
            if not folds.any():
                continue
            own = {name: [items[row] for row in known] for name, items in rows.contents.items()}
            try:
                answered = model.out_of_fold(own, goal, folds, target=target, deadline=self.deadline)
            except OutOfTime as error:
                self.notes.append(
                    f"{self.name} models of {target} are weighed by the validation rows alone: {error}"
                )
                continue
            for learner, answers in answered.items():
                every = np.full((len(rows), *answers.shape[1:]), np.nan)
                every[known] = answers
                result.setdefault(target, {})[model_name(self.name, learner)] = every
        return result

    def _goal(self, target: str, rows: _Rows) -> tuple[Goal, np.ndarray]:
        config, classes = self.job.declaration.targets[target], self.job.processor.targets[target].classes
        goal, known = goal_of(config, rows, target, len(classes))
        return replace(goal, both=target in self.both), known

    def _long_tailed(self) -> frozenset[str]:
        goals = {name: self._goal(name, self.read["train"])[0] for name in self._targets()}
        return frozenset(
            name
            for name, goal in goals.items()
            if goal.kind == "numbers" and long_tail(goal.values) is not None
        )

    def _plain_readers(self) -> dict[str, Reader]:
        """The reader of each input with plain features, learned from the training rows."""
        train, readers = self.job.splits["train"], {}
        for name, config in self.job.declaration.inputs.items():
            kind = featurizer_of(config.modality)
            if kind is not None:
                split = READERS[config.modality].split_items
                readers[name] = kind.reader(TrainingColumns(train, [name], config, split))
        return readers

    def _skipped(self) -> list[str]:
        """The inputs and targets that plain models leave out."""
        declaration = self.job.declaration
        inputs = [name for name in declaration.inputs if name not in self.kept]
        targets = [name for name, config in declaration.targets.items() if config.task not in KINDS]
        lines = [f"{self.noun}s do not read '{name}': {declaration.inputs[name].modality}" for name in inputs]
        return [
            *lines,
            *(f"{self.noun}s do not predict '{n}': {declaration.targets[n].task}" for n in targets),
        ]

    def _read(self, split: str, quiet: bool) -> _Rows:
        """Read the rows of a split."""
        job, table = self.job, self.job.splits[split]
        targets = {name: job.processor.targets[name] for name in self._targets()}
        processor = RowProcessor(self.kept, targets, job.processor.missing)
        rows = RowDataset(
            table, processor, job.cache, targets=targets, numbers=job.numbers[split].tolist(),
            weight=job.declaration.data.sample_weight,
        )  # fmt: skip
        contents: dict[str, list[list[Any]]] = {name: [] for name in self.kept}
        answers: dict[str, list[Any]] = {name: [] for name in targets}
        shown = len(rows) if not quiet else 0
        for row in progress(_each(rows), f"reading {split} rows", shown) if shown else _each(rows):
            for name, kept in contents.items():
                kept.append(items_of(row["cells"][name]))
            for name, values in answers.items():
                values.append(row["targets"][name])
        group = job.declaration.data.group
        groups = None if group is None else np.array([str(cell) for cell in table.values(group).to_pylist()])
        return _Rows(contents, {n: np.array(values) for n, values in answers.items()}, rows.weights, groups)

    def _featurizers(self) -> dict[str, Featurizer]:
        """By input what turns its contents into features, not fitted yet."""
        return {name: featurizer_for(reader) for name, reader in self.kept.items()}

    def _targets(self) -> list[str]:
        return [name for name, config in self.job.declaration.targets.items() if config.task in KINDS]

    def _fitted(
        self,
        rows: _Rows,
        learners: Mapping[str, Sequence[str]] | None = None,
        like: PlainModel | None = None,
    ) -> PlainModel:
        """Featurizers and learners, fitted to the rows whose answer is known.

        Args:
            rows: To fit to.
            learners: By target the only learners; by default all.
            like: See :meth:`PlainModel.fit`.
        """
        model = self._new_model()
        goals, known = {}, {}
        for name in self._targets():
            goals[name], known[name] = self._goal(name, rows)
        return model.fit(rows.contents, goals, known, learners=learners, like=like, deadline=self.deadline)

    def _new_model(self) -> PlainModel:
        """Featurizers and learners, not fitted yet."""
        train = self.job.declaration.train
        return PlainModel(self._featurizers(), seed=train.seed, threads=train.threads)

    def _answers(self, model: PlainModel, rows: _Rows) -> dict[str, dict[str, np.ndarray]]:
        if not len(rows):
            return {}
        return {
            target: {model_name(self.name, learner): answer for learner, answer in result.items()}
            for target, result in model.predict(rows.contents).items()
        }

    def finish(self, used: Mapping[str, Collection[str]], *, quiet: bool) -> list[str]:
        """See :class:`Candidate`; the learners are fitted to training and validation rows.

        They stay as they are where there are no test rows, since the report is then about the validation
        rows, and where one that the blend needs cannot be fitted again.
        """
        own = {
            target: [n for n in self.tried.members.get(target, ()) if model_name(self.name, n) in names]
            for target, names in used.items()
        }
        self.model, notes = self.tried, []
        using = {model_name(self.name, learner) for learners in own.values() for learner in learners}
        if self._fits_again() and any(own.values()) and self._again(using) > self.deadline.left:
            notes.append(f"{self.noun}s are those of the training rows: no time to fit them to more rows")
        elif self._fits_again() and any(own.values()):
            rows = self.read["train"].beside(self.read["validation"])
            again = self._fitted(rows, own, self.tried)
            lost = [
                (n, learner) for n, each in own.items() for learner in each if learner not in again.members[n]
            ]
            for target, learner in lost:
                reason = again.left_out[target].get(learner, "it could not be fitted again")
                notes.append(f"{self.noun}s are those of the training rows: {learner} of {target}: {reason}")
            self.fitted_again = not lost
            self.model = again if self.fitted_again else self.tried
        for target, members in self.model.members.items():
            wanted = own.get(target, ())
            self.model.members[target] = {name: each for name, each in members.items() if name in wanted}
        self.model.forget_codes()
        self._write()
        return notes

    def _fits_again(self) -> bool:
        """Whether there are rows to fit the models to that the blend uses, and others to test them on."""
        return bool(len(self.job.splits["test"]) and len(self.read["validation"]))

    def _again(self, names: Collection[str]) -> float:
        """Seconds to fit some of the models again, to all rows, with the settings that were chosen."""
        spent = self._seconds(self.tried)
        features = self.fitting - sum(spent.values())
        return features + SETTLED * sum(spent.get(name, 0.0) for name in names)

    def _seconds(self, model: PlainModel) -> dict[str, float]:
        return {model_name(self.name, learner): spent for learner, spent in model.seconds().items()}

    def _all_names(self) -> set[str]:
        return {name for names in self._names(self.tried).values() for name in names}

    def _write(self) -> None:
        assert self.model is not None
        with writing(self.folder, how_to_finish()):
            discard(self.folder)
            self.model.save(self.folder)
            write_readers(self.folder, self.kept)

    def member(self) -> Member:
        """See :class:`Candidate`."""
        from polymodal.models.blend_members import PlainMember  # which needs torch

        return PlainMember(self.name, self.plain_answers().model)

    def plain_answers(self) -> PlainAnswers:
        """See :class:`Candidate`."""
        assert self.model is not None
        return PlainAnswers(self.name, self.model)

    def readers(self) -> Mapping[str, Reader]:
        """See :class:`Candidate`."""
        return {name: KeptReader(reader) for name, reader in self.kept.items()}

    @classmethod
    def load(cls, folder: Path, inputs: Sequence[str]) -> tuple[Member, Mapping[str, Reader]]:
        """See :class:`Candidate`."""
        from polymodal.models.blend_members import PlainMember  # which needs torch

        answers, readers = cls.load_plain(folder, inputs)
        return PlainMember(cls.name, answers.model), readers

    @classmethod
    def load_plain(cls, folder: Path, inputs: Sequence[str]) -> tuple[PlainAnswers, Mapping[str, Reader]]:
        """See :class:`Candidate`."""
        readers, model = load_readers(folder), PlainModel.load(folder)
        check_inputs(folder, readers, model, inputs)
        return PlainAnswers(cls.name, model), {name: KeptReader(reader) for name, reader in readers.items()}


def goal_of(config: TargetConfig, rows: _Rows, name: str, classes: int) -> tuple[Goal, np.ndarray]:
    """The goal of one target, and the indices of the rows whose answer is known and that count."""
    values, kind = rows.answers[name], KINDS[config.task]
    known = (
        values >= 0 if kind in ("classes", "ordered") else ~np.isnan(values).reshape(len(values), -1).any(1)
    )
    known &= True if rows.weights is None else rows.weights > 0
    index = np.flatnonzero(known)
    answers = values[index]
    if kind == "numbers":
        answers = answers.astype(np.float64)
        answers = np.clip(answers, 0, None) if config.transform == "log" else answers
    groups = (
        None if rows.groups is None else np.unique(rows.groups[index], return_inverse=True)[1].reshape(-1)
    )
    return Goal(
        kind=kind,
        values=answers if kind == "numbers" else answers.astype(np.int64),
        outputs=max(classes, 1),
        weights=None if rows.weights is None else rows.weights[index],
        transform="log" if config.transform == "log" else "none",
        balanced=config.class_weights == "balanced",
        groups=groups,
    ), index


def _each(rows: RowDataset) -> Iterator[dict[str, Any]]:
    for start in range(0, len(rows), AT_ONCE):
        yield from rows.__getitems__(range(start, min(start + AT_ONCE, len(rows))))
