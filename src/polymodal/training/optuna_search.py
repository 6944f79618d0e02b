"""Hyperparameter search with the Trainer's Optuna backend, on the validation rows."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import set_seed
from transformers.trainer_callback import PrinterCallback

from polymodal.config import Declaration, FusionConfig
from polymodal.data.collator import Collator
from polymodal.errors import ConfigError, PolymodalError, Terminated
from polymodal.models.fusion import FUSIONS
from polymodal.models.modeling import LearningModel
from polymodal.training.declaration.validation import check_fusion, fusion_configs
from polymodal.training.frozen_features import encode_frozen
from polymodal.training.loop.arguments import steps_an_epoch, training_arguments
from polymodal.training.loop.defaults import epochs_an_evaluation
from polymodal.training.loop.model_selection import best_epoch, validation_metrics
from polymodal.training.loop.patience import PatienceOnceSlow
from polymodal.training.loop.trainer import PolymodalTrainer
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.warm_start.load import build_started
from polymodal.utils.progress import CONSOLE

RANGE = 10.0
"""How many times more, and less, than declared a learning rate may become."""
RANDOM_TRIALS = 8
"""Trials before the sampler follows what it has learned."""
UNDISTURBED = 0.3
"""Share of the steps before a trial that is worse than most may be cut short."""
STUDY, DECLARATION, SECONDS = "search", "declaration", "seconds"
"""Names in the journal: of the study, of what it is a search for, and of what a trial that ended has."""

Choice = dict[str, Any]
"""``learning_rate``, ``pretrained_learning_rate`` if something pretrained learns, 
``continued_learning_rate`` from another run, ``width``, ``fusion``."""


@dataclass(frozen=True)
class Space:
    """What may be chosen, and what was declared."""

    declared: Choice
    rates: dict[str, tuple[float, float]]
    widths: list[int]
    fusions: list[str]

    def suggest(self, trial: Any) -> Choice:
        """The hyperparameters of a trial; the same for repeated calls with one trial."""
        choice: Choice = {
            name: trial.suggest_float(name, low, high, log=True) for name, (low, high) in self.rates.items()
        }
        choice["width"] = trial.suggest_categorical("width", self.widths)
        return choice | {"fusion": trial.suggest_categorical("fusion", self.fusions)}


def make_space(declaration: Declaration) -> Space:
    """Learning rates within :data:`RANGE`; half, once and twice the width; every fusion that can be so."""
    train, fusion, inputs = declaration.train, declaration.fusion, declaration.inputs
    rates = {"learning_rate": train.learning_rate}
    learning = [c for c in inputs.values() if c.encoder and c.encoder.checkpoint and not (c.freeze or c.lora)]
    if (learning or declaration.start) and train.pretrained_learning_rate:
        rates["pretrained_learning_rate"] = train.pretrained_learning_rate
    if train.continued_learning_rate:
        rates["continued_learning_rate"] = train.continued_learning_rate
    sizes = dict.fromkeys([max(8, fusion.width // 16 * 8), fusion.width, 2 * fusion.width])
    widths = [width for width in sizes if _fits(fusion, width, list(inputs))]
    fusions = [
        name
        for name, config in fusion_configs(fusion, list(FUSIONS)).items()
        if all(_fits(config, width, list(inputs)) for width in widths)
    ]
    ranges = {name: (rate / RANGE, rate * RANGE) for name, rate in rates.items()}
    return Space(rates | {"width": fusion.width, "fusion": fusion.name}, ranges, widths, fusions)


def _fits(config: FusionConfig, width: int, inputs: list[str]) -> bool:
    try:
        check_fusion(config.model_copy(update={"width": width}), inputs)
    except ConfigError:
        return False
    return True


def chosen(declaration: Declaration, choice: Mapping[str, Any]) -> Declaration:
    """The declaration with the hyperparameters of a trial."""
    config = fusion_configs(declaration.fusion, list(FUSIONS))[choice["fusion"]]
    rates = {name: choice[name] for name in choice if name.endswith("learning_rate")}
    changed = {
        "fusion": config.model_copy(update={"width": choice["width"]}),
        "train": declaration.train.model_copy(update=rates),
    }
    return declaration.model_copy(update=changed)


def load_optuna() -> Any:
    """Import Optuna.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError("a search needs Optuna: pip install 'polymodal[tune]'") from None
    return optuna


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silence Optuna's log inside the block; we print a line per trial."""
    optuna = load_optuna()
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def read_study(journal: Path) -> Any:
    """The study kept in ``journal``."""
    optuna = load_optuna()
    return optuna.load_study(storage=_storage(journal), study_name=STUDY)


