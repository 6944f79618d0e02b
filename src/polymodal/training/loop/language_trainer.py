"""The Trainer of language models: packed or length-grouped batches, token losses, two learning rates."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from polymodal.config import TrainConfig
from polymodal.models.language.language_modeling import LEFT_OUT, PolymodalForConditionalGeneration
from polymodal.training.language.conversation_collator import ConversationCollator
from polymodal.training.language.conversation_rows import ConversationRows
from polymodal.training.loop.arguments import training_arguments
from polymodal.training.loop.loss_monitor import LossMonitor
from polymodal.training.loop.loss_normalizers import IdleInputs
from polymodal.training.loop.packed_attention import attending_apart
from polymodal.training.loop.parameter_groups import ParameterGroup, grouped
from polymodal.training.loop.samplers import (
    BatchesByEpoch,
    EpochOfSampler,
    LengthGroupedSampler,
    PackSampler,
    pack,
)
from polymodal.training.loop.trainer_base import CheckpointedTrainer, Legs
from polymodal.utils.distributed import count


class LanguageTrainer(CheckpointedTrainer):
    """The Trainer of conversations.

    Args:
        sampler: The sampler of batches.
        pretrained_learning_rate: Learning rate of pretrained parameters, except adapters.
    """

    model: PolymodalForConditionalGeneration
    train_dataset: ConversationRows
    eval_dataset: ConversationRows

    def __init__(
        self, *args: Any, sampler: BatchesByEpoch, pretrained_learning_rate: float, **kwargs: Any
    ) -> None:
        self.sampler, self.pretrained_learning_rate = sampler, pretrained_learning_rate
        super().__init__(*args, **kwargs)
        self.add_callback(EpochOfSampler(sampler))
        self.idle = IdleInputs()
        self.add_callback(self.idle)
        self.watch = LossMonitor(self.args.learning_rate, abort_on_stall=False)

    def get_train_dataloader(self) -> DataLoader:
        """The loader of packs, or of batches of similar length, shared by the processes."""
        loader = DataLoader(
            self.train_dataset, batch_sampler=self.sampler,
            collate_fn=self.data_collator, num_workers=self.args.dataloader_num_workers,
        )  # fmt: skip
        return self.accelerator.prepare(loader)

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Any:
        """The number of labels of a step; also finds its idle inputs."""
        if self.args.world_size > 1:
            self.idle.find_idle(self.model.config.input_names, batch_samples)
        return super()._get_num_items_in_batch(batch_samples, device)

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a batch; all tokens of a step have equal weight."""
        loss, output = self.step_loss(model, inputs, num_items_in_batch)
        if model.training:
            self.watch.add(loss, {}, self.state.global_step)
        return (loss, output) if return_outputs else loss

    def first_batch(self) -> Any:
        """The first batch of the training: see :class:`CheckpointedTrainer`."""
        rows: Any = self.train_dataset
        return self.data_collator([rows[index] for index in next(iter(self.sampler))])

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """The Trainer's estimate, with a cached number of parameters."""
        return 6 * inputs["input_ids"].numel() * self._parameters

    @cached_property
    def _parameters(self) -> int:
        return self.model.num_parameters(exclude_embeddings=True)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW, with a separate learning rate for pretrained parameters."""
        if self.optimizer is None:
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            decayed = set(self.get_decay_parameter_names(self.model))
            self.optimizer = kind(self._groups(self.model, decayed), **options)
        return self.optimizer

    def _groups(self, model: PolymodalForConditionalGeneration, decayed: set[str]) -> list[ParameterGroup]:
        pretrained = {id(parameter) for parameter in pretrained_parameters(model)}

        def rate_of(name: str, parameter: nn.Parameter) -> float:
            known = id(parameter) in pretrained and ".lora_" not in name
            return self.pretrained_learning_rate if known else self.args.learning_rate

        return grouped(model, rate_of, decayed, self.args.weight_decay)

    def evaluated(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """The mean loss per validation token, and ``selection``, of which higher is better."""
        self.model.eval()
        total = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        rows = self.eval_dataset
        size = self.args.per_device_eval_batch_size
        collate = ConversationCollator(rows.processor)
        order = rows.lengths.argsort()[::-1][self.args.process_index :: self.args.world_size]
        for start in range(0, len(order), size):
            batch = self._prepare_inputs(collate([rows[int(row)] for row in order[start : start + size]]))
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = self.model(**batch).loss
            count = (batch["labels"] != LEFT_OUT).sum()
            total += torch.stack([loss.double() * count, count.double()])
        summed = self.accelerator.reduce(total)
        loss = float(summed[0] / summed[1])
        metrics = {f"{metric_key_prefix}_loss_total": loss, f"{metric_key_prefix}_selection": -loss}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.model.train()
        return metrics


def pretrained_parameters(model: PolymodalForConditionalGeneration) -> list[nn.Parameter]:
    """The pretrained parameters of encoders and of the language model."""
    parts: list[nn.Module] = [part for part in model.encoders if part.pretrained]
    parts += [model.language_model] if model.config.pretrained else []
    return [parameter for part in parts for parameter in part.parameters()]


def train_language(
    model: PolymodalForConditionalGeneration,
    rows: ConversationRows,
    validation: ConversationRows,
    config: TrainConfig,
    folder: Path,
    *,
    pack_to: int | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train ``model`` in place and leave it at its best epoch.

    Args:
        model: The model; its trainable parameters are chosen already.
        rows: Training rows, encoded.
        validation: Validation rows of the model selection.
        config: The ``train`` section, its epochs a number.
        folder: ``checkpoints/`` is written in it.
        pack_to: Tokens per pack; None for padded batches.
        resume: Resume from the last complete checkpoint in ``folder``, if there is one.
        quiet: Print nothing.

    Returns:
        ``seconds`` (of all legs), ``threads``, ``tokens_per_second``, ``epochs``, ``best`` (validation loss
        and epoch) and ``history``.

    Raises:
        RunError: If a checkpoint cannot be written, or the loss is NaN.
    """
    sampler = batches_of(rows, config, pack_to)
    arguments = training_arguments(config, folder, len(rows), batches=len(sampler) // sampler.processes)
    trainer = LanguageTrainer(
        model=model,
        args=arguments,
        data_collator=ConversationCollator(
            rows.processor, packed=bool(pack_to), form="idle" if arguments.world_size > 1 else "items"
        ),
        train_dataset=rows,
        eval_dataset=validation,
        sampler=sampler,
        pretrained_learning_rate=config.pretrained_learning_rate,
    )
    if pack_to:
        trainer.parts.form, trainer.parts.pack = "pack", pack_to
    with attending_apart(model.language_model) if pack_to else nullcontext():
        legs = trainer.run(config, metric="loss", resume=resume, quiet=quiet)
    return _summary(trainer, legs, int(rows.lengths.sum()))


def batches_of(rows: ConversationRows, config: TrainConfig, pack_to: int | None) -> BatchesByEpoch:
    """The batch sampler of a training: packs of ``pack_to`` tokens, or padded batches."""
    processes = count()
    if pack_to:
        packs = pack(rows.lengths, pack_to, config.seed)
        return PackSampler(packs, seed=config.seed, processes=processes)
    assert config.batch_size is not None
    return LengthGroupedSampler(rows.lengths, config.batch_size, seed=config.seed, processes=processes)


def _summary(trainer: LanguageTrainer, legs: Legs, tokens: int) -> dict[str, Any]:
    """What :func:`train_language` returns."""
    history = trainer.state.log_history
    best = max((entry for entry in history if "eval_selection" in entry), key=lambda e: e["eval_selection"])
    epochs = float(trainer.state.epoch or 0)
    return {
        "seconds": legs.seconds,
        "threads": torch.get_num_threads(),
        "tokens_per_second": legs.per_second(tokens, history, epochs),
        "epochs": epochs,
        "best": {"loss": best["eval_loss_total"], "epoch": best["epoch"]},
        "history": history,
    }
