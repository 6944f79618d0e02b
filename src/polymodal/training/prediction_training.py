"""The training of the neural model of a job: encode what is frozen, train, calibrate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from polymodal.config import Declaration
from polymodal.models import PolymodalForPrediction
from polymodal.models.modeling import LearningModel
from polymodal.training.calibrate import Calibration, calibrate
from polymodal.training.frozen_features import encode_frozen
from polymodal.training.loop.parameter_groups import parameters_in_words
from polymodal.training.loop.trainer import train
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.warm_start.load import print_start


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


def model_in_words(declaration: Declaration, model: LearningModel) -> str:
    """The fusion and the size of a model: ``bottleneck fusion, 1.2 M parameters, 0.3 M trained``."""
    return f"{declaration.fusion.name} fusion, {parameters_in_words(model)}"


def train_prediction(
    job: PredictionJob, model: LearningModel, folder: Path, *, resume: bool, quiet: bool
) -> TrainedModel:
    """Train, then calibrate on the validation rows; frozen encoders run once before the first step.

    Args:
        job: Checked; its processor and notes are changed.
        model: Of :func:`polymodal.training.warm_start.load.build_started`.
        folder: Gets ``checkpoints/``.
        resume: Resume from the last complete checkpoint in ``folder``, if there is one.
        quiet: Show no progress.

    Raises:
        PolymodalError: If the model cannot be trained.
    """
    config = job.declaration.train
    print_start(job, quiet)
    encode_frozen(job, model, quiet=quiet)
    several = len(job.declaration.inputs) > 1
    log = train(
        model, job.rows("train", dropout=(config.modality_dropout or 0.0) if several else 0.0),
        job.rows("validation"), config, folder, metric=job.metric, resume=resume, quiet=quiet,
    )  # fmt: skip
    answering = cast(PolymodalForPrediction, model)  # or one without heads, which needs no calibration
    return TrainedModel(answering, log, calibrate(answering, job.rows("validation"), job.declaration))
