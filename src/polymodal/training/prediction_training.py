"""The training of the neural model of a job: encode what is frozen, train, calibrate."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from torch import nn

from polymodal.config import Declaration
from polymodal.data.collator import Collator
from polymodal.data.row_dataset import RowDataset
from polymodal.models import PolymodalForPrediction
from polymodal.models.inference import run_model
from polymodal.models.modeling import LearningModel
from polymodal.training.calibrate import Calibration, calibrate
from polymodal.training.frozen_features import encode_frozen
from polymodal.training.loop.arguments import training_device
from polymodal.training.loop.parameter_groups import parameters_in_words
from polymodal.training.loop.time_limit import EndOnTime, LaterWork, form
from polymodal.training.loop.trainer import train
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.warm_start.load import print_start
from polymodal.utils.deadline import NO_LIMIT, Clock, Deadline, in_words
from polymodal.utils.out_of_memory import RowsAtOnce

ANSWERED = 2
"""Times that rows are answered after a training: by the model, and by the blend that it is part of."""
SAMPLE, SLOW = 16, 2.0
"""Rows by which answering is timed; seconds after which fewer have to do."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained model of a job.

    Attributes:
        model: At its best epoch, its heads calibrated; without heads after a pre-training.
        log: What :func:`polymodal.training.loop.trainer.train` returns.
        calibration: Of the heads.
        notes: What the time limit left out, and what a small memory changed, a line each.
    """

    model: PolymodalForPrediction
    log: dict[str, Any]
    calibration: Calibration
    notes: list[str] = field(default_factory=list)


def model_in_words(declaration: Declaration, model: LearningModel) -> str:
    """The fusion and the size of a model: ``bottleneck fusion, 1.2 M parameters, 0.3 M trained``."""
    return f"{declaration.fusion.name} fusion, {parameters_in_words(model)}"


def train_prediction(
    job: PredictionJob,
    model: LearningModel,
    folder: Path,
    *,
    resume: bool,
    quiet: bool,
    deadline: Deadline = NO_LIMIT,
    least_epochs: float = 0.0,
) -> TrainedModel:
    """Train, then calibrate on the validation rows; frozen encoders run once before the first step.

    Args:
        job: Checked; its processor and notes are changed.
        model: Of :func:`polymodal.training.warm_start.load.build_started`.
        folder: Gets ``checkpoints/``.
        resume: Resume from the last complete checkpoint in ``folder``, if there is one.
        quiet: Show no progress.
        deadline: Of the training and of the answers to the rows held out.
        least_epochs: Epochs that have to fit into the time; 0: what fits is trained.

    Raises:
        PolymodalError: If the model cannot be trained.
        OutOfTime: If there is too little time for its answers, or for ``least_epochs``.
    """
    config = job.declaration.train
    print_start(job, quiet)
    encode_frozen(job, model, deadline=deadline, quiet=quiet)
    several = len(job.declaration.inputs) > 1
    clock = EndOnTime(deadline, _later(job, model, deadline, least_epochs), quiet=quiet)
    log = train(
        model, job.rows("train", dropout=(config.modality_dropout or 0.0) if several else 0.0),
        job.rows("validation"), config, folder, metric=job.metric, clock=clock, resume=resume, quiet=quiet,
    )  # fmt: skip
    answering = cast(PolymodalForPrediction, model)  # or one without heads, which needs no calibration
    calibration = calibrate(answering, job.rows("validation"), job.declaration)
    trained = f"{log['epochs']:{form(log['epochs'])}} of {config.epochs:g} epochs"
    notes = [f"{trained} fit into the time limit of {in_words(deadline.limit)}"] if clock.stopped else []
    notes += log["memory"]
    return TrainedModel(answering, log, calibration, notes)


def _later(job: PredictionJob, model: LearningModel, deadline: Deadline, least_epochs: float) -> LaterWork:
    """What follows the training: the answers to the validation rows, and twice to the test rows.

    Raises:
        OutOfTime: If these answers alone take longer than there is time.
    """
    validation, test = len(job.splits["validation"]), len(job.splits["test"])
    seconds = 0.0
    if deadline.is_set and test:
        device = training_device(job.declaration.train.device)
        seconds = ANSWERED * test * seconds_a_row(model, job.rows("test"), device, deadline.clock)
        deadline.require(seconds, f"answering {test} test rows by the neural model")
    return LaterWork(validation, ANSWERED * validation, seconds, least_epochs)


def seconds_a_row(model: LearningModel, rows: RowDataset, device: str, clock: Clock) -> float:
    """Seconds to read and answer a row, by the first few of them."""
    module: nn.Module = model
    module.to(device).eval()
    answering, at_once = cast(PolymodalForPrediction, model), RowsAtOnce(SAMPLE, device)
    seconds = 0.0
    for count in (2, SAMPLE):  # the first are slower: what is used for the first time is loaded
        begun = clock()
        some = [rows[index] for index in range(min(count, len(rows)))]
        for _ in at_once.work(some, lambda part: run_model(answering, Collator(rows.processor)(part))):
            pass
        seconds = (clock() - begun) / len(some)
        if clock() - begun > SLOW:
            break
    return seconds
