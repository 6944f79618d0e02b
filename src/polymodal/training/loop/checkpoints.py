"""Checkpoints: there as a whole or not at all, rotated so, and found again."""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import TrainerCallback
from transformers.trainer_pt_utils import safe_globals

from polymodal.errors import RunError
from polymodal.training.loop.trainer_state import has_shape
from polymodal.utils.atomic import discard
from polymodal.utils.json_files import read_json
from polymodal.utils.progress import note

PREFIX = "checkpoint-"
NUMBERED = re.compile(rf"{PREFIX}[0-9]{{1,18}}")
PART = ".part"
"""Where the Trainer writes a checkpoint; it moves out of there when it is whole."""
STATE = "trainer_state.json"
DAMAGED = "Remove this folder, and --resume goes on from the checkpoint before it; or begin with --overwrite"


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in ``folder``, in the order of their steps."""
    found = [path for path in folder.glob(f"{PREFIX}*") if NUMBERED.fullmatch(path.name)]
    return sorted(filter(is_whole, found), key=step)


def step(checkpoint: Path) -> int:
    """The optimizer steps before it."""
    return int(checkpoint.name.removeprefix(PREFIX))


def is_whole(checkpoint: Path) -> bool:
    """Whether every file can be read to its end, and the Trainer's state, written last, is among them.

    A kill leaves no half checkpoint; a power cut, a full disk and a copy that was broken off may.
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
    """The last checkpoint in ``folder`` of which everything can be read, in a list; empty if there is none.

    What is passed over is named. Reading all of it takes as long as resuming does once more.

    Raises:
        RunError: If there are checkpoints, and none can be read.
    """
    found, why = checkpoints(folder), ""
    for checkpoint in reversed(found):
        why = damage(checkpoint)
        if not why:
            return [checkpoint]
        if checkpoint != found[0]:
            note(f"warning: {checkpoint}: {why} cannot be read; the checkpoint before it is taken instead")
    if found:
        found_none = f"none of the {len(found)} checkpoints can be read (of the first, {why})"
        raise RunError(f"{folder}: {found_none}. Begin anew with --overwrite")
    return []


def damage(checkpoint: Path) -> str:
    """The name of a file that cannot be read to its end; an empty text where all can.

    The weights' own file is read by :func:`is_whole`. Nothing in these files is run.
    """
    if not has_shape(state_of(checkpoint)):
        return STATE
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
    """Whether a file held all elements: strides of 0 make terabytes of a single one."""
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def state_of(checkpoint: Path) -> dict[str, Any]:
    """What the Trainer knew of the training there."""
    return read_json(checkpoint / STATE)  # type: ignore[no-any-return]


def has_ended(checkpoint: Path) -> bool:
    """Whether the training came to its end there: by its last step, or because it got no better."""
    control = state_of(checkpoint)["stateful_callbacks"].get("TrainerControl", {})
    return bool(control.get("args", {}).get("should_training_stop"))


def publish(part: Path, limit: int | None, best: str | None) -> None:
    """Give the checkpoint ``part`` its place beside the others, and remove the oldest above ``limit``.

    Args:
        part: ``…/.part/checkpoint-<step>``.
        limit: Most checkpoints to keep; the newest and the best stay in any case.
        best: The best checkpoint's place.
    """
    folder = part.parent.parent
    place = folder / part.name
    stay = {place, Path(best or place)}
    discard(place)
    os.rename(part, place)
    part.parent.rmdir()
    others = [path for path in checkpoints(folder) if path not in stay]
    surplus = len(others) - max(0, (limit or 0) - len(stay)) if limit else 0
    for path in others[: max(0, surplus)]:
        discard(path)


class BestCheckpoint(TrainerCallback):
    """Finds the best checkpoint in the folder it is resumed from, which may have been moved since."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Name it by its step."""
        point_to_best(state, Path(args.output_dir))


def point_to_best(state: Any, folder: Path) -> None:
    """Set ``state.best_model_checkpoint`` to the checkpoint of ``state.best_global_step`` in ``folder``."""
    best = folder / f"{PREFIX}{state.best_global_step}"
    if state.best_global_step and best.is_dir():
        state.best_model_checkpoint = str(best)
