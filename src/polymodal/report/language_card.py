"""The model card of a run that answers in words: its ``README.md`` as the hub reads it."""

from __future__ import annotations

import json
import re
from typing import Any

from huggingface_hub import ModelCardData

from polymodal.config import Declaration
from polymodal.data.readers import ImageReader
from polymodal.evaluation import number_text as words
from polymodal.report.model_card import base_models, cell, filled
from polymodal.training.recorded_metrics import LanguageResults
from polymodal.utils.version import __version__


def words_card(name: str, declaration: Declaration, results: LanguageResults) -> str:
    """The text of a card.

    Args:
        name: Of the run.
        declaration: What it was made from.
        results: Of the fit.
    """
    generation = declaration.generation
    assert generation is not None
    (metrics,) = results.test.values()
    named = generation.language_model
    modalities = list(dict.fromkeys(entry.modality for entry in declaration.inputs.values()))
    data = ModelCardData(
        library_name="polymodal",
        model_name=name,
        tags=["polymodal", *modalities],
        base_model=base_models(declaration) or None,
        metrics=list(metrics) or None,
        pipeline_tag="image-text-to-text" if ImageReader.modality in modalities else "text-generation",
    )
    given: dict[str, Any] = {
        "name": name, "version": __version__, "inputs": " and ".join(modalities), "cell": cell,
        "quoted": json.dumps, "words": words,
        "language_model": f"`{named.checkpoint}`" if named.checkpoint else "from scratch",
        "lora": any(stage.lora for stage in declaration.stages.values()), "prompt": generation.prompt,
        "metrics": metrics, "rows": results.rows, "train": results.train, "without": results.without,
        "stages": results.stages,
    }  # fmt: skip
    text = filled("language_card.md", data, given)
    text = re.sub(r"(\|)\n\n(?=\|)", r"\1\n", text)  # the lines of the table, which the loops part
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"
