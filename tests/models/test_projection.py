"""The shared space: projected behind the embedding, or the embedding itself."""

import json

import pytest
import torch

import polymodal as pm
from polymodal.models.fusion.base import masked_mean
from tests.support.command import error
from tests.support.tables import house_rows, tiny, write_table

SETTINGS = ["fusion.space_projection=false", "train.epochs=1", *tiny("photo")]


def pretrain(folder, output, *settings, **more):
    asked = {"inputs": ["photo", "note"], "objectives": ["contrastive"], "output": folder / output}
    return pm.pretrain(folder / "houses.csv", settings=[*SETTINGS, *settings], **asked, **more)


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A folder with a table and ``run``, whose inputs are compared as they are embedded."""
    folder = tmp_path_factory.mktemp("space")
    write_table(folder / "houses.csv", house_rows(folder, 30, empty=0.0))
    pretrain(folder, "run")
    return folder


def test_without_a_projection_the_mean_of_the_embedded_tokens_is_compared(houses):
    run = pm.load(houses / "run")
    space = run.model.model.space
    assert not list(space.parameters()) and run.width == run.model.config.fusion["width"]
    table = pm.data.tables.table.read_table(houses / "houses.csv")
    batch = run.processor(list(table.rows()), root=table.root)
    with torch.no_grad():
        embedded = run.model.model.embed(batch["index"], batch["inputs"])
    for name in ("photo", "note"):
        mean = masked_mean(embedded[name].tokens, embedded[name].mask)
        found = torch.from_numpy(run.embed(houses / "houses.csv", input=name))
        torch.testing.assert_close(found, mean / mean.norm(dim=1, keepdim=True), atol=1e-6, rtol=1e-5)


def test_another_run_goes_on_from_it_and_one_of_another_space_says_so(houses):
    for projects, told in ((False, "loaded"), (True, "new")):
        again = pretrain(houses, f"on{told}", f"fusion.space_projection={projects}", start=houses / "run")
        assert again.model.config.space_projection is projects
        assert "space" in json.loads((again.folder / "metrics.json").read_text())["start"][told]


def test_what_cannot_be_is_told(houses):
    for given, said in (
        (
            ["fusion.space=8"],
            "'fusion.space' is 8, and 'fusion.width' 16. Without a projection they are equal",
        ),
        (["objectives=[masked_patch]"], "'fusion.space_projection' is for the objectives contrastive and"),
    ):
        words = [word for setting in [*SETTINGS, *given] for word in ("--set", setting)]
        line = error(houses, "pretrain", "houses.csv", "-i", "photo,note", *words, "-o", "no")
        assert said in line
