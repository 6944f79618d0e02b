"""What image processors and feature extractors of an export share: their settings in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "preprocessor_config.json"


class FilePart:
    """What prepares items for a pretrained encoder, from the settings that Transformers writes.

    Args:
        settings: By name.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the settings into a folder, as readers that compare their parts request it."""
        (Path(folder) / FILE).write_text(json.dumps(self.settings, default=str), encoding="utf-8")
