"""Training in stages, each with its own trainable parts and rows; each can be resumed."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from transformers import set_seed

from polymodal.config import StageConfig
from polymodal.models.encoders.backbone import hold_fixed
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.training.language.language_job import LanguageJob
from polymodal.training.loop.checkpoints import checkpoints
from polymodal.training.loop.language_trainer import train_language
from polymodal.utils.atomic import write_text
from polymodal.utils.distributed import on_main
from polymodal.utils.progress import note
from polymodal.utils.records import JsonObject

RESULTS = "told.json"
"""Results of a stage, for a training that is resumed in a later one."""


def train_stages(job: LanguageJob, folder: Path, *, resume: bool = False, quiet: bool = False) -> JsonObject:
    """Train the model of ``job`` stage by stage; each ends at its best epoch.

    Checkpoints of a stage are in ``folder/checkpoints/<stage>``.

    Returns:
        By stage what :func:`train_language` returns.

    Raises:
        RunError: See :func:`train_language`.
    """
    model, generation = job.model, job.declaration.generation
    assert generation is not None
    begun = last_started(job, folder) if resume else 0
    fixed = model.fixed
    results: dict[str, Any] = {}
    for index, stage in enumerate(job.stages):
        set_seed(stage.train.seed)  # the randomness of a stage does not depend on earlier ones
        set_trainable(model, stage.config, fixed)
        stage_folder = folder / "checkpoints" / stage.name
        known = _remembered(stage_folder) if resume else None
        if index < begun:  # its result is in the checkpoints of the next stage
            results |= {stage.name: known} if known else {}
            continue
        if len(job.stages) > 1:
            count = sum(p.numel() for p in model.parameters() if p.requires_grad)
            learns = f"{', '.join(stage.config.learn)} ({count:,} parameters)"
            note(f"stage {stage.name}: {learns}, {len(stage.rows['train'])} rows", quiet)
        trained = train_language(
            model, stage.rows["train"], stage.rows["validation"], stage.train, stage_folder,
            pack_to=generation.pack, resume=resume and index == begun, quiet=quiet,
        )  # fmt: skip
        results[stage.name] = known or trained
        on_main(partial(write_text, stage_folder / RESULTS, json.dumps(results[stage.name])))
    return results


def _remembered(folder: Path) -> JsonObject | None:
    """The results of a completed stage."""
    return (
        json.loads((folder / RESULTS).read_text(encoding="utf-8")) if (folder / RESULTS).is_file() else None
    )


def last_started(job: LanguageJob, folder: Path) -> int:
    """The index of the last stage with a complete checkpoint; 0 without one."""
    indices = [
        index
        for index, stage in enumerate(job.stages)
        if checkpoints(folder / "checkpoints" / stage.name / "checkpoints")
    ]
    return max(indices, default=0)


def set_trainable(model: PolymodalForConditionalGeneration, stage: StageConfig, fixed: list[str]) -> None:
    """Make exactly the parts trainable that a stage names.

    Args:
        model: Changed in place; adapters are added where the stage has ``lora``, and merged where it has not
            and the whole language model is trained.
        stage: The stage of the declaration.
        fixed: Names of weights that are never trained, such as those of frozen encoders.
    """
    if stage.lora and not model.config.lora:
        model.language_model.requires_grad_(True)  # adapters are added to trainable layers
        model.adapt(stage.lora.model_dump())
    elif "language_model" in stage.learn and not stage.lora:
        model.merge()
    model.requires_grad_(False)
    if "connectors" in stage.learn:
        model.connectors.requires_grad_(True)
    if "encoders" in stage.learn:
        for encoder in model.encoders:
            encoder.requires_grad_(True)
        known = dict(model.named_parameters())
        hold_fixed(model, [name for name in fixed if name in known])
    if "language_model" in stage.learn:
        for name, parameter in model.language_model.named_parameters():
            parameter.requires_grad_(not stage.lora or "lora_" in name)
