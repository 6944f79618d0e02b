"""Parts of models, made once; a test takes copies of them (see ``make_speaker``)."""

from __future__ import annotations

import pytest
import transformers as hf

from tests.support.speakers import (
    ENCODERS,
    LANGUAGE_MODELS,
    Before,
    make_before,
    read_language_model,
    save_language_model,
)


@pytest.fixture(scope="session")
def language_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, hf.PreTrainedModel]:
    folder = tmp_path_factory.mktemp("language")
    return {name: read_language_model(save_language_model(name, folder / name)) for name in LANGUAGE_MODELS}


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Before]:
    folder = tmp_path_factory.mktemp("encoders")
    return {name: make_before(name, folder / name) for name in ENCODERS}