def _storage(journal: Path) -> Any:
    optuna = load_optuna()
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))


def begin_study(journal: Path, declaration: Declaration) -> None:
    """Keep a new study in ``journal``; its first trial is what is declared."""
    study = load_optuna().create_study(storage=_storage(journal), study_name=STUDY, direction="maximize")
    study.set_user_attr(DECLARATION, declaration.to_yaml())
    study.enqueue_trial(make_space(declaration).declared)


def run_trials(job: PredictionJob, journal: Path, trials: int, *, quiet: bool = True) -> Any:
    """Let the study in ``journal`` come to ``trials`` trials, and return it.

    All train from the seed of the declaration, which seeds the sampler too (tree-structured Parzen estimator;
    Bergstra et al. 2011).

    Args:
        job: Checked.
        journal: See :func:`begin_study`; it lies in the run folder.
        trials: Their number, those included that the study has.
        quiet: Print nothing.

    Raises:
        PolymodalError: If no trial came to its end.
    """
    optuna = load_optuna()
    study = read_study(journal)
    done = len(finished(study))
    _take_up(study)
    if trials > done:
        trainer = SearchTrainer(job, journal.parent, trials, quiet=quiet)
        # What draws after an interruption must not draw the same again.
        sampler = optuna.samplers.TPESampler(
            seed=job.declaration.train.seed + done, n_startup_trials=RANDOM_TRIALS
        )
        try:
            trainer.hyperparameter_search(
                hp_space=lambda trial: {"learning_rate": trainer.space.suggest(trial)["learning_rate"]},
                compute_objective=lambda _: trainer.objective_so_far(),
                n_trials=trials - done,
                direction="maximize",
                backend="optuna",
                storage=_storage(journal),
                study_name=STUDY,
                load_if_exists=True,
                sampler=sampler,
                pruner=optuna.pruners.MedianPruner(n_warmup_steps=math.ceil(UNDISTURBED * trainer.steps)),
                catch=(PolymodalError,),
            )
        except ValueError:  # Transformers reads the best trial at the end
            _require_one(read_study(journal))
            raise
    _require_one(study)
    return study


def _require_one(study: Any) -> None:
    if not study.get_trials(states=(load_optuna().trial.TrialState.COMPLETE,)):
        reasons = [trial.user_attrs["error"] for trial in study.trials if "error" in trial.user_attrs]
        raise PolymodalError(f"no trial of the search came to its end: {reasons[-1]}")


def finished(study: Any) -> list[Any]:
    """The trials that came to an end: whole, cut short, or failed by themselves."""
    return [trial for trial in study.trials if trial.state.is_finished() and SECONDS in trial.user_attrs]


def _take_up(study: Any) -> None:
    """Trials that were interrupted are tried again."""
    state = load_optuna().trial.TrialState
    known = study.user_attrs.get("taken_up", [])
    broken = [
        trial
        for trial in study.get_trials(states=(state.RUNNING, state.FAIL))
        if SECONDS not in trial.user_attrs and trial.number not in known
    ]
    study.set_user_attr("taken_up", [*known, *(trial.number for trial in broken)])
    for trial in broken:
        if trial.state == state.RUNNING:
            study.tell(trial.number, state=state.FAIL)
        study.enqueue_trial(trial.params or trial.system_attrs.get("fixed_params", {}))


