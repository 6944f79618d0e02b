"""Features of clips: those of the mean frame, and what changes from frame to frame."""

from collections.abc import Mapping, Sequence

import numpy as np

from polymodal.plain.blocks import Columns
from polymodal.plain.features.base import FEATURIZERS, Featurizer, Matrix, dense
from polymodal.plain.features.image import LUMA, column_names, picture_features, shrink
from polymodal.plain.features.statistics import named, over_time

GRID, COARSE = 8, 4
"""Sides of the grids of changes over the whole clip, and of those from the first to the last frame."""
CONTOURS = ("change", "change to the right", "change downwards", "row of change", "column of change", "light")
STATISTICS = ("mean", "deviation", "minimum", "maximum", "slope")


@FEATURIZERS.register("video")
class VideoFeaturizer(Featurizer):
    """Clips, as frames of uint8 pixels, to the features of a picture and of motion."""

    modality = "video"

    def learn(self, items: Sequence[np.ndarray]) -> None:
        """See :class:`Featurizer`."""
        grid = [f"row {row}, column {column}" for row, column in np.ndindex(GRID, GRID)]
        motion = [*named(CONTOURS, STATISTICS), *named(grid, ("mean change", "deviation", "last - first"))]
        names = column_names() | {"motion": tuple(motion)}
        self.columns = {part: Columns(columns, "number") for part, columns in names.items()}

    def features(self, items: Sequence[np.ndarray]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`."""
        parts = [picture_features(clip.mean(axis=0, dtype=np.float32)[np.newaxis]) for clip in items]
        motion = {"motion": np.stack([_motion(clip) for clip in items])}
        pictures = {part: np.concatenate([item[part] for item in parts]) for part in parts[0]}
        return {part: dense(values) for part, values in (pictures | motion).items()}


def _motion(clip: np.ndarray) -> np.ndarray:
    """The features of motion in a clip ``(frames, 3, side, side)``."""
    gray = np.einsum("nchw,c->nhw", clip.astype(np.float32) / 255, LUMA)
    grid = shrink(gray, GRID)
    steps = np.abs(np.diff(gray, axis=0)) if len(gray) > 1 else np.zeros_like(gray)
    change = shrink(steps, GRID).mean(axis=0)
    contours = over_time(_contours(gray, steps), STATISTICS)
    return np.concatenate([contours, change.ravel(), grid.std(axis=0).ravel(), (grid[-1] - grid[0]).ravel()])


def _contours(gray: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """``(steps, 6)``: the values of :data:`CONTOURS` from each frame to the next.

    The direction of a change is that of a shift of the picture, by the correlation of its change in time with
    its slope in space (Lucas & Kanade 1981, one vector for the whole frame).
    """
    position = np.arange(gray.shape[-1], dtype=np.float32) / max(gray.shape[-1] - 1, 1) - 0.5
    total = steps.sum(axis=(1, 2)) + 1e-6
    row = (steps.sum(axis=2) @ position) / total
    column = (steps.sum(axis=1) @ position) / total
    light = gray[len(gray) - len(steps) :].mean(axis=(1, 2))
    return np.column_stack([steps.mean(axis=(1, 2)), _shift(gray, 2), _shift(gray, 1), row, column, light])


def _shift(gray: np.ndarray, axis: int) -> np.ndarray:
    """Pixels that the picture moves along ``axis`` from each frame to the next; 0 for a single frame."""
    if len(gray) < 2:
        return np.zeros(1, np.float32)
    slope = np.gradient(gray, axis=axis)[:-1]
    return -(np.diff(gray, axis=0) * slope).sum(axis=(1, 2)) / ((slope**2).sum(axis=(1, 2)) + 1e-3)
