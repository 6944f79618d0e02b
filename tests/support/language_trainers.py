"""The Trainer of Transformers over batches of a sampler's choice, which notes what it was given."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainingArguments

from polymodal.training.loop.samplers import BatchesByEpoch, EpochOfSampler


class BatchTrainer(Trainer):
    """Notes the tokens of each batch in ``given``.

    Args:
        sampler: Of the batches.
    """

    def __init__(self, sampler: BatchesByEpoch, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sampler, self.given = sampler, []
        self.add_callback(EpochOfSampler(sampler))

    def get_train_dataloader(self) -> DataLoader:
        """See :class:`Trainer`."""
        loader = DataLoader(self.train_dataset, batch_sampler=self.sampler, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Note the tokens."""
        self.given.append(inputs["input_ids"].tolist())
        return super().training_step(model, inputs, num_items_in_batch)


def trainer(
    model: PreTrainedModel, sampler: BatchesByEpoch, rows: Any, collate: Any, folder: Any, **more: Any
) -> BatchTrainer:
    """Plain gradient descent, so that weights say which gradients came."""
    settings = {
        "num_train_epochs": 1, "learning_rate": 0.1, "lr_scheduler_type": "constant", "optim": "sgd",
        "max_grad_norm": 0.0, "save_strategy": "no", "logging_strategy": "no", "report_to": "none",
        "disable_tqdm": True, "use_cpu": True, "remove_unused_columns": False,
    } | more  # fmt: skip
    arguments = TrainingArguments(output_dir=str(folder), **settings)
    return BatchTrainer(sampler, model=model, args=arguments, train_dataset=rows, data_collator=collate)
