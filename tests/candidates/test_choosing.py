"""The choice of a blend where the validation rows are of another kind than the training rows."""

import json

import numpy as np
import pandas as pd
import pytest

import polymodal as pm


def table(rows, shifted, random):
    """Rows whose label shows in both numbers; in those that are shifted ``first`` says the opposite."""
    label = random.integers(0, 2, rows)
    first = (2 * label - 1) * (-1 if shifted else 1) + random.normal(0, 0.3, rows)
    second = 2 * label - 1 + random.normal(0, 1.5, rows)
    return pd.DataFrame({"first": first, "second": second, "label": np.where(label, "yes", "no")})


@pytest.mark.parametrize("shifted", [True, False])
def test_models_are_chosen_out_of_fold_only_where_the_validation_rows_are_alike(tmp_path, shifted):
    random = np.random.default_rng(0)
    parts = {
        "train": table(120, False, random),
        "val": table(40, shifted, random),
        "test": table(40, shifted, random),
    }
    rows = pd.concat([part.assign(split=name) for name, part in parts.items()], ignore_index=True)
    run = pm.fit(
        rows, target="label", inputs=["first", "second"], preset="fast", output=tmp_path / "run",
        settings=["report.write=false"],
    )  # fmt: skip
    (reason,) = json.loads((run.folder / "metrics.json").read_text())["candidates"]["reasons"].values()
    assert ("the validation rows are unlike the training rows (loss " in reason) is shifted
    assert reason.startswith("out of fold") is not shifted
