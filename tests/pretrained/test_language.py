"""Whether a column of texts is English."""

import pytest

from polymodal.pretrained.language import languages_of

GERMAN = ["das Haus ist nicht neu", "eine Wohnung mit Garten"]
DUTCH = ["het huis is niet nieuw", "een woning met tuin op de hoek"]


@pytest.mark.parametrize(
    "texts", [GERMAN, DUTCH, ["дом с садом"], ["庭付きの家"], ["گھر"], ["café près du marché", "élève"]]
)
def test_other_scripts_words_and_accents_are_not_english(texts):
    assert languages_of(texts) == "any"


@pytest.mark.parametrize(
    "texts",
    [
        ["a quiet house by the sea", "it is on the hill"],
        ["Engineer II", "Manager"],
        [],
        ["12", "3-4"],
        ["Zürich", *["London"] * 20],
    ],
)
def test_english_names_and_texts_without_letters_count_as_english(texts):
    assert languages_of(texts) == "English"


def test_english_with_a_few_other_words_stays_english():
    assert languages_of(["the house is on the hill", "it was for her", *GERMAN[:1]]) == "English"
