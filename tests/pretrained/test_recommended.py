"""The table of recommended encoders."""

import subprocess
import sys

import pytest

from polymodal.pretrained.recommended import RECOMMENDED, recommended

REAL_MODELS = ("efficientnet-lite0", "whisper-tiny.en")


def test_every_entry_is_named_once_and_can_be_had():
    names = [entry.name for entry in RECOMMENDED]
    assert len(set(names)) == len(names)
    assert set(REAL_MODELS) <= set(names)
    for entry in RECOMMENDED:
        assert entry.megabytes > 0 and entry.parameters > 0 and entry.licence and entry.good_for
        assert entry.hub or entry.name in REAL_MODELS


@pytest.mark.parametrize("modality", ["text", "image", "audio", "video"])
@pytest.mark.parametrize("preset", ["good", "best"])
def test_media_and_texts_have_encoders_for_each_preset(modality, preset):
    assert recommended(modality, preset=preset)


def test_numbers_have_none():
    assert recommended("number") == []


def test_english_text_prefers_english_encoders_and_other_text_a_multilingual_one():
    english = [entry.languages for entry in recommended("text", languages="English")]
    assert english[0] == "English" and english[-1] == "any"
    assert {entry.languages for entry in recommended("text", languages="any")} == {"any"}


def test_the_table_and_the_search_load_no_torch():
    code = "import sys, polymodal; polymodal.encoders(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
