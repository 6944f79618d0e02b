"""The networks of TabICL: where their weights are, and their files in a run."""

from __future__ import annotations

import importlib
import json
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from polymodal.errors import ConfigError, RunError, one_line, worded
from polymodal.plain.storage import FOREIGN, refusing
from polymodal.pretrained.finding import FOLDER_VARIABLE
from polymodal.utils.atomic import write_text
from polymodal.utils.hub_files import cached_file, download_file, offered
from polymodal.utils.json_files import read_json
from polymodal.utils.records import JsonValue

FILES: Mapping[str, str] = {"classes": "classifier", "numbers": "regressor"}
"""By kind of answer, the network's folder in that of the candidate."""
CHECKPOINTS: Mapping[str, str] = {
    "classes": "tabicl-classifier-v2-20260212.ckpt",
    "numbers": "tabicl-regressor-v2-20260212.ckpt",
}
"""By kind of answer, the file of its weights, on the hub and in the folder of models."""
HUB, FOLDER, LICENCE = "jingang/TabICL", "tabicl", "BSD-3-Clause"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
LARGEST = 4096
"""Largest number in a network's configuration: that of a stranger may claim any size."""
UNBOUNDED = ("row_rope_base",)
"""Numbers of a configuration that are no sizes."""


@dataclass(frozen=True)
class Network:
    """A network with its weights.

    Attributes:
        module: TabICL's module, in evaluation mode.
        config: The arguments that it was built with.
    """

    module: nn.Module
    config: Mapping[str, JsonValue]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.module.parameters()).device

    @property
    def most_classes(self) -> int:
        """Most classes that it can answer; 0 if it answers numbers."""
        return int(getattr(self.module, "max_classes", 0))

    @property
    def bytes_per_row(self) -> int:
        """Memory for keys and values of a row of the context, in all blocks."""
        sizes = [
            int(getattr(self.module, name, 1)) for name in ("icl_num_blocks", "embed_dim", "row_num_cls")
        ]
        return 2 * 4 * sizes[0] * sizes[1] * sizes[2]


def missing_package() -> str:
    """Why the package cannot be used, in one line; empty where it can."""
    try:
        importlib.import_module("tabicl._model.tabicl")
    except ImportError as error:
        return f'tabicl cannot be imported ({one_line(str(error), 100)}): pip install "polymodal[tabicl]"'
    return ""


def checkpoint_path(kind: str) -> Path | None:
    """The file of the weights on this machine: in the folder of models, or in the hub's cache."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and (path := Path(folder).expanduser() / FOLDER / CHECKPOINTS[kind]).is_file():
        return path
    return cached_file(HUB, CHECKPOINTS[kind])


def fetched_checkpoint(kind: str, announce: Callable[[str], None]) -> Path | None:
    """Download the weights, their size printed before; None if they cannot be had, or offline."""
    offer = offered(HUB, CHECKPOINTS[kind])
    if offer is None:
        return None
    offline = worded("--offline", "HF_HUB_OFFLINE=1")
    announce(f"downloading {HUB}: {offer.megabytes:.0f} MB ({LICENCE}); {offline} forbids it")
    return download_file(offer)


def how_to_get(kind: str) -> str:
    """How to bring the weights to this machine, in one line."""
    file = CHECKPOINTS[kind]
    return f"hf download {HUB} {file}, or put this file into ${FOLDER_VARIABLE}/{FOLDER}"


def load_checkpoint(path: Path, kind: str) -> Network:
    """The network of a checkpoint of the package; nothing of it is executed.

    Raises:
        ConfigError: If it holds anything but a configuration and weights, or of another network.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return _network(content["config"], content["state_dict"], kind)
    except pickle.UnpicklingError:
        reason = "is damaged, or holds more than weights, which could execute code"
        raise ConfigError(f"{path}: {reason}. Get it again") from None
    except FOREIGN as error:
        reason = one_line(str(error) or type(error).__name__, 200)
        raise ConfigError(f"{path}: is no checkpoint of TabICL ({reason}). Get it again") from None


def write_network(network: Network, folder: Path) -> None:
    """Write a network into a new folder: safetensors and JSON."""
    folder.mkdir(parents=True)
    state = network.module.state_dict()
    save_file({name: tensor.detach().cpu().clone() for name, tensor in state.items()}, folder / WEIGHTS)
    write_text(folder / CONFIG, json.dumps(dict(network.config), indent=2) + "\n")


def read_network(folder: Path, kind: str) -> Network:
    """The network that :func:`write_network` wrote; nothing of the folder is executed.

    Raises:
        RunError: If a file is missing or is not what it writes, or the package is missing.
    """
    if reason := missing_package():
        raise RunError(f"{folder}: {reason}")
    with refusing(folder):
        config = read_json(folder / CONFIG)
        if not isinstance(config, dict):
            raise ValueError(f"{CONFIG} holds no object")
        try:
            tensors = load_file(folder / WEIGHTS)
        except SafetensorError as error:
            raise ValueError(f"{WEIGHTS}: {error}") from None
        return _network(config, tensors, kind)


def _network(config: Mapping[str, JsonValue], tensors: Mapping[str, torch.Tensor], kind: str) -> Network:
    """The network of a configuration and weights.

    Raises:
        ValueError: If they do not agree, or it gives other answers.
    """
    _check(config)
    with torch.device("meta"):  # no memory for what the weights do not hold
        shapes = {name: tensor.shape for name, tensor in _module(config).state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
        raise ValueError("weights of another network than its configuration")
    network = Network(_module(config), dict(config))
    if (network.most_classes > 0) != (kind == "classes"):
        raise ValueError(f"no network for {kind}")
    network.module.load_state_dict(tensors)
    return network


def _check(config: Mapping[str, JsonValue]) -> None:
    """Refuse settings that no network has.

    Raises:
        ValueError: Naming one.
    """
    for name, value in config.items():
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"'{name}' is {value!r}, expected a text or a number")
        if not isinstance(value, bool | str) and name not in UNBOUNDED and not 0 <= value <= LARGEST:
            raise ValueError(f"'{name}' is {value}, expected 0 to {LARGEST}")


def _module(config: Mapping[str, JsonValue]) -> nn.Module:
    from tabicl._model.tabicl import TabICL

    module: nn.Module = TabICL(**dict(config))
    return module.eval().requires_grad_(False)
