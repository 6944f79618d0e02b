"""What comes from a checkpoint: a hub name or a local folder, and one clear line where it cannot be had."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from polymodal.errors import ConfigError, PolymodalError, did_you_mean


def load_pretrained(kind: Any, name: str) -> Any:
    """``kind.from_pretrained(name)``, for any of Transformers' Auto classes; ``$VARIABLES`` in the name are filled in.

    Raises:
        ConfigError: If it cannot be had; says how to use a local folder.
    """
    name = os.path.expandvars(name)
    try:
        return kind.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(_reason(name, error)) from None


def _reason(name: str, error: Exception) -> str:
    if Path(name).is_dir():
        return f"the folder '{name}' is no readable checkpoint: {str(error).strip().splitlines()[0]}"
    if "/" not in name:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        return f"'{name}' is neither a model type nor a checkpoint. {did_you_mean(name, CONFIG_MAPPING)}"
    return (
        f"the checkpoint '{name}' is neither a local folder nor to be had from the hub (offline, or no such name). "
        f"Download it on a connected machine (hf download {name} --local-dir DIR) and give the folder"
    )


def local_folder(name: str | Path, **kwargs: Any) -> Path:
    """``name`` itself if it is a folder; else the folder that the hub's snapshot was downloaded to.

    Raises:
        PolymodalError: If it is neither.
    """
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    known = {key: kwargs[key] for key in ("revision", "token", "cache_dir", "local_files_only") if key in kwargs}
    try:
        return Path(snapshot_download(str(name), **known))
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise PolymodalError(f"'{name}' is no folder, nor to be had from the hub ({type(error).__name__})") from None
