"""Trainer with atomic checkpoints, from which it can be resumed."""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerState
from transformers.integrations import TensorBoardCallback
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_callback import PrinterCallback

from polymodal.config import TrainConfig
from polymodal.errors import RunError, option, worded
from polymodal.training.loop.arguments import compiling, log_folder
from polymodal.training.loop.batch_parts import BatchParts
from polymodal.training.loop.checkpoints import (
    PART,
    PREFIX,
    SECONDS,
    STATE,
    BestCheckpoint,
    checkpoints,
    damaged,
    has_ended,
    last_readable,
    point_to_best,
    publish,
    seconds_of,
    state_of,
    step,
)
from polymodal.training.loop.defaults import epochs_an_evaluation
from polymodal.training.loop.patience import PatienceOnceSlow
from polymodal.training.loop.stopping import EpochOfRows, StopAtStep
from polymodal.training.loop.thread_timing import Step, settle_threads
from polymodal.training.loop.time_limit import EndOnTime
from polymodal.training.loop.training_progress import TrainingProgress
from polymodal.utils.atomic import discard, give_usual_mode, write_text, writing
from polymodal.utils.deadline import NO_LIMIT
from polymodal.utils.distributed import is_main, on_main
from polymodal.utils.out_of_memory import is_out_of_memory
from polymodal.utils.progress import about, note

REFUSED = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, pickle.UnpicklingError)
"""What libraries raise for a checkpoint of another model, or that no training wrote."""


def _not_fitting(checkpoint: str | Path | None, error: Exception) -> RunError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return RunError(f"{checkpoint}: does not fit this training ({reason}). {damaged()}")


@dataclass(frozen=True)
class Legs:
    """The duration of a training, which was resumed maybe.

    Attributes:
        seconds: Of all legs, each up to the checkpoint that the next one started from.
        earlier_seconds: Of all but the last.
        earlier_epochs: Trained for in these.
    """

    seconds: float = 0.0
    earlier_seconds: float = 0.0
    earlier_epochs: float = 0.0

    def per_second(self, an_epoch: float, history: Sequence[Mapping[str, Any]], epochs: float) -> float:
        """How many rows or tokens were trained on per second, in the last leg that trained.

        Args:
            an_epoch: Rows or tokens of an epoch.
            history: The log of the training.
            epochs: Trained for, all legs counted.
        """
        if epochs <= self.earlier_epochs:
            return an_epoch * epochs / self.seconds
        seconds = self.seconds - self.earlier_seconds
        measured = (entry["train_runtime"] for entry in reversed(history) if "train_runtime" in entry)
        return an_epoch * (epochs - self.earlier_epochs) / next(measured, seconds)


