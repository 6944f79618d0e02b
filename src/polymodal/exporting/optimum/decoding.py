"""Greedy decoding over the files of an export, with onnxruntime and numpy alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from polymodal.artifact.run_folder import EXPORTED_WORDS
from polymodal.errors import RunError, one_line
from polymodal.exporting.optimum.layout import (
    EMBEDDING,
    IDS,
    LOGITS,
    MASK,
    ONNX,
    POSITIONS,
    ItemEntry,
    Layout,
)
from polymodal.runtime.opening import check_files

Items = Mapping[str, Mapping[str, np.ndarray]]
"""By input the tensors of its items, in the order of their placeholders."""


class ExportedWords:
    """The graphs of an export.

    Args:
        folder: Of the export.
        threads: Per operation; None leaves it to onnxruntime.

    Raises:
        RunError: If it is no export, or its files are not as they were written.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.folder, self.layout = folder, Layout.read(folder)
        check_files(folder)
        check_sizes(folder, self.layout)
        self._options = SessionOptions()
        self._options.log_severity_level = 3  # errors
        self._options.intra_op_num_threads = threads or 0
        self._decoder = self._session(self.layout.decoder)
        self._embedding = self._session(EMBEDDING) if self.layout.inputs else None
        self._encoders = {entry.input.name: self._session(entry.file) for entry in self.layout.inputs}

    def _session(self, file: str) -> InferenceSession:
        path = self.folder / ONNX / file
        try:
            return InferenceSession(path, self._options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its own, one per reason
            raise RunError(f"{path}: cannot be read ({_reason(error)}). Export again") from None

    def _run(
        self, file: str, session: InferenceSession, taken: Mapping[str, np.ndarray], gives: list[str] | None
    ) -> list[np.ndarray]:
        """What a graph gives.

        Raises:
            RunError: If it cannot compute.
        """
        try:
            return [np.asarray(each) for each in session.run(gives, dict(taken))]
        except Exception as error:  # onnxruntime raises classes of its own, one per reason
            path = self.folder / ONNX / file
            raise RunError(f"{path}: does not compute ({_reason(error)}). Export again") from None

    def sessions(self) -> dict[str, InferenceSession]:
        """The graphs by file in ``onnx/``, in the order in which they are used."""
        encoders = {entry.file: self._encoders[entry.input.name] for entry in self.layout.inputs}
        embedding = {} if self._embedding is None else {EMBEDDING: self._embedding}
        return {**embedding, **encoders, self.layout.decoder: self._decoder}

    def begin(self, ids: np.ndarray, mask: np.ndarray, items: Items) -> Decoding:
        """The state after prompts.

        Args:
            ids: ``(rows, length)``, padded on the left.
            mask: ``(rows, length)``.
            items: See :data:`Items`.

        Raises:
            ValueError: If items and placeholders do not match.
        """
        layout = self.layout
        past = {
            name: np.zeros((len(ids), heads, 0, width), np.float32)
            for name, (heads, width) in zip(layout.pairs("past_key_values"), layout.past, strict=True)
        }
        return Decoding(self, past, mask[:, :0]).read(self.embed(ids, items), mask)

    def embed(self, ids: np.ndarray, items: Items) -> np.ndarray:
        """What the language model takes of ids: embeddings ``(rows, length, width)``, or the ids themselves.

        Raises:
            ValueError: If items and placeholders do not match.
        """
        if self._embedding is None:
            return ids
        (embeds,) = self._run(EMBEDDING, self._embedding, {IDS: ids}, None)
        embeds = np.array(embeds)
        for entry in self.layout.inputs:
            indices = ids == entry.placeholder_id
            vectors = self._vectors(entry, items, embeds.shape[-1])
            if len(vectors) != indices.sum():
                reason = f"{indices.sum()} placeholders, and its items give {len(vectors)} vectors"
                raise ValueError(f"'{entry.input.name}' has {reason}")
            embeds[indices] = vectors
        return embeds

    def _vectors(self, entry: ItemEntry, items: Items, width: int) -> np.ndarray:
        """The concatenated embeddings ``(n, width)`` of an input's items."""
        name = entry.input.name
        if name not in items:
            return np.zeros((0, width), np.float32)
        vectors, mask = self._run(entry.file, self._encoders[name], items[name], None)
        return vectors[mask]

    def run_decoder(self, taken: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the language model gives, by name.

        Raises:
            RunError: If its graph cannot compute.
        """
        gives = self.layout.gives
        return dict(zip(gives, self._run(self.layout.decoder, self._decoder, taken, gives), strict=True))


def check_sizes(folder: Path, layout: Layout) -> None:
    """Check the sizes of an export, which may be a stranger's.

    Raises:
        RunError: If they are no sizes.
    """
    whole = all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_size, pair)) for pair in layout.past
    )
    if not whole or len(layout.past) % 2:
        expected = "heads and width of the keys and of the values of each layer"
        raise RunError(
            f"{folder}: 'past' of {EXPORTED_WORDS} is no list of sizes, expected {expected}. Export again"
        )
    if layout.context is not None and not _is_size(layout.context):
        raise RunError(f"{folder}: 'context' of {EXPORTED_WORDS} is no number of tokens. Export again")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _reason(error: Exception) -> str:
    return one_line((str(error).strip().splitlines() or [type(error).__name__])[0], 300)


class Decoding:
    """Prompts with what was added to them so far.

    Attributes:
        logits: ``(rows, vocabulary)`` of the next token.
        mask: ``(rows, length so far)``.
    """

    def __init__(self, words: ExportedWords, past: dict[str, np.ndarray], mask: np.ndarray) -> None:
        self._words, self._past, self.mask = words, past, mask
        self.logits = np.zeros((len(mask), 0), np.float32)

    def read(self, taken: np.ndarray, mask: np.ndarray) -> Decoding:
        """Read further tokens.

        Args:
            taken: What :meth:`ExportedWords.embed` gives.
            mask: ``(rows, length)`` of these alone.

        Returns:
            This object.
        """
        layout = self._words.layout
        self.mask = np.concatenate([self.mask, mask], axis=1)
        positions = np.maximum(self.mask.cumsum(axis=1) - 1, 0)[:, -mask.shape[1] :]
        own = {layout.takes[0]: taken, MASK: self.mask}
        own |= {POSITIONS: positions} if layout.positions else {}
        made = self._words.run_decoder(own | self._past)
        self.logits = made[LOGITS][:, -1]
        names = zip(layout.pairs("past_key_values"), layout.pairs("present"), strict=True)
        self._past = {name: made[present] for name, present in names}
        return self

    def add(self, tokens: np.ndarray) -> Decoding:
        """Read one token per row, ``(rows,)``."""
        return self.read(self._words.embed(tokens[:, None], {}), np.ones((len(tokens), 1), np.int64))


def greedy(
    start: Decoding, most: int, ends: Collection[int], pad: int, suppressed: Sequence[int] = ()
) -> np.ndarray:
    """The likeliest tokens, one by one.

    Args:
        start: After the prompts.
        most: Of an answer.
        ends: Tokens that end an answer.
        pad: The token after the end.
        suppressed: Tokens that are never taken.

    Returns:
        ``(rows, at most most)``.
    """
    made: list[np.ndarray] = []
    ended = np.zeros(len(start.mask), dtype=bool)
    while len(made) < most and not ended.all():
        if made:
            start.add(made[-1])
        logits = start.logits.copy()
        logits[:, list(suppressed)] = -np.inf
        made.append(np.where(ended, pad, logits.argmax(axis=1)).astype(np.int64))
        ended |= np.isin(made[-1], list(ends))
    return np.stack(made, axis=1)
