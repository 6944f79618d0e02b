"""The tokenizer of a text input from ``tokenizer.json``, without Transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from polymodal.utils.json_files import read_json
from polymodal.utils.records import JsonObject
from polymodal.utils.tokenizer_files import check_tokenizer

FILE = "tokenizer.json"


@dataclass(frozen=True)
class Tokens:
    """The token ids of a text."""

    input_ids: list[int]


class FileTokenizer:
    """As much of a tokenizer of Transformers as :class:`polymodal.data.readers.TextReader` needs.

    Args:
        folder: With ``tokenizer.json``.
        settings: ``pad``, the id of the padding token; ``most`` tokens that are ever kept; and the ``side``
            that is cut.

    Raises:
        ValueError: If the file cannot be read.
        RunError: If it would take more memory than any tokenizer needs.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.path = folder / FILE
        check_tokenizer(self._content(), self.path)
        self.pad_token_id, self.model_max_length = int(settings["pad"]), int(settings["most"])
        self.truncation_side = str(settings["side"])
        self._whole = self._loaded()
        self._cutting: dict[int, Tokenizer] = {}

    def _content(self) -> JsonObject:
        try:
            content = read_json(self.path)
        except ValueError as error:
            raise ValueError(f"{self.path.name}: {error}") from None
        return content if isinstance(content, dict) else {}

    def _loaded(self) -> Tokenizer:
        try:
            tokenizer = Tokenizer.from_file(str(self.path))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of its Rust is no Exception
            raise ValueError(f"{self.path.name}: {str(error) or type(error).__name__}") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def _cut_at(self, length: int) -> Tokenizer:
        """One that cuts there: a state of the object, which may not change while another thread uses it."""
        if length not in self._cutting:
            tokenizer = self._loaded()
            tokenizer.enable_truncation(length, direction=self.truncation_side)
            self._cutting[length] = tokenizer
        return self._cutting[length]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the file and the settings into a folder, as readers that compare their parts request it."""
        shutil.copyfile(self.path, Path(folder) / FILE)
        settings = [self.pad_token_id, self.model_max_length, self.truncation_side]
        (Path(folder) / "settings.json").write_text(json.dumps(settings), encoding="utf-8")

    def __call__(
        self,
        text: str,
        *,
        truncation: bool = False,
        max_length: int | None = None,
        add_special_tokens: bool = True,
        verbose: bool = False,
    ) -> Tokens:
        """The ids of ``text``, at most ``max_length`` of them with ``truncation``."""
        tokenizer = self._whole if not truncation or max_length is None else self._cut_at(max_length)
        return Tokens(tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)
