"""Features of sequences: statistics of each channel over time."""

from collections.abc import Mapping, Sequence

import numpy as np

from polymodal.plain.blocks import Columns
from polymodal.plain.features.base import FEATURIZERS, Featurizer, Matrix, dense
from polymodal.plain.features.statistics import named, over_time, segments

MOMENTS = ("mean", "deviation", "minimum", "maximum", "first", "last", "slope", "change")
LAGS, WAVES, SEGMENTS = (1, 2, 4), 6, 6
MANY = 64
"""Channels above which only :data:`MOMENTS` are taken, as of the vectors of a pretrained encoder."""


@FEATURIZERS.register("sequence")
class SequenceFeaturizer(Featurizer):
    """Sequences ``(steps, channels)`` of any length to statistics of each channel, and their length."""

    modality = "sequence"

    def learn(self, items: Sequence[np.ndarray]) -> None:
        """See :class:`Featurizer`."""
        width = items[0].shape[1]
        channels = [f"channel {number}" for number in range(1, width + 1)]
        detail = [
            *(f"autocorrelation at {lag}" for lag in LAGS),
            *(f"strength of wave {number}" for number in range(1, WAVES + 1)),
            *(f"part {number} of {SEGMENTS}" for number in range(1, SEGMENTS + 1)),
        ]
        names = named(channels, (*MOMENTS, *(detail if width <= MANY else ())))
        self.columns = {"": Columns((*names, "log of steps"), "number")}

    def features(self, items: Sequence[np.ndarray]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`."""
        return {"": dense([_features(np.asarray(item, np.float64)) for item in items])}


def _features(steps: np.ndarray) -> np.ndarray:
    """The features of one sequence ``(steps, channels)``."""
    parts = [over_time(steps, MOMENTS)]
    if steps.shape[1] <= MANY:
        parts += [_autocorrelation(steps), _waves(steps), segments(steps, SEGMENTS)]
    return np.concatenate([*parts, [np.log(len(steps))]])


def _autocorrelation(steps: np.ndarray) -> np.ndarray:
    """At each of :data:`LAGS`, from -1 to 1; 0 for a constant channel or a shorter sequence."""
    centred = steps - steps.mean(axis=0)
    power = (centred**2).sum(axis=0)
    safe = np.where(power > 1e-12, power, 1.0)
    at = [(centred[lag:] * centred[: max(len(steps) - lag, 0)]).sum(axis=0) / safe for lag in LAGS]
    return np.concatenate(at)


def _waves(steps: np.ndarray) -> np.ndarray:
    """Amplitudes of 1 to :data:`WAVES` periods per sequence; 0 for those that its steps cannot hold."""
    strength = np.abs(np.fft.rfft(steps, axis=0))[1 : WAVES + 1] / len(steps)
    return np.concatenate([strength, np.zeros((WAVES - len(strength), steps.shape[1]))]).ravel()
