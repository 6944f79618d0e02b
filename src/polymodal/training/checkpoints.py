"""Checkpoints: there as a whole or not at all, rotated so, and found again."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import TrainerCallback

from polymodal.data.aside import discard

PREFIX = "checkpoint-"
PART = ".part"
"""Where the Trainer writes a checkpoint; it moves out of there when it is whole."""
STATE = "trainer_state.json"


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in ``folder``, in the order of their steps."""
    found = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(filter(is_whole, found), key=step)


def step(checkpoint: Path) -> int:
    """The optimizer steps before it."""
    return int(checkpoint.name.removeprefix(PREFIX))


def is_whole(checkpoint: Path) -> bool:
    """Whether every file can be read to its end, and the Trainer's state, written last, is among them.

    A kill leaves no half checkpoint; a power cut, a full disk and a copy that was broken off may.
    """
    try:
        state_of(checkpoint)
        for path in checkpoint.iterdir():
            if path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
            elif path.suffix in (".pt", ".pth") and not zipfile.is_zipfile(path):
                return False
    except (OSError, ValueError, SafetensorError):
        return False
    return True


def state_of(checkpoint: Path) -> dict[str, Any]:
    """What the Trainer knew of the training there."""
    return json.loads((checkpoint / STATE).read_text(encoding="utf-8"))


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
