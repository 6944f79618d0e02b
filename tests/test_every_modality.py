"""Every modality has an entry in the registry of each analysis, or is said to be not supported there."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import polymodal
from polymodal.attribution.attributed_parts import MAPS, InputMap, cut_input
from polymodal.attribution.attribution_sites import Inlet
from polymodal.attribution.baselines import OTHER, WORDS
from polymodal.data.readers import READERS
from polymodal.data.readers.base import Reader
from polymodal.errors import ConfigError
from polymodal.models.encoders import ENCODERS
from polymodal.models.objectives.masked_patch import MaskedPatchObjective
from polymodal.models.objectives.patches import HIDDEN_CELLS, PATCHES
from polymodal.report.html_cells import HTML_CELLS, show_cell
from polymodal.report.model_card import CARDS, CardEntry
from polymodal.robustness.corruptions import CORRUPTIONS, CellReader, corruptions_of
from polymodal.search.previews import PREVIEWS, preview

REGISTRIES = {
    "encoder": [ENCODERS],
    "corruptions": [CORRUPTIONS],
    "map": [MAPS],
    "baseline": [WORDS],
    "page view": [HTML_CELLS],
    "card": [CARDS],
    "preview": [PREVIEWS],
    "masking": [PATCHES, HIDDEN_CELLS],
}
NOT_SUPPORTED = {("text", "masking")}  # masked_text masks texts, and masked_patch names it


class OtherReader(Reader):
    """Of a modality that no analysis knows."""

    modality = "smell"

    def read(self, cell, root):
        return cell


@pytest.fixture
def smell(monkeypatch):
    """The other modality has a reader and nothing else."""
    monkeypatch.setitem(READERS._entries, "smell", OtherReader)


@pytest.mark.parametrize("analysis", REGISTRIES)
@pytest.mark.parametrize("modality", READERS)
def test_each_modality_is_registered_or_named_as_not_supported(modality, analysis):
    is_there = sum(modality in registry for registry in REGISTRIES[analysis])
    assert is_there == ((modality, analysis) not in NOT_SUPPORTED)


@pytest.mark.parametrize("analysis", REGISTRIES)
def test_no_analysis_names_a_modality_that_has_no_reader(analysis):
    named = {name for registry in REGISTRIES[analysis] for name in registry}
    if analysis == "encoder":  # one modality may have several
        named = {ENCODERS[name].modality for name in named}
    assert named <= set(READERS)


def test_cells_of_another_modality_are_read_and_not_corrupted(smell):
    reader = OtherReader()
    assert corruptions_of(reader) == ()
    cells = CellReader(reader)
    assert cells.read([cells.decode("rose", None)]) == [["rose"]]


def test_an_input_of_another_modality_is_explained_as_a_whole_and_the_note_says_so():
    entry, value = InputMap("nose", "smell"), torch.ones(1, 3)
    inlet = Inlet("nose", "value", "values", value, torch.zeros(1, 3))
    cut_input(entry, OtherReader(), {"value": value}, [(inlet, np.array([[1.0, 2.0, 3.0]]))], ["rose"])
    assert entry.attribution == 6 and entry.parts == [] and entry.drawings == []
    assert entry.note == "maps are not supported for smell: the whole input alone"
    assert "smell" not in WORDS and OTHER


def test_pages_cards_and_hits_say_that_another_modality_is_not_supported(smell):
    (shown,) = show_cell("rose", "smell", None)
    assert shown == {"kind": "gone", "content": "not supported: pages do not show smell"}
    assert preview("rose", "smell", None) == (None, "no preview: not supported for smell")
    assert CARDS.get("smell", CardEntry()) == CardEntry("…", is_tabular=False, has_task=False)


def test_masking_refuses_another_modality_by_name():
    encoder = SimpleNamespace(modality="smell", frozen=False)
    model = SimpleNamespace(encoders=[encoder], encoder_of={"nose": 0})
    objective = MaskedPatchObjective(inputs=["nose"])
    with pytest.raises(ConfigError, match="cannot mask 'nose': masking is not supported for smell"):
        objective._choose(model, ["nose"])


OWN_CLASSES = re.compile(r"\b(Date|Categories)(Reader|Encoder)\b")
REGISTRATIONS = {
    "__init__.py", "attribution/attributed_parts.py", "attribution/baselines.py", "data/readers/__init__.py",
    "data/readers/categories.py", "data/readers/date.py", "data/schema/recognition.py",
    "data/schema/schema.py", "exporting/onnx/made_rows.py",
    "models/encoders/__init__.py", "models/encoders/categories.py",
    "models/encoders/date.py", "models/objectives/patches.py", "plain/features/values.py",
    "report/html_cells.py",
    "report/model_card.py", "robustness/corruptions/value_corruptions.py", "search/previews.py",
    "verification/sample_cells.py",
}  # fmt: skip


def test_dates_and_sets_of_categories_are_named_by_registrations_alone():
    folder = Path(polymodal.__file__).parent
    files = {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    assert {name for name, text in files.items() if OWN_CLASSES.search(text)} == REGISTRATIONS
