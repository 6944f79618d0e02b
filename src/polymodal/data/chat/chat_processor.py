"""The processor of a generation model: from conversations to batches; saved beside the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from polymodal.data.cache.memory import ReadCache
from polymodal.data.chat.messages import Conversation, Media
from polymodal.data.chat.rendering import Encoded, Renderer
from polymodal.data.media.path_access import Root
from polymodal.data.processor import Form, PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.errors import RunError
from polymodal.utils.hub import load_pretrained, local_folder

Count = Callable[[str, Mapping[str, Tensor]], Tensor]
"""Number of embeddings ``(items,)`` of an input's items, from the input's name and tensors."""


@dataclass
class Turn:
    """A conversation with its items, encoded.

    Attributes:
        encoded: Its tokens.
        kept: The readers' arrays of its items, in the order of their placeholders.
        taken: Number of embeddings of each.
    """

    encoded: Encoded
    kept: list[Any]
    taken: list[int]

    def without(self, names: Sequence[str], tokens: Mapping[str, tuple[int, int]]) -> Turn:
        """Replace the items of some inputs by the token of a missing item.

        Args:
            names: The inputs.
            tokens: By input the ids of its placeholder and of the token for a missing item.
        """
        ids, learned = self.encoded.ids.copy(), self.encoded.learned
        stays = np.ones(len(ids), dtype=bool)
        for name in names:
            there = ids == tokens[name][0]
            first = there & ~np.r_[False, there[:-1]]
            ids[first], stays[there & ~first] = tokens[name][1], False
        held = [index for index, media in enumerate(self.encoded.media) if media.input not in names]
        media = tuple(self.encoded.media[index] for index in held)
        encoded = Encoded(ids[stays], learned[stays], media)
        return Turn(encoded, [self.kept[index] for index in held], [self.taken[index] for index in held])


class ConversationProcessor(PolymodalProcessor):
    """One reader per input, and a tokenizer with their placeholders.

    Args:
        readers: By input, in declared order.
        tokenizer: The tokenizer of the language model, with its chat template.
        count: The model's count of embeddings; without it conversations with items cannot be encoded.
    """

    saved_as = "ConversationProcessor"

    def __init__(
        self,
        readers: Mapping[str, Reader] | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        count: Count | None = None,
    ) -> None:
        super().__init__(readers)
        assert tokenizer is not None
        self.tokenizer, self.count = tokenizer, count
        self.renderer = Renderer(tokenizer, self.readers)

    @property
    def placeholders(self) -> dict[str, tuple[int, int]]:
        """By input the ids of its placeholder and of the token for a missing item."""
        return self.renderer.placeholders

    def encode(
        self,
        conversation: Conversation,
        root: Root = None,
        cache: ReadCache | None = None,
        *,
        reply: bool = False,
        read: Callable[[Media], Any] | None = None,
    ) -> Turn:
        """Read the items of a conversation, and tokenize it.

        Args:
            conversation: Its messages.
            root: The folder that relative paths start from.
            cache: Caches items.
            reply: Encode the prompt of the next answer.
            read: Gives the reader's array of an item, such as one that another process read; by default it is
                read here.

        Raises:
            MediaError: If an item cannot be read, or the conversation cannot be written.
        """
        kept: list[Any] = []
        taken: list[int] = []

        def count(media: Media) -> int:
            kept.append(self.read_item(media, root, cache) if read is None else read(media))
            taken.append(self.length_of(media.input, kept[-1]))
            return taken[-1]

        return Turn(self.renderer.encode(conversation, count, reply=reply), kept, taken)

    def read_item(self, media: Media, root: Root = None, cache: ReadCache | None = None) -> Any:
        """Read an item with the reader of its input.

        Raises:
            MediaError: If it cannot be read.
        """
        return self.readers[media.input].read_cached(media.cell, root, cache)

    def length_of(self, name: str, kept: Any) -> int:
        """Number of embeddings of an item, from the reader's array."""
        assert self.count is not None
        return int(self.count(name, self.readers[name].collate([kept]))[0])

    def media(self, turns: Sequence[Turn], *, form: Form = "items") -> dict[str, dict[str, Tensor]]:
        """Tensors of the items of a batch by input, and their numbers of embeddings; see :meth:`collate`."""
        cells: list[dict[str, list[Any]]] = []
        taken: dict[str, list[int]] = {name: [] for name in self.readers}
        for turn in turns:
            cells.append({})
            for media, kept, length in zip(turn.encoded.media, turn.kept, turn.taken, strict=True):
                cells[-1].setdefault(media.input, []).append(kept)
                taken[media.input].append(length)
        inputs = self.collate(cells, form=form)
        for name, values in inputs.items():
            values["taken"] = torch.tensor(taken[name], dtype=torch.long)
        return inputs

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> list[str]:  # type: ignore[override]
        """Write the files of :class:`PolymodalProcessor` and of the tokenizer."""
        written = super().save_pretrained(save_directory, **kwargs)
        return [*written, *self.tokenizer.save_pretrained(str(save_directory))]

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> ConversationProcessor:
        """Load what :meth:`save_pretrained` wrote, from a folder or the hub.

        Raises:
            RunError: If there is no processor, or no chat template.
            ConfigError: If there is no tokenizer.
        """
        folder = local_folder(pretrained_model_name_or_path, **kwargs)
        readers = PolymodalProcessor.from_pretrained(folder).readers
        tokenizer = load_pretrained(AutoTokenizer, str(folder), expand=False)
        if not tokenizer.chat_template:
            raise RunError(f"{folder}: the tokenizer has no chat template. Copy the run again")
        return cls(readers, tokenizer)
