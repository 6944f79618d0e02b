"""The tokenizer of a text input from ``tokenizer.json``, without Transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

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
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.path = folder / FILE
        self.pad_token_id, self.model_max_length = int(settings["pad"]), int(settings["most"])
        self.truncation_side = str(settings["side"])
        self._cut = self._loaded()
        self._limit: int | None = None

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

    @cached_property
    def _whole(self) -> Tokenizer:
        """Another one that cuts nothing: whether it does is a state of the object."""
        return self._loaded()

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
        if not truncation:
            return Tokens(self._whole.encode(text, add_special_tokens=add_special_tokens).ids)
        if max_length is not None and self._limit != max_length:
            self._cut.enable_truncation(max_length, direction=self.truncation_side)
            self._limit = max_length
        return Tokens(self._cut.encode(text, add_special_tokens=add_special_tokens).ids)
