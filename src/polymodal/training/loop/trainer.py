"""The Trainer of prediction and pre-training: two learning rates, model selection, joint losses."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import RandomSampler, Sampler

from polymodal.config import TrainConfig
from polymodal.data.collator import Collator
from polymodal.data.row_dataset import RowDataset
from polymodal.models.modeling import LearningModel
from polymodal.training.loop.arguments import batch_form, training_arguments
from polymodal.training.loop.batch_parts import form_of
from polymodal.training.loop.loss_monitor import LossMonitor
from polymodal.training.loop.loss_normalizers import DropIdleGradients, idle_encoders, step_normalizers
from polymodal.training.loop.model_selection import validation_metrics
from polymodal.training.loop.parameter_groups import ParameterGroup, parameter_groups
from polymodal.training.loop.samplers import EvenSampler
from polymodal.training.loop.time_limit import EndOnTime
from polymodal.training.loop.trainer_base import CheckpointedTrainer, Legs


class PolymodalTrainer(CheckpointedTrainer):
    """The Trainer with a separate learning rate for pretrained parameters.

    Args:
        pretrained_learning_rate: Learning rate of pretrained parameters.
        continued_learning_rate: Learning rate of parameters that another run trained from scratch; by
            default that of pretrained ones.
        layer_decay: Factor on the learning rate from each layer to the one below it.
        piece: Rows that go through the encoders at once, for objectives.
    """

    model: LearningModel
    train_dataset: RowDataset

    def __init__(
        self,
        *args: Any,
        pretrained_learning_rate: float,
        continued_learning_rate: float | None = None,
        layer_decay: float = 1.0,
        piece: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.pretrained_learning_rate, self.layer_decay = pretrained_learning_rate, layer_decay
        self.continued_learning_rate = continued_learning_rate
        super().__init__(*args, **kwargs)
        self.parts.rows, self.parts.form = piece, form_of(self.model)
        self.idle = DropIdleGradients()
        self.add_callback(self.idle)
        self.loss_is_scaled_for_ga = True  # by step_normalizers
        self.share = 1.0
        self.watch = LossMonitor(self.args.learning_rate, abort_on_stall=not self.model.named_heads())

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over the groups of parameters."""
        if self.optimizer is None:
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            self.optimizer = kind(self.parameter_groups(), **options)
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        """The Trainer's order; several processes share its batches."""
        sampler = super()._get_train_sampler(train_dataset)
        if self.args.world_size == 1 or not isinstance(sampler, RandomSampler):
            return sampler
        step = self.args.world_size * self.args.per_device_train_batch_size
        return EvenSampler(self.train_dataset, step, self.args.data_seed)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """The Trainer's estimate, with a cached number of parameters."""
        return 6 * len(inputs["index"]) * self._parameters

    @cached_property
    def _parameters(self) -> int:
        return self.model.num_parameters(exclude_embeddings=True)

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Any:
        """The normalizers of the losses of a step; None for one batch of one process."""
        processes = self.args.world_size
        self.share = 1 / (max(1, len(batch_samples)) * processes)
        if processes == 1 and len(batch_samples) == 1:
            return None
        if processes > 1:
            self.idle.encoders = idle_encoders(self.model.model.encoder_of, batch_samples)
        return step_normalizers(dict(self.model.named_heads()), batch_samples, device, processes)

    def normalizers(self, batch: Any, items: Any) -> Any:
        """The normalizers of a batch, for its parts; those of its step where it has several."""
        heads = dict(self.model.named_heads())
        return step_normalizers(heads, [batch], self.args.device) if items is None else items

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a batch, or its share of the loss of the step."""
        loss, output = self.step_loss(model, inputs, num_items_in_batch)
        if model.training:
            self.watch.add(loss, output["losses"] or {}, self.state.global_step)
        return (loss, output) if return_outputs else loss

    def step_loss(self, model: nn.Module, inputs: Any, items: Any = None) -> tuple[Any, Any]:
        """Loss and output of a batch: see :class:`CheckpointedTrainer`."""
        more: dict[str, Any] = {} if items is None else {"normalizers": items}
        given = dict(inputs)
        if "contents" in inputs:
            share = self.share * given.pop("part", 1.0)
            more |= {"share": share, "piece": self.parts.rows if self.parts.form == "pieces" else None}
        output = model(**given, **more)
        loss = output["loss"]
        if items is not None:
            loss = loss * self.args.world_size  # gradients are averaged over the processes
        return loss, output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as the Trainer, with the parts of the training loss."""
        super().log(logs | self.watch.means() if "loss" in logs else logs, start_time)

    def parameter_groups(self) -> list[ParameterGroup]:
        """See :func:`polymodal.training.loop.parameter_groups.parameter_groups`."""
        model = self.model
        return parameter_groups(
            model, set(self.get_decay_parameter_names(model)), learning_rate=self.args.learning_rate,
            pretrained_learning_rate=self.pretrained_learning_rate,
            continued_learning_rate=self.continued_learning_rate, layer_decay=self.layer_decay,
            weight_decay=self.args.weight_decay,
        )  # fmt: skip


