"""Build the model of a fit that fine-tunes a run, and describe what was loaded and what is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from polymodal.config import Declaration
from polymodal.data.processor import PolymodalProcessor
from polymodal.models.build import build_model, reader_settings
from polymodal.models.modeling import LearningModel
from polymodal.training.job import Job
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.recorded_metrics import StartRecord
from polymodal.training.warm_start.start import Start
from polymodal.training.warm_start.transfer import continue_from
from polymodal.utils.distributed import is_main
from polymodal.utils.progress import note

SHOWN = 5
"""Most new categories in a message."""


def build_started(job: PredictionJob, declaration: Declaration) -> LearningModel:
    """The untrained model of a declaration, with the weights of the run that ``job`` starts from.

    The result of the transfer is kept in ``job.started``.

    Raises:
        PolymodalError: If the model cannot be built, or the run's weights not be read.
    """
    start = job.start
    known = start.encoders if start else None
    model = build_model(declaration, job.batching, job.answers(), known, job.weights())
    job.processor.change_readers(reader_settings(model.model.encoders, model.model.encoder_of))
    if start is not None:
        heads = [f"head of {name}" for name in declaration.targets]
        job.started = continue_from(start.model(), model.model)
        job.started.new += [*_new_categories(start, job.batching), *heads]
    return model


def _new_categories(start: Start, processor: PolymodalProcessor) -> Iterator[str]:
    for name, reader in processor.readers.items():
        known = start.processor.readers.get(name)
        if known is not None and known.vocabulary is not None and reader.vocabulary is not None:
            new = list(reader.vocabulary.names)[len(known.vocabulary.names) :]
            listed = ", ".join(new[:SHOWN]) + ", …" * (len(new) > SHOWN)
            if new:
                yield f"{len(new)} categor{'ies' if len(new) > 1 else 'y'} of {name} ({listed})"


def describe_start(job: Job[Any]) -> StartRecord | None:
    """The warm start of a fit; None where there was none."""
    if job.start is None or job.started is None:
        return None
    names = [name for name in job.start.inputs if name not in job.declaration.inputs]
    dropped = [f"{name} ({job.start.dropped.get(name, 'not among the inputs')})" for name in names]
    return StartRecord(
        folder=str(job.start.folder), loaded=job.started.loaded, new=job.started.new, dropped=dropped
    )


def print_start(job: Job[Any], quiet: bool) -> None:
    """Print the record of :func:`describe_start` in one line."""
    start = describe_start(job)
    if start:
        listed = {name: "; ".join(gathered(start[name])) for name in ("loaded", "new", "dropped")}
        line = f"from {start.folder}: loaded {listed['loaded']}. New: {listed['new']}"
        line += f". Left out: {listed['dropped']}" if listed["dropped"] else ""
        note(line, quiet or not is_main())


def gathered(parts: Sequence[str]) -> list[str]:
    """``parts`` such as ``head of a`` and ``head of b`` as ``heads of a, b``."""
    kinds: dict[str, list[str]] = {}
    for part in parts:
        kind, of, name = part.partition(" of ")
        one_word = of and " " not in kind
        kinds.setdefault(kind if one_word else part, []).extend([name] if one_word else [])
    return [
        f"{kind}{'s' * (len(names) > 1)} of {', '.join(names)}" if names else kind
        for kind, names in kinds.items()
    ]
