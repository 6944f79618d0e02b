"""A modality of another package: depth maps go from check to explanation, and `src` does not know them."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import polymodal as pm
from tests.support.command import error, polymodal

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "tests/plugins/depth"
ROWS = 30
DECLARATION = {
    "data": {"train": "rooms.csv"},
    "inputs": {
        "map": {"modality": "depth", "encoder": {"type": "depth", "width": 8}, "size": 16},
        "doors": {"modality": "number"},
    },
    "targets": {"metres": {"task": "regression"}},
    "fusion": {"width": 16, "layers": 1},
    "train": {"epochs": 1, "batch_size": 8, "threads": 1, "workers": 0, "device": "cpu"},
    "report": {"noise_rows": 4},
}  # fmt: skip


@pytest.fixture(scope="module")
def site():
    """The package on the path, as pip would leave it; gone again afterwards."""
    kept = [(registry, dict(registry._entries)) for registry in (pm.READERS, pm.ENCODERS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SITE))
        yield SITE
    for registry, entries in kept:
        registry._entries = entries
    sys.modules.pop("depth_maps", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, site):
    """Rooms with depth maps, a few of them without one."""
    folder, random = tmp_path_factory.mktemp("rooms"), np.random.default_rng(0)
    metres = random.uniform(0.5, 9, ROWS).round(2)
    for row, depth in enumerate(metres):
        values = np.full((20, 24), depth * 1000)
        values[:3] = 0
        Image.fromarray(values.astype(np.uint16)).save(folder / f"{row}.png")
    cells = [None if row % 7 == 3 else f"{row}.png" for row in range(ROWS)]
    pd.DataFrame({"map": cells, "doors": random.integers(1, 4, ROWS), "metres": metres}).to_csv(
        folder / "rooms.csv", index=False
    )
    (folder / "rooms.yaml").write_text(yaml.safe_dump(DECLARATION, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """A run of it."""
    result = polymodal("fit", "rooms.yaml", "-o", "run", folder=folder)
    assert result.status == 0, result.err
    return folder / "run"


def test_the_check_opens_and_measures_the_maps(folder):
    result = polymodal("check", "rooms.yaml", "--json", folder=folder)
    assert result.status == 0, result.err
    column = next(entry for entry in result.json["columns"] if entry["column"] == "map")
    assert column["modality"] == "depth" and "up to 24×20 pixels" in column["detail"]


def test_a_fit_saves_and_loads_its_reader_and_encoder(run, folder):
    loaded = pm.load(run)
    assert type(loaded.processor.readers["map"]).__name__ == "DepthReader"
    assert loaded.processor.readers["map"].size == 16 and loaded.model.model.encoders[0].width == 8
    assert yaml.safe_load((run / "run.yaml").read_text())["inputs"]["map"]["modality"] == "depth"
    again = polymodal("fit", "rooms.yaml", "--from", "run", "-o", "next", folder=folder)
    assert again.status == 0 and "New: head of metres" in again.err + again.out, again.err


@pytest.mark.parametrize(
    "command",
    [("evaluate", "run", "rooms.csv"), ("predict", "run", "rooms.csv", "-o", "a.parquet"), ("report", "run"),
     ("explain", "run", "rooms.csv", "--rows", "1,4", "-o", "why.html"),
     ("embed", "run", "rooms.csv", "-o", "e.parquet")],
    ids=lambda command: command[0],
)  # fmt: skip
def test_commands_read_a_run_with_maps(run, folder, command):
    result = polymodal(*command, folder=folder)
    assert result.status == 0, result.err
    if command[0] == "predict":
        found = pd.read_parquet(folder / "a.parquet")
        assert found["metres"].notna().all() and found["missing"].iloc[3] == "map"


@pytest.mark.parametrize(
    ("picture", "message"),
    [(Image.new("L", (8, 8)), "bad.png is a picture of 8 bits, expected a PNG of 16 bits, in millimetres"),
     (None, "bad.png is no picture, expected a PNG of 16 bits")],
)  # fmt: skip
def test_what_is_no_map_is_one_line_with_its_row_and_column(folder, picture, message):
    picture.save(folder / "bad.png") if picture else (folder / "bad.png").write_bytes(b"\x89PNG\r\n")
    table = pd.read_csv(folder / "rooms.csv")
    table.loc[4, "map"] = "bad.png"
    table.to_csv(folder / "bad.csv", index=False)
    line = error(folder, "fit", "rooms.yaml", "--set", "data.train=bad.csv", "-o", "none")
    assert line.startswith("bad.csv, row 5, column 'map': ") and message in line


@pytest.mark.parametrize(
    ("setting", "message"),
    [("inputs.map.frames=3", "'frames' is a setting of video, not of depth"),
     ("inputs.map.encoder=resnet", "no encoder 'resnet' reads depth. There are: depth"),
     ("inputs.map.modality=dept", "'inputs.map.modality' is 'dept'; input should be 'text'")],
)  # fmt: skip
def test_wrong_settings_are_one_line(folder, setting, message):
    assert message in error(folder, "fit", "rooms.yaml", "--set", setting, "-o", "none")


def test_a_model_by_hand_gets_the_reader_of_its_encoder(site):
    encoder = pm.ENCODERS["depth"](width=8)
    model = pm.PolymodalModel.from_parts(encoders={"map": encoder})
    assert type(pm.PolymodalProcessor.for_model(model).readers["map"]).__name__ == "DepthReader"


def test_no_source_names_the_modality():
    quoted = re.compile(r"""["']depth["']|depth_maps""")
    assert not [path for path in (ROOT / "src").rglob("*.py") if quoted.search(path.read_text())]


def test_a_modality_that_nobody_knows_is_refused_in_one_line():
    class Smells(pm.Encoder):
        modality, width = "smell", 8

        def settings(self):
            return {}

    pm.ENCODERS.register("smells")(Smells)
    try:
        model = pm.PolymodalModel.from_parts(encoders={"nose": Smells()})
        with pytest.raises(pm.ConfigError, match=r"^there is no modality named 'smell'\. There are: "):
            pm.PolymodalProcessor.for_model(model)
    finally:
        pm.ENCODERS._entries.pop("smells")
