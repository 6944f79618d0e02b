"""Cached features of frozen encoders: items are encoded once instead of in every epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.media.path_access import Root
from polymodal.training.frozen_features import frozen_encoders, frozen_readers
from polymodal.training.language.language_job import LanguageJob


def encode_frozen_items(job: LanguageJob, *, quiet: bool = False) -> None:
    """Encode the items of training and validation rows by the model's frozen encoders, once.

    The rows must be prepared: the number of embeddings of an item is counted from the item itself.
    """
    model, longest = job.model, max(job.stages, key=lambda stage: stage.train.epochs or 0)

    def cells(names: Sequence[str]) -> Iterable[tuple[Any, Root]]:
        return items_of(job, names)

    readers, notes = frozen_readers(
        frozen_encoders(model.encoders, model.encoder_of), job.processor, cells, job.cache,
        train=longest.train, quiet=quiet,
    )  # fmt: skip
    job.notes += notes
    if not readers:
        return
    features = ConversationProcessor(job.processor.readers | readers, job.processor.tokenizer)
    for stage in job.stages:
        for rows in stage.rows.values():
            rows.processor = features


def items_of(job: LanguageJob, names: Sequence[str]) -> Iterable[tuple[Any, Root]]:
    """The distinct items of some inputs in the rows of all stages, with their folders."""
    seen = set()
    for stage in job.stages:
        for rows in stage.rows.values():
            for media in (item for row in rows.rows for item in row.encoded.media):
                if media.input not in names:
                    continue
                key = job.processor.readers[media.input].key(media.cell, rows.table.root)
                if key is not None and key not in seen:
                    seen.add(key)
                    yield media.cell, rows.table.root
