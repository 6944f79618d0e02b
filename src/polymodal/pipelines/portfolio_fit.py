"""The steps of a fit of several candidates: each is tried, and the best blend of them is the run's model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from polymodal.answers.base import DECODERS, Decoder, SavedDecoder
from polymodal.answers.plain_answers import blend_logits
from polymodal.answers.plain_blend import PlainBlend
from polymodal.artifact.run_folder import CANDIDATES as FOLDER
from polymodal.candidates import CANDIDATES, HELD_OUT, Candidate, Tried
from polymodal.candidates.checks import NEURAL, needs_torch
from polymodal.candidates.choosing import Choice, choose_blend
from polymodal.candidates.leaderboard import Truth, answers_of, leaderboard
from polymodal.data.readers import Reader
from polymodal.data.readers.joint_reader import JointReader, joint_readers
from polymodal.data.row_processor import RowProcessor
from polymodal.errors import ConfigError, PolymodalError, one_line
from polymodal.pipelines.prediction_fit import PredictionFit
from polymodal.pipelines.time_limits import end_seconds
from polymodal.runs.prediction_run import PredictionRun
from polymodal.training.calibrate import Calibration, calibrate_on, tuned_targets
from polymodal.training.output_folder import how_to_finish, write_metrics
from polymodal.training.portfolio_results import Portfolio
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.recorded_metrics import FitResults, PredictionResults
from polymodal.utils import distributed as processes
from polymodal.utils.atomic import discard, writing
from polymodal.utils.deadline import Deadline, OutOfTime
from polymodal.utils.progress import note

if TYPE_CHECKING:
    from polymodal.data.processor import PolymodalProcessor
    from polymodal.models.blend import BlendedModel


class PortfolioFit(PredictionFit):
    """The steps of a fit of several candidates.

    Every candidate is fitted to the training rows and answers the validation rows; the weights of the blend
    are chosen by these answers. Under torchrun the main process alone fits the plain ones and the blend.
    """

    portfolio: Portfolio

    @property
    def neural(self) -> bool:  # type: ignore[override]
        """See :class:`FitSteps`."""
        return needs_torch(self.job.declaration)

    def train(self, *, resume: bool, quiet: bool) -> PredictionRun:
        """Try every candidate, choose the blend, and write what it uses."""
        candidates, left_out = self._prepared(quiet)
        kept, tried = self._try_candidates(candidates, left_out, resume=resume, quiet=quiet)
        made: list[PredictionRun] = []
        processes.on_main(lambda: made.append(self._blend(kept, tried, left_out, quiet)))
        return made[0] if made else self.load()

    def _prepared(self, quiet: bool) -> tuple[dict[str, Candidate], dict[str, str]]:
        """The candidates that can be built, which are printed, and why others cannot."""
        candidates: dict[str, Candidate] = {}
        models: dict[str, str] = {}
        left_out: dict[str, str] = {}
        for name in self.job.declaration.train.candidates or ():
            candidate = CANDIDATES[name](self.job, self.folder / FOLDER / name)
            reason = _lacking(candidate, candidates) or candidate.refusal()
            try:
                models |= {} if reason else {name: candidate.prepare()}
            except PolymodalError as error:  # the others may do without it; all processes have met it
                reason = one_line(str(error), 300)
            if reason:
                self._leave_out(name, reason, left_out, quiet)
            else:
                candidates[name] = candidate
        if candidates:
            self.print_plan(models, quiet)
        return candidates, left_out

    def _leave_out(self, name: str, reason: str, left_out: dict[str, str], quiet: bool) -> None:
        left_out[name] = reason
        self.remarks.show(notes=[_left_out(name, reason)], quiet=quiet or not processes.is_main())

    def _try_candidates(
        self, candidates: Mapping[str, Candidate], left_out: dict[str, str], *, resume: bool, quiet: bool
    ) -> tuple[dict[str, Candidate], dict[str, Tried]]:
        """Those that could be fitted, and what they came to (in the main process); others are left out.

        Raises:
            PolymodalError: If there is none.
            OutOfTime: If there is none for lack of time.
        """
        kept: dict[str, Candidate] = {}
        tried: dict[str, Tried] = {}
        late: list[OutOfTime] = []
        for number, (name, candidate) in enumerate(candidates.items()):
            shares = sum(each.share for each in list(candidates.values())[number:])
            candidate.whole, candidate.parts = self._before_the_end(kept), shares / candidate.share
            candidate.deadline = candidate.whole.share(candidate.parts)
            candidate.alone = not kept
            candidate.others = {other: kept[other] for other in candidate.needs if other in kept}
            if reason := _lacking(candidate, kept):
                self._leave_out(name, reason, left_out, quiet)
                continue
            try:
                self._try(candidate, tried, resume=resume, quiet=quiet)
                kept[name] = candidate
            except PolymodalError as error:
                self._leave_out(name, one_line(str(error), 300), left_out, quiet)
                late += [error] if isinstance(error, OutOfTime) else []
            processes.on_main(self.job.deadline.keep)
        if not kept and late:
            raise min(late, key=lambda error: error.shortest)
        if not kept:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            raise PolymodalError(f"no candidate can be fitted ({reasons})")
        return kept, tried

    def _before_the_end(self, kept: Mapping[str, Candidate]) -> Deadline:
        """When the fits have to be done, so that there is time for what follows."""
        deadline = self.job.deadline
        later = sum(candidate.later_seconds for candidate in kept.values())
        return deadline.before(end_seconds(deadline) + later)

    def _try(self, candidate: Candidate, tried: dict[str, Tried], *, resume: bool, quiet: bool) -> None:
        note(f"candidate {candidate.name}", quiet or not processes.is_main())

        def work() -> None:
            tried[candidate.name] = candidate.fit(resume=resume, quiet=quiet)

        if candidate.of_all_processes:
            work()
        else:
            processes.on_main(work)

    def _blend(
        self,
        kept: Mapping[str, Candidate],
        tried: Mapping[str, Tried],
        left_out: Mapping[str, str],
        quiet: bool,
    ) -> PredictionRun:
        """Choose the weights, keep the models that they use, calibrate, and write the run."""
        job = self.job
        _require_cover(job, kept, tried)
        decoders = _decoders(job)
        truth = {split: _truth(job, split) for split in ("train", *HELD_OUT)}
        choices = choose_blend(job, tried, decoders, truth)
        used = {name: set(choice.weights) for name, choice in choices.items()}
        for candidate in kept.values():
            candidate.deadline = job.deadline.before(end_seconds(job.deadline))
        finished = [line for each in kept.values() for line in each.finish(used, quiet=quiet)]
        self.calibration = self._calibrated(decoders, tried, choices, truth["validation"])
        board = leaderboard(job, tried, choices, decoders, truth, left_out)
        again = [name for name, candidate in kept.items() if candidate.fitted_again]
        self.portfolio = replace(board, fitted_again=again)
        blend, processor = _assembled(job, kept, tried, choices, decoders)
        self.trained = _log(kept, tried)
        known = self.calibration.notes  # what holds for the neural model too is noted once
        notes = [line for candidate in tried.values() for line in candidate.notes if line not in known]
        notes += finished
        notes += [_left_out(name, reason) for name, reason in left_out.items()]
        run = PredictionRun(self.folder, blend, processor, job.declaration)
        features = _cached(processor, kept)
        self.job = replace(job, processor=processor, features=features, notes=[*job.notes, *notes])
        with writing(self.folder, how_to_finish()):
            run.write(self.folder)
        return run

    def _calibrated(
        self,
        decoders: Mapping[str, Decoder],
        tried: Mapping[str, Tried],
        choices: Mapping[str, Choice],
        truth: Truth,
    ) -> Calibration:
        """Temperatures, thresholds and intervals of the blend, by the answers to the validation rows."""
        job, outputs = self.job, {}
        for name in tuned_targets(decoders, job.declaration) if len(job.splits["validation"]) else ():
            answers = answers_of(tried, "validation", name)
            outputs[name] = blend_logits(decoders[name], answers, choices[name].weights), truth[name]
        return calibrate_on(decoders, outputs, job.rows("validation"), job.declaration)

    def measure(self, run: PredictionRun, *, quiet: bool) -> PredictionResults:
        """The results of the blend, and ``candidates``: those of each model."""
        results = replace(super().measure(run, quiet=quiet), candidates=self.portfolio)
        write_metrics(run.folder, results)
        return results

    def write_pages(self, run: PredictionRun, results: FitResults) -> None:
        """See :class:`FitSteps`; the rows are read as the blend reads them."""
        self.job = replace(self.job, processor=run.reading, features={})
        super().write_pages(run, results)
        for name in self.job.declaration.train.candidates or ():
            discard(run.folder / FOLDER / name / "checkpoints")


def _lacking(candidate: Candidate, others: Collection[str]) -> str:
    """Which candidate it needs is not among those before it, in a line; empty if none."""
    absent = [f"'{name}'" for name in candidate.needs if name not in others]
    return f"it takes parts of {' and '.join(absent)}, fitted before it" if absent else ""


def _left_out(candidate: str, reason: str) -> str:
    return f"the candidate '{candidate}' is left out: {reason}"


def _require_cover(job: PredictionJob, kept: Mapping[str, Candidate], tried: Mapping[str, Tried]) -> None:
    """Check that every input is read, and every target predicted, by some candidate.

    Raises:
        ConfigError: Naming what is not.
    """
    names = ", ".join(kept)
    fix = "Add 'fused' to train.candidates, or leave it out"
    for name, config in job.declaration.inputs.items():
        if not any(name in candidate.readers() for candidate in kept.values()):
            raise ConfigError(f"no candidate ({names}) reads '{name}': {config.modality}. {fix}")
    for name, target in job.declaration.targets.items():
        if not any(name in entry.models for entry in tried.values()):
            raise ConfigError(f"no candidate ({names}) predicts '{name}': {target.task}. {fix}")


def _truth(job: PredictionJob, split: str) -> Truth:
    """The ground truth of the rows of a split; empty where it has no rows."""
    if not len(job.splits[split]):
        return {}
    values = job.answers(split)
    return {name: reader.as_array(list(values[name])) for name, reader in job.processor.targets.items()}


def _decoders(job: PredictionJob) -> dict[str, Decoder]:
    """By target what makes the blend's answers; that of a task of another package is its head."""
    answers, weights = job.answers(), job.weights()
    decoders: dict[str, Decoder] = {}
    for name, config in job.declaration.targets.items():
        if config.task in DECODERS:
            reader = job.processor.targets[name]
            decoders[name] = DECODERS[config.task].configured(config, reader, answers[name], weights)
    if len(decoders) == len(job.declaration.targets):
        return decoders
    from polymodal.models.build import build_heads

    heads = build_heads(job.declaration, job.processor, answers, weights)
    return {name: decoders[name] if name in decoders else head.decoder() for name, head in heads.items()}