def train(
    model: LearningModel,
    rows: RowDataset,
    validation: RowDataset,
    config: TrainConfig,
    folder: Path,
    *,
    metric: str,
    clock: EndOnTime | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train ``model`` in place and leave it at its best epoch.

    Args:
        model: The model, with fresh or pretrained weights.
        rows: Training rows.
        validation: Validation rows of the model selection.
        config: The ``train`` section, its epochs a number.
        folder: The run folder; ``checkpoints/`` is written in it.
        metric: See :func:`polymodal.training.loop.model_selection.metric_name`.
        clock: Ends the training in time.
        resume: Resume from the last complete checkpoint in ``folder``, if there is one.
        quiet: Print nothing.

    Returns:
        ``seconds`` (of all legs), ``threads``, ``rows_per_second``, ``epochs``, ``memory`` (what a small
        one changed, a line each), ``best`` (validation metrics of the best epoch) and ``history``.

    Raises:
        RunError: If a checkpoint cannot be written, the model cannot be compiled, or the loss is NaN or does
            not change.
        OutOfTime: If too few epochs fit into the time.
    """
    arguments = training_arguments(config, folder, len(rows))
    heads, objectives = dict(model.named_heads()), dict(model.named_objectives())
    trainer = PolymodalTrainer(
        model=model,
        args=arguments,
        data_collator=Collator(rows.processor, form=batch_form(arguments), for_objectives=bool(objectives)),
        train_dataset=rows,
        eval_dataset=validation,
        compute_metrics=validation_metrics(heads, metric, model.weighting, objectives),
        pretrained_learning_rate=config.pretrained_learning_rate,
        continued_learning_rate=config.continued_learning_rate,
        layer_decay=config.layer_decay,
        piece=config.piece,
    )
    trainer.clock = clock
    if validation.weights is not None:
        trainer.label_names = ["targets", "weight"]  # validation_metrics uses both
    legs = trainer.run(config, metric=metric, resume=resume, quiet=quiet)
    return summary(trainer, legs, len(rows))


def summary(trainer: CheckpointedTrainer, legs: Legs, rows: int) -> dict[str, Any]:
    """What :func:`train` returns."""
    history = trainer.state.log_history
    evaluations = [entry for entry in history if "eval_selection" in entry]
    best = max(evaluations, key=lambda entry: entry["eval_selection"])
    epochs = float(trainer.state.epoch or 0)
    return {
        "seconds": legs.seconds,
        "threads": torch.get_num_threads(),
        "rows_per_second": legs.per_second(rows, history, epochs),
        "epochs": epochs,
        "memory": trainer.parts.notes,
        "best": {k.removeprefix("eval_"): v for k, v in best.items() if k.startswith("eval_") and "." in k}
        | {"epoch": best["epoch"]},
        "history": history,
    }
