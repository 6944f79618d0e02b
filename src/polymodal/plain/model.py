"""Plain model: featurizers of all inputs, and for each target several learners on their blocks."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np

from polymodal.errors import PolymodalError, one_line
from polymodal.plain.blocks import Block, Blocks
from polymodal.plain.coded_numbers import coded_name, useful_codes, without_codes
from polymodal.plain.features import FEATURIZERS, Featurizer, NumberFeaturizer
from polymodal.plain.learners import LEARNERS, Goal, Learner
from polymodal.plain.storage import as_list, as_number, as_object, read_state, refusing, write_state
from polymodal.utils.deadline import NO_LIMIT, Deadline, bounded, in_words
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry

Contents: TypeAlias = Mapping[str, Sequence[list[Any]]]
"""By input, per row what its reader kept of each item; an empty list where the input is missing."""
LEAST = 1.0
"""Seconds below which no further learner is begun."""
SETTLED = 0.5
"""Seconds of a fit within a fold in those of the whole, which chose its settings too."""
LOG = "_log"
"""Ends the names of learners of the logarithm, where a target is learned as it is too."""
FORMAT = 1
"""Version of the folder that :meth:`PlainModel.save` writes."""


@dataclass(frozen=True)
class Member:
    """A fitted learner of a target, and the seconds that its fit took."""

    learner: Learner
    seconds: float


class PlainModel:
    """Learners without a neural network, on features of all inputs.

    Args:
        featurizers: By input, in declared order; they are fitted by :meth:`fit`.
        learners: Names of the learners; None for all.
        seed: Seed of all draws.
        threads: Most threads of a learner; None for its default.

    Attributes:
        kinds: The classes of the learners, by name.
        members: By target and learner, what was fitted.
        left_out: By target and learner, why a learner is not used, in one line.
        coded: By target, the whole numbers that its learners read as categories, too; of a fit alone.
    """

    kinds: ClassVar[Registry[type[Learner]] | Mapping[str, type[Learner]]] = LEARNERS
    learns_both: ClassVar[bool] = True
    """Whether a goal of ``both`` is fitted twice; if not, by its transform alone."""

    def __init__(
        self,
        featurizers: Mapping[str, Featurizer],
        *,
        learners: Sequence[str] | None = None,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.featurizers = dict(featurizers)
        self.learners = tuple(self.kinds) if learners is None else tuple(learners)
        self.seed, self.threads = seed, threads
        self.members: dict[str, dict[str, Member]] = {}
        self.left_out: dict[str, dict[str, str]] = {}
        self.coded: dict[str, frozenset[str]] = {}

    def new_learner(self, name: str) -> Learner:
        """A learner that is not fitted yet."""
        return self._kind(name)()

    def _kind(self, name: str) -> type[Learner]:
        return self.kinds[name if name in self.kinds else name.removesuffix(LOG)]

    def _names(self, goal: Goal) -> tuple[str, ...]:
        """The learners of a goal: of one that is learned as it is and as logarithm, each of them twice."""
        names = [name for name in self.learners if self.kinds[name].suits(goal.kind, goal.outputs)]
        logs = [f"{name}{LOG}" for name in names] if goal.both and self.learns_both else []
        return (*names, *logs)

    def fit(
        self,
        contents: Contents,
        goals: Mapping[str, Goal],
        rows: Mapping[str, np.ndarray] | None = None,
        *,
        learners: Mapping[str, Sequence[str]] | None = None,
        like: PlainModel | None = None,
        deadline: Deadline = NO_LIMIT,
    ) -> Self:
        """Fit the featurizers to all rows, and the learners of each target to the rows that have an answer.

        Args:
            contents: The training rows.
            goals: By target, the known answers.
            rows: By target, ``(answers,)`` the indices of their rows; all rows where a target is not named.
            learners: By target the names of the only members; by default all.
            like: A model that was fitted to most of these rows: what it chose by inner folds is not chosen
                again.
            deadline: Learners that come too late are left out; the first of a target is always fitted.
        """
        for name, featurizer in self.featurizers.items():
            featurizer.fit(contents[name])
        blocks = self.blocks(contents)
        for number, (target, goal) in enumerate(goals.items()):
            index = (rows or {}).get(target)
            known = {} if like is None else like.members.get(target, {})
            names = None if learners is None else learners.get(target, ())
            own = blocks if index is None else rows_of(blocks, index)
            if like is not None and target in like.coded:
                self.coded[target] = like.coded[target]
            self.fit_target(target, own, goal, known, names, deadline.share(len(goals) - number))
        self.forget_codes()
        return self

    def forget_codes(self) -> None:
        """Forget the codes of numbers that no member reads; of a fitted model, not of one that was loaded."""
        read = {name for target, own in self.members.items() if own for name in self.coded[target]}
        for name, featurizer in self.featurizers.items():
            if isinstance(featurizer, NumberFeaturizer) and coded_name(name) not in read:
                featurizer.forget_codes()

    def seconds(self) -> dict[str, float]:
        """The seconds of each learner, over all targets."""
        spent: dict[str, float] = {}
        for members in self.members.values():
            for name, member in members.items():
                spent[name] = spent.get(name, 0.0) + member.seconds
        return spent

    def hurried(self) -> dict[str, list[str]]:
        """By target the learners that tried fewer settings than without a time limit."""
        return {
            target: [name for name, member in members.items() if member.learner.hurried]
            for target, members in self.members.items()
        }

    def fit_target(
        self,
        target: str,
        blocks: Blocks,
        goal: Goal,
        known: Mapping[str, Member] | None = None,
        names: Sequence[str] | None = None,
        deadline: Deadline = NO_LIMIT,
    ) -> None:
        """Fit the learners of one target, all or ``names``; ``known`` ones have chosen their settings."""
        self.left_out[target] = {}
        if target not in self.coded:
            self.coded[target] = useful_codes(blocks, goal, self.seed, deadline)
        self.members[target] = self._fitted(
            without_codes(blocks, self.coded[target]),
            goal,
            self.left_out[target],
            names,
            known=known or {},
            deadline=deadline,
        )

    def out_of_fold(
        self,
        contents: Contents,
        goal: Goal,
        folds: np.ndarray,
        *,
        target: str = "",
        deadline: Deadline = NO_LIMIT,
    ) -> dict[str, np.ndarray]:
        """Predictions for each row by learners that were fitted to the rows of the other folds.

        Featurizers are fitted within the folds as well, so that no vocabulary or scale knows the rows held
        out. The model itself does not change; what its learners chose by inner folds is not chosen again.
        Learners that fail in a fold are noted in ``left_out``.

        Args:
            contents: The rows of ``goal``.
            goal: The answers.
            folds: ``(rows,)`` int, the fold of each row.
            target: The name under which reasons are noted.
            deadline: Of all folds.

        Returns:
            By learner, ``(rows, classes)``, ``(rows, labels)`` or ``(rows,)``, without learners that could
            not be fitted in every fold.

        Raises:
            OutOfTime: If a fold shows that the others come too late.
        """
        reasons = self.left_out.setdefault(target, {})
        shape = (len(goal),) if goal.kind == "numbers" else (len(goal), goal.outputs)
        known = self.members.get(target, {})
        # Only learners that the model has: one that was refused on all rows might be fitted to fewer.
        names = list(known) if target in self.members else self._names(goal)
        results = {name: np.full(shape, np.nan) for name in names}
        shared = _Shared(self.featurizers, contents)
        numbers = np.unique(folds)
        what = f"predicting the training rows in {len(numbers)} folds"
        if deadline.is_set:
            deadline.require(len(numbers) * SETTLED * sum(each.seconds for each in known.values()), what)
        for fold in bounded(numbers, len(numbers), deadline, what, after=1):
            train, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            seen, unseen = shared.fold_blocks(train, held)
            seen = without_codes(seen, self.coded.get(target, frozenset()))
            members = self._fitted(
                seen, goal.rows(train), reasons, tuple(results), known=known, deadline=deadline
            )
            results = {name: results[name] for name in members}
            for name, member in members.items():
                results[name][held] = member.learner.predict(unseen)
        return results

    def blocks(self, contents: Contents) -> Blocks:
        """The features of rows, by the fitted featurizers."""
        parts = {name: featurizer.blocks(contents[name]) for name, featurizer in self.featurizers.items()}
        return _named(parts)

    def input_blocks(self, name: str, items: Sequence[list[Any]]) -> Blocks:
        """The features of one input, per row what its reader kept of each item."""
        return _named({name: self.featurizers[name].blocks(items)})

    def predict(self, contents: Contents) -> dict[str, dict[str, np.ndarray]]:
        """Predictions for rows, see :meth:`predict_blocks`."""
        return self.predict_blocks(self.blocks(contents))

    def predict_blocks(self, blocks: Blocks) -> dict[str, dict[str, np.ndarray]]:
        """Predictions by target and learner.

        Args:
            blocks: Features of rows; where an input is removed, NaN, or an empty row of a sparse block.

        Returns:
            ``(rows, classes)`` probabilities, ``(rows, labels)`` probabilities, or ``(rows,)`` numbers.
        """
        return {
            target: {name: member.learner.predict(blocks) for name, member in members.items()}
            for target, members in self.members.items()
        }

    def save(self, folder: Path) -> None:
        """Write the fitted model into a new folder; no pickle: JSON, arrays, and the text of trees."""
        inputs, targets = list(self.featurizers.items()), list(self.members.items())
        for number, (_, featurizer) in enumerate(inputs):
            write_state(folder / f"input{number}", featurizer.settings(), featurizer.arrays())
        for number, (_, members) in enumerate(targets):
            for name, member in members.items():
                member.learner.save(folder / f"target{number}" / name)
        seconds = {
            target: {name: member.seconds for name, member in each.items()} for target, each in targets
        }
        settings: Settings = {
            "format": FORMAT,
            "inputs": [[name, featurizer.modality] for name, featurizer in inputs],
            "targets": [[target, list(members)] for target, members in targets],
            "seconds": seconds,
            "left_out": self.left_out,
            "learners": list(self.learners),
            "seed": self.seed,
        }
        write_state(folder, settings, {})

    @classmethod
    def load(cls, folder: Path, *, threads: int | None = None) -> Self:
        """Read what :meth:`save` wrote; nothing of it is executed.

        Raises:
            RunError: If a file is missing or is not what :meth:`save` writes.
            ConfigError: If a featurizer or learner comes from a package that is not installed.
        """
        with refusing(folder):
            settings, _ = read_state(folder)
            if settings.get("format") != FORMAT:
                raise ValueError(f"format {settings.get('format')}, expected {FORMAT}")
            featurizers = {}
            for number, entry in enumerate(as_list(settings["inputs"], "inputs")):
                name, modality = as_list(entry, "inputs")
                featurizers[str(name)] = FEATURIZERS[str(modality)].restore(
                    *read_state(folder / f"input{number}")
                )
            learners = [str(name) for name in as_list(settings["learners"], "learners")]
            model = cls(featurizers, learners=learners, seed=int(str(settings["seed"])), threads=threads)
            model._load_members(folder, settings)
        return model

    def _load_members(self, folder: Path, settings: Settings) -> None:
        seconds = as_object(settings["seconds"], "seconds")
        for missed, reasons in as_object(settings["left_out"], "left_out").items():
            lines = as_object(reasons, "left_out")
            self.left_out[missed] = {name: str(reason) for name, reason in lines.items()}
        for number, entry in enumerate(as_list(settings["targets"], "targets")):
            target, names = as_list(entry, "targets")
            spent = as_object(seconds[str(target)], "seconds")
            self.members[str(target)] = {}
            for each in as_list(names, "targets"):
                name = str(each)
                learner = self._kind(name).load(folder / f"target{number}" / name)
                learner.threads = self.threads
                self.members[str(target)][name] = Member(learner, as_number(spent[name], "seconds"))

    def _fitted(
        self,
        blocks: Blocks,
        goal: Goal,
        reasons: dict[str, str],
        names: Sequence[str] | None = None,
        *,
        known: Mapping[str, Member] = MappingProxyType({}),
        deadline: Deadline = NO_LIMIT,
    ) -> dict[str, Member]:
        """The learners that can be fitted; why another cannot is added to ``reasons``."""
        members: dict[str, Member] = {}
        wanted = list(self._names(goal) if names is None else names)
        if deadline.is_set:
            wanted.sort(key=lambda name: self._kind(name).rank)
        for number, name in enumerate(wanted):
            learner, own = self.new_learner(name), goal
            if self.learns_both:
                own = goal.of_log(name not in self.kinds)
            if name in known:
                learner.settle(known[name].learner)
            reason = learner.can_fit(own, blocks)
            if not reason and members and deadline.left < LEAST:
                reason = f"there is no time for it in the limit of {in_words(deadline.limit)}"
            learner.deadline = deadline.share(len(wanted) - number)
            began = time.perf_counter()
            try:
                if not reason:
                    learner.fit(blocks, own, seed=self.seed, threads=self.threads)
                    members[name] = Member(learner, time.perf_counter() - began)
            except (PolymodalError, ValueError, ArithmeticError, MemoryError) as error:
                # A learner that fails does not cost the others; the line is shown where learners are listed.
                reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            if reason:
                reasons[name] = one_line(reason, 300)
        return {name: members[name] for name in (*self._names(goal), *wanted) if name in members}


class _Shared:
    """Blocks within folds; features that do not depend on the training rows are computed once."""

    def __init__(self, featurizers: Mapping[str, Featurizer], contents: Contents) -> None:
        self.featurizers, self.contents = featurizers, contents
        self.whole = {
            name: copy.deepcopy(featurizer).fit(contents[name]) for name, featurizer in featurizers.items()
        }
        self.known: dict[str, dict[str, Block]] = {}

    def fold_blocks(self, train: np.ndarray, held: np.ndarray) -> tuple[Blocks, Blocks]:
        """Blocks of the rows to fit to, and of those held out, by featurizers fitted to the former."""
        seen: dict[str, dict[str, Block]] = {}
        unseen: dict[str, dict[str, Block]] = {}
        for name, prototype in self.featurizers.items():
            rows = self.contents[name]
            own, other = [rows[index] for index in train], [rows[index] for index in held]
            featurizer = copy.deepcopy(prototype).fit(own)
            if _is_same(featurizer, self.whole[name]):
                if name not in self.known:
                    self.known[name] = self.whole[name].blocks(rows)
                seen[name] = {part: block.rows(train) for part, block in self.known[name].items()}
                unseen[name] = {part: block.rows(held) for part, block in self.known[name].items()}
            else:
                seen[name], unseen[name] = featurizer.blocks(own), featurizer.blocks(other)
        return _named(seen), _named(unseen)


def rows_of(blocks: Blocks, index: np.ndarray) -> Blocks:
    """The blocks of some rows, by their indices or a mask."""
    return {name: block.rows(index) for name, block in blocks.items()}


def _named(parts: Mapping[str, Mapping[str, Block]]) -> Blocks:
    """By "<input>" or "<input>/<part>"."""
    return {
        f"{name}/{part}" if part else name: block
        for name, blocks in parts.items()
        for part, block in blocks.items()
    }


def _is_same(one: Featurizer, other: Featurizer) -> bool:
    """Whether two featurizers learned the same."""
    first, second = one.arrays(), other.arrays()
    if one.settings() != other.settings() or first.keys() != second.keys():
        return False
    return all(np.array_equal(first[name], second[name]) for name in first)