def _assembled(
    job: PredictionJob,
    kept: Mapping[str, Candidate],
    tried: Mapping[str, Tried],
    choices: Mapping[str, Choice],
    decoders: Mapping[str, Decoder],
) -> tuple[PlainBlend | BlendedModel, RowProcessor]:
    """The blend of the models that have a weight, and the processor that feeds it."""
    inputs = list(job.declaration.inputs)
    weighted = {model for choice in choices.values() for model in choice.weights}
    names = {name: {model for own in entry.models.values() for model in own} for name, entry in tried.items()}
    used = [name for name in kept if names[name] & weighted]
    readers = {name: candidate.readers() for name, candidate in kept.items()}
    for name in (each for each in inputs if not any(each in readers[key] for key in used)):
        # No model with a weight reads it: one that does describes the input, without a part in the answers.
        used += [next(key for key, own in readers.items() if name in own)]
    needed = {other for name in used for other in kept[name].needs}
    used = [name for name in kept if name in used or name in needed]
    weights = {name: choice.weights for name, choice in choices.items()}
    joint = joint_readers({name: readers[name] for name in used}, inputs)
    own = {name: decoder for name, decoder in decoders.items() if isinstance(decoder, SavedDecoder)}
    if len(own) == len(decoders) and not any(kept[name].needs_torch for name in used):
        processor = RowProcessor(joint, job.processor.targets, job.processor.missing)
        plain = {name: kept[name].plain_answers() for name in used}
        return PlainBlend(inputs, plain, weights, own, processor), processor
    from polymodal.data.processor import PolymodalProcessor
    from polymodal.models.blend import BlendConfig, BlendedModel, head_of

    heads = {name: head_of(decoder) for name, decoder in decoders.items()}
    members = {name: kept[name].member() for name in used}
    model = BlendedModel(BlendConfig(inputs, list(heads)), members, weights, heads)
    return model, PolymodalProcessor(joint, job.processor.targets, job.processor.missing)


