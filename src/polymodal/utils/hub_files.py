"""Files of the Hugging Face hub without torch: the cache, downloads, and how long a silent hub may take."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants  # its other modules take long, and wait until the hub is needed

from polymodal.errors import one_line
from polymodal.utils.progress import note

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoSibling

LONGEST_WAIT = 10.0
"""Seconds that a hub without an answer may cost, in all."""
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
"""Files of weights that Transformers loads, the preferred one first."""
SMALL_FILES = ("*.json", "*.txt", "*.model")
"""Patterns of the files beside the weights: configuration, tokenizer, feature extractor."""

_LOCAL_NAMES: set[str] = set()


@dataclass(frozen=True)
class Download:
    """What a download would fetch.

    Attributes:
        name: Name on the hub.
        megabytes: Size of its files.
        patterns: The files, as ``snapshot_download`` takes them.
    """

    name: str
    megabytes: float
    patterns: tuple[str, ...]


def is_offline() -> bool:
    """Whether downloads are forbidden, by ``HF_HUB_OFFLINE`` or :func:`go_offline`."""
    return constants.is_offline_mode()


def go_offline() -> None:
    """Forbid downloads, in this process and those that it starts."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True


def holds_checkpoint(folder: Path) -> bool:
    """Whether ``folder`` holds a configuration and weights."""
    return (folder / "config.json").is_file() and any((folder / name).is_file() for name in WEIGHTS)


def cached_folder(name: str) -> Path | None:
    """The folder of a complete checkpoint ``name`` in the hub's cache; None if it is not there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return folder if holds_checkpoint(folder) else None


def cached_file(name: str, file: str) -> Path | None:
    """One file of ``name`` in the hub's cache; None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, file)
    return Path(path) if isinstance(path, str) else None


def use_local_files(name: str) -> None:
    """Let this process load ``name`` from the cache, without a request to the hub."""
    _LOCAL_NAMES.add(name)


def uses_local_files(name: str) -> bool:
    """Whether ``name`` is loaded from the cache alone."""
    return name in _LOCAL_NAMES


def offered(name: str, file: str = "") -> Download | None:
    """What the hub would send for ``name``; None if it does not answer, or has no such checkpoint.

    After the first request without an answer no other is sent. A request that cannot be made, for instance
    through a proxy that the environment names wrongly, is no answer, and is noted in one line.

    Args:
        name: On the hub.
        file: The only file of it; by default weights that Transformers loads, and what they need.
    """
    if is_offline() or _hub_is_silent.cache_info().currsize:
        return None
    from huggingface_hub import HfApi  # before the clock starts

    answers: list[Download | Exception | None] = []
    request = threading.Thread(target=_request, args=(HfApi(), name, file, answers), daemon=True)
    request.start()
    request.join(LONGEST_WAIT)  # the client's own timeout holds for each of its retries
    answer = answers[0] if answers else TimeoutError()
    if not isinstance(answer, Exception):
        return answer
    _hub_is_silent()
    if not isinstance(answer, (OSError, _connection_error())):
        reason = one_line(str(answer) or type(answer).__name__, 200)
        note(f"warning: the Hugging Face hub cannot be reached ({reason}). Nothing is downloaded")
    return None


def download(offer: Download) -> bool:
    """Fetch a checkpoint into the hub's cache; returns whether it is there now."""
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(offer.name, allow_patterns=list(offer.patterns))
    except (_connection_error(), OSError):
        return False
    return cached_folder(offer.name) is not None


def download_file(offer: Download) -> Path | None:
    """Fetch the only file of an offer into the hub's cache; None if that fails."""
    from huggingface_hub import hf_hub_download

    (file,) = offer.patterns
    try:
        return Path(hf_hub_download(offer.name, file))
    except (_connection_error(), OSError):
        return None


def _connection_error() -> type[Exception]:
    """The error of the hub's HTTP library, whichever its version uses: it is none of ours to import."""
    from huggingface_hub.errors import HfHubHTTPError

    error: type[Exception] = HfHubHTTPError.__bases__[0]
    return error


@cache
def _hub_is_silent() -> bool:
    """Remembers, once it was called, that the hub did not answer."""
    return True


def _request(api: HfApi, name: str, file: str, answers: list[Download | Exception | None]) -> None:
    """Append the hub's answer about ``name``, or the error: one that leaves a thread is printed whole."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = api.model_info(name, timeout=LONGEST_WAIT, files_metadata=True)
        answers.append(_offer(name, file, info.siblings or []))
    except HfHubHTTPError:  # an answer: no such name, or not for everyone
        answers.append(None)
    except Exception as error:  # of any kind: of the HTTP library, its proxy, or an answer of another form
        answers.append(error)


def _offer(name: str, file: str, files: Sequence[RepoSibling]) -> Download | None:
    """What is to be fetched of a repository's files; None where they hold no weights."""
    sizes = {each.rfilename: each.size or 0 for each in files if "/" not in each.rfilename}
    if file:
        return Download(name, sizes[file] / 1e6, (file,)) if file in sizes else None
    weights = next((each for each in WEIGHTS if each in sizes), None)
    if weights is None:
        return None
    patterns = [*SMALL_FILES, "model-*.safetensors" if weights.endswith(".index.json") else weights]
    fetched = [size for each, size in sizes.items() if any(Path(each).match(p) for p in patterns)]
    return Download(name, sum(fetched) / 1e6, tuple(patterns))