class CheckpointedTrainer(Trainer):
    """Trainer with atomic checkpoints that ends with the model of its best epoch."""

    model: nn.Module

    clock: EndOnTime | None = None
    """Ends the training in time."""

    _saving = False
    _legs = Legs()
    _started = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parts = BatchParts(self.args)

    def run(self, config: TrainConfig, *, metric: str, resume: bool, quiet: bool = True) -> Legs:
        """Train to the end, and load the model of the best epoch.

        Args:
            config: The ``train`` section, its epochs a number.
            metric: Of the model selection, which the progress shows.
            resume: Resume from the last complete checkpoint, if there is one.
            quiet: Print nothing.

        Returns:
            How long it took.

        Raises:
            RunError: If a checkpoint cannot be written, the model cannot be compiled, or memory is too small.
        """
        self._started, quiet = time.perf_counter(), quiet or not is_main()
        self.remove_callback(PrinterCallback)
        if config.patience and config.epochs:
            evaluations = math.ceil(config.patience / epochs_an_evaluation(config.epochs))
            self.add_callback(PatienceOnceSlow(evaluations))
        self.add_callback(BestCheckpoint)
        self._keep_logs()
        if self.clock is not None:
            self.add_callback(self.clock)
        stop = StopAtStep()
        self.add_callback(stop)
        self.add_callback(EpochOfRows(self.train_dataset))
        output = Path(str(self.args.output_dir))
        on_main(lambda: discard(output / PART))
        last = on_main(lambda: last_readable(output)) if resume else []
        if last:
            self._legs = self._resumed(last[0], quiet)
        resumed = bool(last)
        timed = settle_threads(self.args, self.model, self.timed_step, config, resumed=resumed, quiet=quiet)
        if not quiet:
            every = epochs_an_evaluation(config.epochs or 1)
            self.add_callback(
                TrainingProgress(
                    metric,
                    lambda: self._patience_left(every),
                    passes=timed,
                    deadline=self.clock.deadline if self.clock else NO_LIMIT,
                )
            )
        if last and has_ended(last[0]):
            self.take_best(last[0])
        else:
            with compiling(self.args), stop.listening(self.args.world_size), self._progress_ending():
                self._train_in_memory(last[0] if last else None)
        return replace(self._legs, seconds=self._seconds())

    def _resumed(self, checkpoint: Path, quiet: bool) -> Legs:
        """The legs up to a checkpoint, which are printed."""
        epochs, seconds = state_of(checkpoint)["epoch"], seconds_of(checkpoint)
        spent = f", after {about(seconds)}" if seconds else ""
        note(f"resumed at epoch {round(epochs, 2):g}{spent}", quiet)
        return Legs(seconds, seconds, epochs)

    def _keep_logs(self) -> None:
        """Write what TensorBoard shows into the run folder, unless the environment names another."""
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
                callback.logging_dir = str(log_folder(Path(str(self.args.output_dir))))

    def _seconds(self) -> float:
        """How long the training took so far, all legs counted."""
        return self._legs.earlier_seconds + time.perf_counter() - self._started

    def _patience_left(self, every: int) -> int | None:
        """Epochs without a better one that are left; None while patience does not count.

        Args:
            every: Epochs between two evaluations.
        """
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, PatienceOnceSlow):
                left = callback.left(self.state.global_step)
                return None if left is None else left * every
        return None

    def _load_callback_state(self) -> None:
        """Load as the Trainer, which puts the early stopping behind the progress that prints its count."""
        super()._load_callback_state()
        for callback in [
            each for each in self.callback_handler.callbacks if isinstance(each, TrainingProgress)
        ]:
            self.remove_callback(callback)
            self.add_callback(callback)

    @contextmanager
    def _progress_ending(self) -> Iterator[None]:
        """End the bar also where the training is interrupted."""
        try:
            yield
        finally:
            for callback in self.callback_handler.callbacks:
                if isinstance(callback, TrainingProgress):
                    callback.meter.end()

    def _train_in_memory(self, checkpoint: Path | None) -> None:
        """Train, from a checkpoint or from the beginning.

        Raises:
            RunError: If the memory of the device does not hold a batch.
        """
        try:
            self._train_on(checkpoint) if checkpoint else self.train()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise self.parts.too_little_memory() from error

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """The Trainer's, with as many rows at once as fit into memory."""
        once = super().training_step

        def work(batch: Any) -> Tensor:
            parts = self.parts.of(batch)
            items = num_items_in_batch if len(parts) == 1 else self.normalizers(batch, num_items_in_batch)
            return torch.stack([once(model, part, items) for part in parts]).sum()

        loss = self.parts.step(inputs, work, model.zero_grad)
        if self.accelerator.sync_gradients:
            self.parts.end_step()
        return loss

    def normalizers(self, batch: Any, items: Any) -> Any:
        """What normalizes the losses of the parts of a batch; ``items`` where that is known for its step."""
        assert items is not None, "the mean of each part would be added, not of the batch"
        return items

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The Trainer's, with as many rows at once as fit into memory."""
        return self.parts.evaluation(lambda: self.evaluated(*args, **kwargs))

    def evaluated(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The Trainer's evaluation."""
        return super().evaluate(*args, **kwargs)

    def _train_on(self, checkpoint: Path) -> None:
        """Resume from a checkpoint; a wrong one may fail as late as in the first step.

        Raises:
            RunError: If it does not fit this training.
        """
        try:
            self.train(resume_from_checkpoint=str(checkpoint))
        except REFUSED as error:
            if self.state.global_step > step(checkpoint) or is_out_of_memory(error):
                raise
            raise _not_fitting(checkpoint, error) from error

    def step_loss(self, model: nn.Module, inputs: Any, items: Any = None) -> tuple[Any, Any]:
        """Loss and output of a batch; ``items`` normalizes the losses of a step."""
        loss, output = super().compute_loss(model, inputs, True, items)
        return loss, output

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """The Trainer's schedule, driven by the clock where there is one."""
        is_new = self.lr_scheduler is None
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        if is_new and self.clock is not None:
            self.clock.drive(scheduler, num_training_steps)
        return scheduler

    def first_batch(self) -> Any:
        """The first training rows, as many as a batch has."""
        rows: Any = self.train_dataset
        count = min(self.args.per_device_train_batch_size, len(rows))
        return self.data_collator([rows[index] for index in range(count)])

    def timed_step(self) -> Step:
        """Prepare the first batch, and return forward and backward passes over it; no weight changes."""
        batch = self._prepare_inputs(self.first_batch())

        def step(model: nn.Module) -> None:
            self.parts.step(batch, partial(self._passes, model), model.zero_grad)
            self.parts.end_step()
            model.zero_grad(set_to_none=True)

        return step

    def _passes(self, model: nn.Module, batch: Any) -> Tensor:
        """Forward and backward passes over a batch; returns the last loss."""
        for part in self.parts.of(batch):
            with self.compute_loss_context_manager():
                loss, _ = self.step_loss(model, part)
            loss.backward()
        return loss

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Names of parameters with weight decay: matrices and filters; no biases, norms and embeddings."""
        tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
        return [name for name, p in model.named_parameters() if p.ndim > 1 and id(p) not in tables]

    def _get_output_dir(self, trial: Any) -> str:
        folder = super()._get_output_dir(trial)
        return str(Path(folder) / PART) if self._saving else folder

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save as the Trainer, but atomically: ``checkpoint-<step>`` is complete or does not exist.

        Raises:
            RunError: If it cannot be written, such as on a full disk; earlier checkpoints are kept.
        """
        folder = Path(self._get_output_dir(trial))
        before = [path.name for path in checkpoints(folder)[-1:]]
        whole = f"{before[0]} is whole: free space" if before else "Free space"
        fix = f"{whole}, then the same {worded('command', 'call')} with {option('resume', True)} goes on"
        part = folder / PART / f"{PREFIX}{self.state.global_step}"
        with writing(folder / part.name, fix):
            try:
                self._saving = True
                super()._save_checkpoint(model, trial)
            except BaseException:
                discard(folder / PART)
                raise
            finally:
                self._saving = False
            on_main(lambda: write_text(part / SECONDS, json.dumps(self._seconds())))
            point_to_best(self.state, folder)
            if self.state.best_global_step == self.state.global_step:
                self.state.best_model_checkpoint = str(folder / part.name)
            on_main(lambda: self._publish(part))

    def _save(self, *args: Any, **kwargs: Any) -> None:
        """Save as the Trainer, without its arguments, which are a pickle that nothing reads."""
        super()._save(*args, **kwargs)
        folder = Path(kwargs.get("output_dir") or (args[0] if args else None) or str(self.args.output_dir))
        (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load as the Trainer.

        Raises:
            RunError: If the checkpoint is of another model or another training.
        """
        try:
            super()._load_optimizer_and_scheduler(checkpoint)
            self._check_moments()
        except REFUSED as error:
            raise _not_fitting(checkpoint, error) from None

    def _check_moments(self) -> None:
        """Check that the optimizer's moments have the shapes of their weights: its kernels do not.

        Raises:
            ValueError: If one has another shape.
        """
        for weight, kept in getattr(self.optimizer, "state", {}).items():
            for name, value in kept.items() if isinstance(weight, torch.Tensor) else ():
                is_moment = name.startswith("exp_avg") or name == "momentum_buffer"
                if is_moment and getattr(value, "shape", None) != weight.shape:
                    raise ValueError(f"'{name}' has another shape than its weight")

    def _publish(self, part: Path) -> None:
        """Publish a complete checkpoint; its state names the best one without the folder's path."""
        best = self.state.best_model_checkpoint
        self.state.best_model_checkpoint = Path(best).name if best else None
        self.state.save_to_json(str(part / STATE))
        self.state.best_model_checkpoint = best
        give_usual_mode(part)
        publish(part, self.args.save_total_limit, best)

    def take_best(self, checkpoint: Path) -> None:
        """Load the best model of a training that ended at ``checkpoint``."""
        self.state = TrainerState.load_from_json(str(checkpoint / STATE))
        point_to_best(self.state, checkpoint.parent)
        self._load_best_model()
