"""Sequences whose steps look like features: arrays that were written as ``(features, time)``."""

from __future__ import annotations

import numpy as np

from polymodal.data.checks.check_columns import Findings
from polymodal.data.checks.check_media import Opened
from polymodal.data.checks.split_view import Parts
from polymodal.errors import Problem

FEWEST = 5  # of fewer sequences, equal lengths say nothing
VARIED = 3  # different numbers of features that no extractor writes
CURE = "If the first dimension counts the features, transpose the arrays (array.T)"


def check_steps(parts: Parts, name: str, opened: Opened, findings: Findings) -> list[Problem]:
    """Warn or refuse where all sequences have as many steps, and fewer than features.

    Args:
        parts: The splits.
        name: The input, of modality sequence.
        opened: What opening its cells came to.
        findings: Takes in what is to be said.

    Returns:
        The problems of single cells that are left to be named.
    """
    shapes = np.array([*opened.sizes, *opened.refused], dtype=np.int64).reshape(-1, 2)
    if len(shapes) < FEWEST or len(set(shapes[:, 0])) > 1:
        return opened.problems
    steps, features = int(shapes[0, 0]), np.unique(shapes[:, 1])
    if steps >= np.median(shapes[:, 1]):
        return opened.problems
    every = f"each of the {len(shapes)} sequences has {steps} step{'s' * (steps > 1)}"
    if len(features) >= VARIED:
        found = f"{every} of {features[0]} to {features[-1]} features"
        expected = "numbers of shape (time, features), as many features in each"
        findings.problems.append(
            parts.problem("train", None, name, found, expected=expected, cure=CURE + ".")
        )
        return [problem for problem in opened.problems if "features a step" not in problem.found]
    if len(features) == 1:
        found = f"{every} of {features[0]} features: its steps look like features"
        findings.warnings.append(parts.problem("train", None, name, found, cure=CURE))
    return opened.problems