def _cached(processor: RowProcessor, kept: Mapping[str, Candidate]) -> dict[str, PolymodalProcessor]:
    """What reads the test rows for a blend: the outputs of encoders where the fit has kept them.

    Args:
        processor: Of the blend.
        kept: The candidates.
    """
    cached = {name: candidate.cached_readers() for name, candidate in kept.items()}
    if not any(cached.values()):
        return {}
    from polymodal.data.processor import PolymodalProcessor

    readers: dict[str, Reader] = {}
    for name, reader in processor.readers.items():
        assert isinstance(reader, JointReader)
        readers[name] = JointReader({key: cached[key].get(name, part) for key, part in reader.parts.items()})
    return {"test": PolymodalProcessor(readers, processor.targets, processor.missing)}


def _log(kept: Mapping[str, Candidate], tried: Mapping[str, Tried]) -> dict[str, Any]:
    """The log of the training: of the neural model where there is one, with the seconds of all."""
    seconds = sum(spent for candidate in tried.values() for spent in candidate.seconds.values())
    fused = kept.get(NEURAL)
    trained = {} if fused is None else fused.log
    empty: dict[str, Any] = {
        "threads": None,
        "rows_per_second": None,
        "epochs": None,
        "best": {},
        "history": [],
    }
    return {**empty, **trained, "seconds": seconds}
