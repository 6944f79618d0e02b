"""Loading of checkpoints by hub name or local folder, with one clear line where it fails."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError

from polymodal.errors import ConfigError, PolymodalError
from polymodal.utils.expansion import expanded
from polymodal.utils.hub_files import uses_local_files

REFUSED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    ImportError,
    SafetensorError,
    StrictDataclassError,
)
"""What Transformers raises for a checkpoint that is missing or damaged, or needs a missing library."""

FAILED_TRY = ("thrown while requesting", "Retrying in")
"""Parts of the hub library's messages about a failed attempt."""
WAITING = "the hub does not answer; trying for up to a minute (HF_HUB_OFFLINE=1: not at all)"


def load_pretrained(kind: Any, name: str, *, expand: bool = True, **options: Any) -> Any:
    """``kind.from_pretrained(name)``, for any of Transformers' Auto classes. No code of a checkpoint runs.

    Args:
        kind: The Auto class.
        name: A hub name or a folder.
        expand: Expand ``$VARIABLES`` and ``~``, except inside :func:`literal_names`.
        options: Arguments of ``from_pretrained``.

    Raises:
        ConfigError: If it cannot be loaded; the message explains how to use a local folder.
    """
    from transformers import PreTrainedTokenizerBase  # names and paths alone need no Transformers

    name = expanded(name) if expand else name
    if uses_local_files(name):
        options["local_files_only"] = True
    try:
        with _one_failure_line():
            loaded = kind.from_pretrained(name, trust_remote_code=False, **options)
    except REFUSED as error:
        raise ConfigError(_reason(name, error)) from None
    if isinstance(loaded, PreTrainedTokenizerBase) and len(loaded) <= len(loaded.all_special_tokens):
        raise ConfigError(f"the checkpoint '{name}' holds no vocabulary: its tokenizer files are missing")
    return loaded


class FirstFailureOnly(logging.Filter):
    """Replace the hub's log lines about failed attempts by a single one, at the first."""

    reported = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is logged; the message of a failed attempt is replaced."""
        if not any(words in record.getMessage() for words in FAILED_TRY):
            return True
        first, self.reported = not self.reported, True
        record.msg, record.args = WAITING, ()
        return first


@contextmanager
def _one_failure_line() -> Iterator[None]:
    handlers, once = hub_logging.get_logger().handlers, FirstFailureOnly()
    for handler in handlers:
        handler.addFilter(once)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(once)


def _reason(name: str, error: Exception) -> str:
    if os.path.isdir(name):
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"the folder '{name}' is no readable checkpoint: {why}"
    if "$" in name:
        return f"the checkpoint '{name}' names an environment variable that is not set"
    if name.startswith((".", "/")) or "\\" in name or name.count("/") > 1:
        return f"the checkpoint '{name}': there is no such folder"
    hint = ""
    if "/" not in name:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        near = difflib.get_close_matches(name, CONFIG_MAPPING, n=1, cutoff=0.6)
        hint = f"Did you mean the model type '{near[0]}'? " if near else ""
    kinds = "neither a local folder nor" if "/" in name else "no model type, no local folder, nor"
    return (
        f"the checkpoint '{name}' is {kinds} to be had from the hub (offline, or no such name). {hint}"
        f"Download it on a connected machine (hf download {name} --local-dir DIR) and give the folder"
    )


def local_folder(name: str | Path, **kwargs: Any) -> Path:
    """``name`` if it is a folder; otherwise the folder of the hub's snapshot, which is downloaded.

    Raises:
        PolymodalError: If it is neither.
    """
    if os.path.isdir(name):
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    known = {
        key: kwargs[key] for key in ("revision", "token", "cache_dir", "local_files_only") if key in kwargs
    }
    try:
        return Path(snapshot_download(str(name), **known))
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise PolymodalError(
            f"'{name}' is no folder, nor to be had from the hub ({type(error).__name__})"
        ) from None
