"""Weights that several candidates of a blend have, such as those of a frozen encoder: stored once.

The first file that holds a tensor keeps it. Another one lists it in ``shared.json`` beside it, by the file
and the name under which it is kept. Paths there are relative to the folder of the candidates: a run can be
moved, copied and packed, and holds no links. The neural model comes first: its folder is a whole run.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from polymodal.artifact.run_folder import NEURAL
from polymodal.utils.atomic import aside, write_text
from polymodal.utils.json_files import read_json
from polymodal.utils.records import JsonValue

SHARED = "shared.json"
"""By tensor that is kept elsewhere, the file and its name there."""
WEIGHTS = "model.safetensors"
SMALLEST = 4096
"""Bytes of a tensor below which it stays where it is."""
METADATA = {"format": "pt"}


def share_weights(candidates: Path) -> None:
    """Store each tensor of the candidates in a folder once.

    Args:
        candidates: The folder with a folder for each; all are written.

    Raises:
        OSError: If a file cannot be written.
    """
    known: dict[str, list[str]] = {}
    files = _weight_files(candidates)
    for file in files if len(files) > 1 else ():
        if (file.parent / SHARED).exists():
            continue
        location = file.relative_to(candidates).as_posix()
        own: dict[str, Tensor] = {}
        shared: dict[str, list[str]] = {}
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118  (it is no dictionary)
                tensor = weights.get_tensor(name)
                digest = _digest(tensor)
                # One tensor is not taken twice: both names would be of the same memory when they are read.
                if digest in known and known[digest][0] != location and known[digest] not in shared.values():
                    shared[name] = known[digest]
                    continue
                own[name] = tensor
                if tensor.nbytes >= SMALLEST:
                    known.setdefault(digest, [location, name])
        if shared:
            write_text(file.parent / SHARED, json.dumps({"tensors": shared}, ensure_ascii=False))
            with aside(file) as part:
                save_file(own, part, METADATA)


def restore_weights(candidates: Path) -> None:
    """Store all tensors of each candidate in its own file again; the reverse of :func:`share_weights`.

    Raises:
        ValueError: If a file is damaged.
        OSError: If one is missing or cannot be written.
    """
    for file in _weight_files(candidates):
        if (file.parent / SHARED).exists():
            state = whole_state(file.parent)
            with aside(file) as part:
                save_file(state, part, METADATA)
            (file.parent / SHARED).unlink()


def whole_state(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder with :data:`SHARED`, by name.

    Raises:
        ValueError: If what is listed there is none of a fit, or not in its file.
        OSError: If a file is missing.
    """
    state: dict[str, Tensor] = dict(load_file(folder / WEIGHTS))
    for file, names in _listed(folder).items():
        with safe_open(file, framework="pt") as weights:
            held = set(weights.keys())
            for name, other in names.items():
                if other not in held:
                    raise ValueError(f"{SHARED} names a tensor that {file.name} does not hold")
                state[name] = weights.get_tensor(other)
    return state


def _listed(folder: Path) -> dict[Path, dict[str, str]]:
    """By file of another candidate the tensors of this one that it keeps, and their names there.

    Raises:
        ValueError: If a path is none that a fit writes.
    """
    content = read_json(folder / SHARED)
    tensors = content.get("tensors") if isinstance(content, dict) else None
    if not isinstance(tensors, dict):
        raise ValueError(f"{SHARED} lists no tensors")
    candidates = folder.parent.parent
    files = {file.relative_to(candidates).as_posix(): file for file in _weight_files(candidates)}
    result: dict[Path, dict[str, str]] = {}
    for name, kept in tensors.items():
        file, other = _pair(kept)
        if file not in files or files[file].parent == folder:
            raise ValueError(f"{SHARED} names a file that is none of another candidate")
        result.setdefault(files[file], {})[name] = other
    return result


def _pair(kept: JsonValue) -> tuple[str, str]:
    if not isinstance(kept, list) or len(kept) != 2:
        raise ValueError(f"{SHARED} lists no file and name of a tensor")
    return str(kept[0]), str(kept[1])


def _weight_files(candidates: Path) -> list[Path]:
    """The weights of the neural model, then those of other candidates' encoders."""
    neural = candidates / NEURAL.name / WEIGHTS
    others = sorted(path for path in candidates.glob(f"*/*/{WEIGHTS}") if path.is_file())
    own = [path for path in others if path.parent.name == "encoders"]
    return [*([neural] if neural.is_file() else []), *own]


def _digest(tensor: Tensor) -> str:
    """SHA-256 of type, shape and content."""
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
