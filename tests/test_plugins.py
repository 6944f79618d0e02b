"""Encoders, fusions and heads of another package, found by its entry points; a broken one harms no other."""

import json
import subprocess
import sys
from textwrap import dedent

import pytest
import yaml

import polymodal as pm
from polymodal.models.heads import HEADS
from tests.support.command import error, polymodal, settings
from tests.support.tables import write_houses

PACKAGE = """
    import torch
    from torch import nn
    import polymodal as pm

    class Colours(pm.Encoder):
        modality = "image"

        def __init__(self, *, width: int = 8):
            super().__init__()
            self.width, self.net = width, nn.Linear(3, width)

        def settings(self):
            return {"width": self.width}

        def forward(self, *, row, pixel_values):
            tokens = self.net(pixel_values.float().mean(dim=(2, 3)) / 255).unsqueeze(1)
            return pm.TokenSequence(tokens, torch.ones(len(tokens), 1, dtype=torch.bool), row, (1,))

    @pm.FUSIONS.register("first")
    class First(pm.Fusion):
        def __init__(self, inputs, *, width: int, scale: float = 1.0):
            super().__init__(inputs, width=width)
            self.net, self.scale = nn.Linear(width, width), scale

        def forward(self, embedded):
            return pm.FusedState(self.scale * self.net(sum(e.tokens[:, 0] for e in embedded.values())))

    class Stepped(pm.Regressor):
        task = "stepped"

        def __init__(self, *, steps: int = 5, **options):
            super().__init__(**options)
            self.steps = steps

        def settings(self):
            return {**super().settings(), "steps": self.steps}

    class Misnamed(pm.Classifier):
        task = "other"

    class Odd(pm.Head):
        task = "odd"
"""


def install(folder, name, offers, code=""):
    """What pip would leave of a package in ``folder``; ``offers`` are names and objects by group."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(dedent(code))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for group, found in offers.items()
        for line in (f"[polymodal.{group}]", *(f"{n} = {o}" for n, o in found.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packages with one that works, and three that do not."""
    folder = tmp_path / "site"
    parts = {"encoders": {"colours": "paints:Colours"}, "fusions": {"first": "paints:First"},
             "heads": {"stepped": "paints:Stepped", "misnamed": "paints:Misnamed",
                       "odd": "paints:Odd"}}  # fmt: skip
    install(folder, "paints", parts, PACKAGE)
    broken = {"heads": {"broken": "ruins:Head", "none": "paints:Gone", "wrong": "pathlib:Path"}}
    install(folder, "ruins", broken | {"fusions": {"first_of_two": "ruins:A"}}, "import a_module_that_is_not")
    install(folder, "rival", {"fusions": {"first_of_two": "rival:A"}})
    monkeypatch.syspath_prepend(str(folder))
    kept = [(registry, dict(registry._entries)) for registry in (pm.ENCODERS, pm.FUSIONS, HEADS)]
    yield folder
    for registry, entries in kept:
        registry._entries = entries
    for name in ("paints", "ruins", "rival"):
        sys.modules.pop(name, None)


@pytest.fixture
def folder(tmp_path):
    write_houses(tmp_path, rows=24)
    return tmp_path


FIT = ["fit", "houses.csv", "-t", "price", "-i", "photo,bedrooms", "-o", "run", *settings("photo")]


def test_parts_of_another_package_are_fitted_saved_and_loaded_by_name(site, folder):
    assert "paints" not in sys.modules and "colours" in pm.ENCODERS and "first" in list(pm.FUSIONS)
    given = ["inputs.photo.encoder={type: colours, width: 4}", "fusion.name=first", "fusion.scale=2",
             "targets.price={task: stepped, options: {steps: 3}}", "report.write=true",
             "report.noise_rows=20"]  # fmt: skip
    result = polymodal(*FIT, *(word for s in given for word in ("--set", s)), folder=folder)
    assert result.status == 0, result.err
    run = pm.load(folder / "run")
    assert type(run.model.model.encoders[0]).__name__ == "Colours" and run.model.model.encoders[0].width == 4
    assert run.model.config.fusion["name"] == "first" and run.model.model.fusion.fusion.scale == 2
    assert type(run.model.head("price")).__name__ == "Stepped" and run.model.head("price").steps == 3
    assert run.model.head("price").mean > 1e5, "its cells are read as numbers, as its family's are"
    assert "rmse" in run.evaluate(folder / "houses.csv")["price"]
    explained = run.explain(folder / "houses.csv", [1, 2])
    assert {"box", "cell"} <= set(explained["part"]) and not explained["flagged"].any()
    figures = json.loads((folder / "run/report.json").read_text())["targets"]["price"]
    assert figures["task"] == "stepped" and figures["worth"]["score"] == "r2"
    assert yaml.safe_load((folder / "run/run.yaml").read_text())["targets"]["price"]["task"] == "stepped"


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("targets.price.task=steped", "'targets.price.task' is 'steped'. Did you mean 'stepped'?"),
        ("targets.price.task=broken", "the head 'broken' of the package 'ruins' cannot be imported "
         "(ModuleNotFoundError: No module named 'a_module_that_is_not'). Mend or uninstall that package"),
        ("targets.price.task=none", "the head 'none' of the package 'ruins' cannot be imported (Attr"),
        ("targets.price.task=wrong", "the head 'wrong' of the package 'ruins' cannot be used: "
         "pathlib:Path is no subclass of Head"),
        ("targets.price.task=misnamed", "the head 'misnamed' calls its task 'other': the names must be one"),
        ("targets.price.task=odd", "the head 'odd' reads its targets as 'odd', which no target reader does. "
         "Set its 'family' to one of classification, multilabel, regression, or offer a reader"),
        ("fusion.name=first_of_two", "the fusion 'first_of_two' is offered by "),
        ("targets.price={task: stepped, options: {stepps: 3}}",
         "the head 'stepped' has no option 'stepps'. Did you mean 'steps'?"),
        ("targets.price={task: stepped, options: {steps: 3}, transform: log, class_weights: balanced}",
         "'targets.price': 'class_weights' is no setting of a stepped"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_part_is_said_in_one_line(site, folder, setting, line):
    assert error(folder, *FIT, "--set", setting).startswith(line)


def test_a_broken_package_harms_no_other(site, folder):
    assert polymodal(*FIT, folder=folder).status == 0
    with pytest.raises(pm.ConfigError, match="cannot be imported"):
        HEADS["broken"]
    assert HEADS["stepped"].__name__ == "Stepped"


def test_a_run_whose_package_is_gone_says_so(site, folder, monkeypatch):
    assert polymodal(*FIT, "--set", "fusion.name=first", folder=folder).status == 0
    pm.FUSIONS._entries.pop("first")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(site)])
    line = error(folder, "predict", "run", "houses.csv", "-o", "a.parquet")
    assert "there is no fusion named 'first'" in line and "or its package installed" in line


def test_help_imports_no_package(site):
    code = "import sys; from polymodal.cli import main; sys.argv = ['polymodal', '--help']\ntry: main()\n"
    code += "finally: print(sorted({'paints', 'torch'} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=site)
    assert done.stderr.strip() == "[]", done.stderr
