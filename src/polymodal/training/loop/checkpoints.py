"""Atomic checkpoints: publishing, rotation, and finding the last readable one."""

from __future__ import annotations

import math
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from safetensors import SafetensorError, safe_open
from transformers import TrainerCallback
from transformers.trainer_pt_utils import safe_globals

from polymodal.errors import RunError, option
from polymodal.utils.atomic import discard
from polymodal.utils.json_files import read_json
from polymodal.utils.progress import note

PREFIX = "checkpoint-"
NUMBERED = re.compile(rf"{PREFIX}[0-9]{{1,18}}")
PART = ".part"
"""Folder in which the Trainer writes a checkpoint; it is moved when it is complete."""
STATE = "trainer_state.json"
SECONDS = "seconds.json"
"""File of a checkpoint: how long its training took up to it, all legs counted."""


def damaged() -> str:
    """What to do about a checkpoint that cannot be used."""
    resume, overwrite = option("resume", True), option("overwrite", True)
    return (
        f"Remove this folder, and {resume} goes on from the checkpoint before it; or begin with {overwrite}"
    )


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in ``folder``, by step."""
    result = [path for path in folder.glob(f"{PREFIX}*") if NUMBERED.fullmatch(path.name)]
    return sorted(filter(is_whole, result), key=step)


def step(checkpoint: Path) -> int:
    """The number of optimizer steps of a checkpoint."""
    return int(checkpoint.name.removeprefix(PREFIX))


def is_whole(checkpoint: Path) -> bool:
    """Whether every file is readable, and the Trainer's state, which is written last, exists.

    A killed process leaves no partial checkpoint; a power cut, a full disk or an interrupted copy may.
    """
    try:
        state = state_of(checkpoint)
        if not isinstance(state, dict):
            return False
        for path in checkpoint.iterdir():
            if not path.is_file() and not path.is_dir():  # reading a pipe might never end
                return False
            if path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
            elif path.suffix in (".pt", ".pth") and not zipfile.is_zipfile(path):
                return False
    except (OSError, ValueError, SafetensorError, RunError):
        return False
    return True


def last_readable(folder: Path) -> list[Path]:
    """The last readable checkpoint in ``folder``, in a list; empty if there is none.

    Unreadable ones are reported. Reading a checkpoint takes as long as loading it.

    Raises:
        RunError: If there are checkpoints, and none can be read.
    """
    result, why = checkpoints(folder), ""
    for checkpoint in reversed(result):
        why = damage(checkpoint)
        if not why:
            return [checkpoint]
        if checkpoint != result[0]:
            note(f"warning: {checkpoint}: {why} cannot be read; the checkpoint before it is taken instead")
    if result:
        found_none = f"none of the {len(result)} checkpoints can be read (of the first, {why})"
        raise RunError(f"{folder}: {found_none}. Start again with {option('overwrite', True)}")
    return []


def damage(checkpoint: Path) -> str:
    """The name of an unreadable file; an empty text if all are readable.

    The file of the weights is read by :func:`is_whole`. No code in these files is executed.
    """
    if not has_shape(state_of(checkpoint)):
        return STATE
    try:
        seconds_of(checkpoint)
    except (OSError, ValueError, RunError):
        return SECONDS
    for path in sorted(checkpoint.iterdir()):
        if path.suffix not in (".pt", ".pth"):
            continue
        try:
            with safe_globals(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                content = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError):
            return path.name
        if not isinstance(content, dict) or not all(map(_is_stored, _tensors(content))):
            return path.name
    return ""


def _tensors(content: Any) -> Iterator[torch.Tensor]:
    """The tensors in nested dicts, lists and tuples."""
    if isinstance(content, torch.Tensor):
        yield content
    elif isinstance(content, dict | list | tuple):
        for entry in content.values() if isinstance(content, dict) else content:
            yield from _tensors(entry)


def _is_stored(tensor: torch.Tensor) -> bool:
    """Whether the file has all elements: with strides of 0 a single one would become terabytes."""
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def state_of(checkpoint: Path) -> Mapping[str, Any]:
    """The state of the Trainer in a checkpoint, as Transformers writes it."""
    return read_json(checkpoint / STATE)


def seconds_of(checkpoint: Path) -> float:
    """How long the training took up to a checkpoint; 0 in those of versions that did not record it.

    Raises:
        ValueError: If the file holds no duration.
    """
    path = checkpoint / SECONDS
    seconds = read_json(path) if path.exists() else 0.0
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise ValueError(f"{path}: no duration")
    return float(seconds)


def has_ended(checkpoint: Path) -> bool:
    """Whether the training ended at a checkpoint: by its last step, or by early stopping."""
    control = state_of(checkpoint)["stateful_callbacks"].get("TrainerControl", {})
    return bool(control.get("args", {}).get("should_training_stop"))


def publish(part: Path, limit: int | None, best: str | None) -> None:
    """Move the complete checkpoint ``part`` beside the others, and remove the oldest above ``limit``.

    Args:
        part: ``…/.part/checkpoint-<step>``.
        limit: Most checkpoints to keep; the newest and the best are always kept.
        best: Path of the best checkpoint.
    """
    folder = part.parent.parent
    index = folder / part.name
    stay = {index, Path(best or index)}
    discard(index)
    os.rename(part, index)
    part.parent.rmdir()
    others = [path for path in checkpoints(folder) if path not in stay]
    surplus = len(others) - max(0, (limit or 0) - len(stay)) if limit else 0
    for path in others[: max(0, surplus)]:
        discard(path)


class BestCheckpoint(TrainerCallback):
    """Finds the best checkpoint in the folder of a resumed training, which may have been moved."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set its path by its step."""
        point_to_best(state, Path(args.output_dir))


def point_to_best(state: Any, folder: Path) -> None:
    """Set ``state.best_model_checkpoint`` to the checkpoint of ``state.best_global_step`` in ``folder``."""
    best = folder / f"{PREFIX}{state.best_global_step}"
    if state.best_global_step and best.is_dir():
        state.best_model_checkpoint = str(best)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Control(_Part):
    args: dict[str, bool]
    attributes: dict[str, Any] = Field(max_length=0)


class State(BaseModel):
    """The keys that a resumed training needs; Transformers checks the others."""

    model_config = ConfigDict(extra="allow", strict=True)

    global_step: int = Field(ge=0)
    epoch: FiniteFloat = Field(ge=0)
    max_steps: int = 0
    num_train_epochs: int = 0
    logging_steps: FiniteFloat = Field(1, gt=0)
    eval_steps: FiniteFloat = Field(1, gt=0)
    save_steps: FiniteFloat = Field(1, gt=0)
    train_batch_size: int | None = Field(None, ge=1, le=2**24)
    num_input_tokens_seen: int = 0
    total_flos: FiniteFloat = 0
    best_metric: float | None = None
    best_global_step: int | None = Field(None, ge=0)
    best_model_checkpoint: str | None = None
    log_history: list[dict[str, float | int | str | bool | None]] = []
    stateful_callbacks: dict[str, Any]


def has_shape(state: Any) -> bool:
    """Whether a training can resume from a state."""
    try:
        checked = State.model_validate(state)
        _Control.model_validate(checked.stateful_callbacks["TrainerControl"])
    except (ValidationError, KeyError):
        return False
    parts = checked.stateful_callbacks.values()
    return all(isinstance(part, dict) and part.keys() == {"args", "attributes"} for part in parts)