class FreshPatience(PatienceOnceSlow):
    """Early stopping whose patience is reset at the start of every trial."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Reset the counter of the previous trial."""
        self.early_stopping_patience_counter = 0
        super().on_train_begin(args, state, control, **kwargs)


class SearchTrainer(PolymodalTrainer):
    """A Trainer that builds the model of each trial, and keeps none.

    Args:
        job: Checked.
        folder: Of the run.
        trials: Their number, for the progress.
        quiet: Print nothing.
    """

    def __init__(self, job: PredictionJob, folder: Path, trials: int, *, quiet: bool) -> None:
        self.job, self.trials, self.quiet = job, trials, quiet
        self.space, config = make_space(job.declaration), job.declaration.train
        encode_frozen(job, build_started(job, job.declaration), quiet=quiet)
        dropout = (config.modality_dropout or 0.0) if len(job.declaration.inputs) > 1 else 0.0
        rows = job.rows("train", dropout=dropout)
        arguments = training_arguments(config, folder, len(rows)).set_save(strategy="no")
        arguments.load_best_model_at_end = False
        super().__init__(
            model_init=self.build, args=arguments,
            data_collator=Collator(rows.processor, for_objectives=bool(job.declaration.objectives)),
            train_dataset=rows, eval_dataset=job.rows("validation"),
            pretrained_learning_rate=config.pretrained_learning_rate,
            continued_learning_rate=config.continued_learning_rate, layer_decay=config.layer_decay,
        )  # fmt: skip
        self.remove_callback(PrinterCallback)
        if config.patience and config.epochs:
            self.add_callback(FreshPatience(math.ceil(config.patience / epochs_an_evaluation(config.epochs))))
        an_epoch = steps_an_epoch(len(rows), self.args.train_batch_size, config.arguments)
        self.steps = int(self.args.max_steps if self.args.max_steps > 0 else an_epoch * (config.epochs or 1))

    def build(self, trial: Any = None) -> LearningModel:
        """The model of a trial, and what measures it."""
        choice = self.space.declared if trial is None else self.space.suggest(trial)
        declaration = chosen(self.job.declaration, choice)
        self.pretrained_learning_rate = declaration.train.pretrained_learning_rate
        self.continued_learning_rate = declaration.train.continued_learning_rate
        model = build_started(self.job, declaration)
        self.compute_metrics = validation_metrics(
            dict(model.named_heads()), self.job.metric, model.weighting, dict(model.named_objectives())
        )
        set_seed(self.args.seed)  # a plain fit seeds again once the model is built
        return model

    def objective_so_far(self) -> float:
        """What picks the best epoch, of the best epoch so far."""
        entry, value = best_epoch(self.state.log_history, self.job.metric)
        cast(Any, self._trial).set_user_attr("validation", value)
        return float(entry["eval_selection"])

    def train(
        self, resume_from_checkpoint: Any = None, trial: Any = None, ignore_keys_for_eval: Any = None
    ) -> Any:
        """Train as :meth:`transformers.Trainer.train`; record the trial's time and print its result."""
        started = time.perf_counter()
        try:
            return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)
        except PolymodalError as error:
            trial.set_user_attr("error", str(error).splitlines()[0])
            raise
        finally:
            if not isinstance(sys.exception(), (KeyboardInterrupt, Terminated)):
                trial.set_user_attr(SECONDS, time.perf_counter() - started)
                self._print_trial(trial)

    def _print_trial(self, trial: Any) -> None:
        if self.quiet:
            return
        choice = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                           for name, value in trial.params.items())  # fmt: skip
        name, value = self.job.metric, trial.user_attrs.get("validation")
        result = trial.user_attrs.get("error") or f"validation {name} {value:.4g}"
        CONSOLE.print(f"trial {trial.number + 1} of {self.trials}: {choice}: {result}", soft_wrap=True)
