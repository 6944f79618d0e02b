"""The training of the neural model of a job: build, encode what is frozen, train, calibrate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from polymodal.models import PolymodalForPrediction
from polymodal.training.calibrate import Calibration, calibrate
from polymodal.training.frozen_features import encode_frozen
from polymodal.training.loop.trainer import train
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.warm_start.load import build_started, print_start


@dataclass(frozen=True)
class TrainedModel:
    """A trained model of a job.

    Attributes:
        model: At its best epoch, its heads calibrated; without heads after a pre-training.
        log: What :func:`polymodal.training.loop.trainer.train` returns.
        calibration: Of the heads.
    """

    model: PolymodalForPrediction
    log: dict[str, Any]
    calibration: Calibration


def train_prediction(job: PredictionJob, folder: Path, *, resume: bool, quiet: bool) -> TrainedModel:
    """Train, then calibrate on the validation rows; frozen encoders run once before the first step.

    Args:
        job: Checked; its processor and notes are changed.
        folder: Gets ``checkpoints/``.
        resume: Resume from the last complete checkpoint in ``folder``, if there is one.
        quiet: Show no progress.

    Raises:
        PolymodalError: If the model cannot be built or trained.
    """
    config = job.declaration.train
    model = build_started(job, job.declaration)
    print_start(job, quiet)
    encode_frozen(job, model, quiet=quiet)
    several = len(job.declaration.inputs) > 1
    log = train(
        model, job.rows("train", dropout=(config.modality_dropout or 0.0) if several else 0.0),
        job.rows("validation"), config, folder, metric=job.metric, resume=resume, quiet=quiet,
    )  # fmt: skip
    answering = cast(PolymodalForPrediction, model)  # or one without heads, which needs no calibration
    return TrainedModel(answering, log, calibrate(answering, job.rows("validation"), job.declaration))
