"""The model card: a run's ``README.md`` in the form of the Hugging Face Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Template

from polymodal.config import Declaration
from polymodal.data.readers import (
    AudioReader,
    CategoriesReader,
    CategoryReader,
    DateReader,
    ImageReader,
    NumberReader,
    SequenceReader,
    TextReader,
    VideoReader,
)
from polymodal.errors import LONGEST, one_line
from polymodal.evaluation import number_text as words
from polymodal.tasks import task_of
from polymodal.training.recorded_metrics import FitResults
from polymodal.utils.registry import Registry
from polymodal.utils.version import __version__

if TYPE_CHECKING:
    from polymodal.report.report_figures import Report

CARD = "README.md"
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!$~])")
"""Characters with a meaning in Markdown."""
HUB_METRICS = {"macro_f1": "f1", "micro_f1": "f1", "r2": "r_squared", "map": "mean_average_precision"}
"""The hub's names of our metrics, where they differ."""


@dataclass(frozen=True)
class CardEntry:
    """The entry of a modality in model cards.

    Attributes:
        example: A cell in Python.
        is_tabular: Whether the hub counts it as a table's.
        has_task: Whether the hub has a task of its name, such as ``image-classification``.
    """

    example: str = "…"
    is_tabular: bool = False
    has_task: bool = False


CARDS: Registry[CardEntry] = Registry("card entry", group="polymodal.cards")
"""By modality; the card of one without an entry shows no example and names no task of the hub."""
CARDS.register(TextReader.modality)(CardEntry('"some words"', has_task=True))
CARDS.register(ImageReader.modality)(CardEntry('"picture.jpg"', has_task=True))
CARDS.register(AudioReader.modality)(CardEntry('"recording.wav"', has_task=True))
CARDS.register(VideoReader.modality)(CardEntry('"clip.mp4"', has_task=True))
CARDS.register(SequenceReader.modality)(CardEntry('"features.npy"'))
CARDS.register(NumberReader.modality)(CardEntry("3.5", is_tabular=True))
CARDS.register(CategoryReader.modality)(CardEntry('"a value"', is_tabular=True))
CARDS.register(DateReader.modality)(CardEntry('"2024-12-31"', is_tabular=True))
CARDS.register(CategoriesReader.modality)(CardEntry('["one", "another"]', is_tabular=True))


def model_card(name: str, declaration: Declaration, results: FitResults, figures: Report | None) -> str:
    """The text of a card.

    Args:
        name: Of the run.
        declaration: Of the fit.
        results: Of the fit.
        figures: The report; without it intervals and verdict are skipped.
    """
    data = ModelCardData(
        library_name="polymodal",
        model_name=name,
        tags=["polymodal", *dict.fromkeys(config.modality for config in declaration.inputs.values())],
        base_model=base_models(declaration) or None,
        metrics=list(dict.fromkeys(_hub_name(key) for key, _, _ in _reported_metrics(declaration, results)))
        or None,
        eval_results=eval_results(declaration, results) or None,
        pipeline_tag=next(
            iter({tag for name in declaration.targets if (tag := pipeline(declaration, name))}), None
        ),
    )
    context: dict[str, Any] = {
        "name": name, "declaration": declaration, "results": results, "figures": figures or {},
        "version": __version__, "words": words, "cell": cell, "quoted": json.dumps,
        "reported": _reported_metrics(declaration, results),
        "media": _media(declaration),
    }  # fmt: skip
    text = filled("card.md", data, context)
    # What the template's loops leave between paragraphs, and between the entries of a list.
    return re.sub(r"(\n- .*)\n+(?=\n- )", r"\1", re.sub(r"\n{3,}", "\n\n", text)).rstrip() + "\n"


def filled(template: str, data: ModelCardData, context: Mapping[str, Any]) -> str:
    """A card from a template in ``templates/``, as ``ModelCard.from_template`` makes it.

    That compiles the template for each card, which takes longer than the rest of it.
    """
    return str(ModelCard(compiled(template).render(card_data=data.to_yaml(), **(data.to_dict() | context))))


@cache
def compiled(template: str) -> Template:
    """A template of a card by its name; nothing is escaped."""
    return Template(files("polymodal.report").joinpath("templates", template).read_text(encoding="utf-8"))


def base_models(declaration: Declaration) -> list[str]:
    """The checkpoints of the hub that parts were initialised from; folders are skipped."""
    configs = [config.encoder for config in declaration.inputs.values() if config.encoder]
    configs += [declaration.generation.language_model] if declaration.generation else []
    named = [config.checkpoint for config in configs if config.checkpoint]
    return list(dict.fromkeys(name for name in named if name.count("/") == 1 and name[0] not in "./~"))


def pipeline(declaration: Declaration, target: str) -> str | None:
    """The hub's name of the task; None where it has none, as for inputs of several modalities."""
    modalities = {config.modality for config in declaration.inputs.values()}
    entries = [CARDS.get(modality, CardEntry()) for modality in modalities]
    task = task_of(declaration.targets[target].task)
    if all(entry.is_tabular for entry in entries):
        return task.tabular_tag
    is_single = len(modalities) == 1 and entries[0].has_task and task.media_tag is not None
    return f"{next(iter(modalities))}-{task.media_tag}" if is_single else None


def eval_results(declaration: Declaration, results: FitResults) -> list[EvalResult]:
    """Every reported metric of the test rows, as the hub reads it."""
    train = declaration.data.train
    table = str(train).replace("\\", "/").rpartition("/")[2] if isinstance(train, str) else "a table"
    return [
        EvalResult(
            task_type=pipeline(declaration, target) or "other",
            dataset_type=table,
            dataset_name=table,
            dataset_split="test",
            metric_type=_hub_name(key),
            metric_name=f"{target} {key}",
            metric_value=round(value, 6),
        )
        for key, target, value in _reported_metrics(declaration, results)
    ]


def cell(value: Any) -> str:
    """Text with Markdown escaped, on one line: for a paragraph, or a cell of a table."""
    return SPECIAL.sub(r"\\\1", one_line(" ".join(str(value).split()), LONGEST))


def _reported_metrics(declaration: Declaration, results: FitResults) -> list[tuple[str, str, float]]:
    """``(metric, target, value)`` of the test rows."""
    return [
        (key, target, measured[key])
        for target, measured in results.test.items()
        for key in _first(declaration, target, measured)
        if key in measured
    ]


def _first(declaration: Declaration, target: str, measured: Mapping[str, float]) -> list[str]:
    """The metrics that the card shows of a target: those of its task."""
    return list(task_of(declaration.targets[target].task).card_metrics or tuple(measured)[:3])


def _media(declaration: Declaration) -> dict[str, str]:
    """An example cell of each input, in Python."""
    inputs = declaration.inputs.items()
    return {name: CARDS.get(config.modality, CardEntry()).example for name, config in inputs}


def _hub_name(metric: str) -> str:
    return HUB_METRICS.get(metric, metric)
