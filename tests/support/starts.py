"""Fits that start from a run, as a user makes them, and what they say."""

from safetensors.torch import load_file

import polymodal as pm
from polymodal.training.opening import open_job
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.load import build_started
from tests.support.checkpoints import CHECKPOINTS
from tests.support.command import polymodal, settings
from tests.support.tables import house_rows, write_table

INPUTS = "photo,note,bedrooms,district,back"
"""In the order of the table."""
SMALL = {"size": 16, "tokens": 4}
FIT = ["fit", "houses.csv", "-t", "kind", "-o", "run", "--from", "pre"]


def make_houses(folder):
    """Houses with two photos that share an encoder, a small BERT, and a run ``pre``."""
    rows = house_rows(folder, empty=0.05)
    write_table(folder / "houses.csv", [row | {"back": rows[-1 - n]["photo"]} for n, row in enumerate(rows)])
    CHECKPOINTS["bert"].save(folder / "models/bert")
    photos = {f"inputs__{name}__{key}": value for name in ("photo", "back") for key, value in SMALL.items()}
    pre(folder, "pre", INPUTS, **photos)


def pre(folder, name, inputs, **more):
    """A run to start from."""
    given = settings(**{key.replace("__", "."): value for key, value in more.items()})
    result = polymodal("fit", "houses.csv", "-t", "price", "-i", inputs, "-o", name, *given, folder=folder)
    assert result.status == 0, result.err


def fit(folder, *words, **more):
    """A fit from ``pre``, and what it said."""
    more = {key.replace("__", "."): value for key, value in more.items()}
    result = polymodal(*FIT, *words, *settings(**more), folder=folder)
    assert result.status == 0, result.err
    return pm.load(folder / "run"), result


def begun(folder, *given, run="pre"):
    """A job that starts from ``run``, and its model before the first step."""
    given = [*settings()[1::2], *given]
    job = open_job(FitRequest(folder / "houses.csv", targets=["kind"], start=folder / run, settings=given))
    return job, build_started(job, job.declaration)


def body(folder):
    """The weights of a run's encoders, embedding and fusion."""
    return {k: v for k, v in load_file(folder / "model.safetensors").items() if k.startswith("model.")}


def told(result):
    """The line that says what was loaded."""
    return next(line for line in result.err.splitlines() if line.startswith("from "))
