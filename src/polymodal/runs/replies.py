"""Answers to several conversations in one batch; each grows token by token, and ends by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from polymodal.data.chat.chat_processor import Turn
from polymodal.data.chat.rendering import Renderer
from polymodal.models.inference import move
from polymodal.runs.answering import generating, reply_batch
from polymodal.runs.generation_run import GenerationRun
from polymodal.utils.device import computing_in

_DRAWING = threading.Lock()
"""Torch draws from one generator in all threads, so that another answer would change those of a seed."""
Finish = Literal["stop", "length", "cancelled"]
"""Why an answer ended: its last token or a text of ``stop``; the most tokens; whoever waited for it left."""


class Reply:
    """The answer to one conversation, while it grows and afterwards.

    The pieces that ``receive`` gets are together exactly :attr:`text`.

    Args:
        turn: The prompt.
        most: The most tokens of the answer.
        stop: Texts before which it ends.
        receive: Called with each piece of text, in the thread that generates.

    Attributes:
        tokens: Number of tokens that were generated, the one that ended the answer included.
        text: The whole answer, once it has ended.
        finish: Why it ended; None before.
    """

    def __init__(
        self,
        turn: Turn,
        most: int,
        *,
        stop: Sequence[str] = (),
        receive: Callable[[str], None] | None = None,
    ) -> None:
        self.turn, self.most, self.stop = turn, most, tuple(stop)
        self.tokens, self.text = 0, ""
        self.finish: Finish | None = None
        self.receive, self._cancelled = receive, threading.Event()
        self._ids: list[int] = []
        self._grown, self._sent = "", 0
        self._piece: Callable[[int], str] | None = None

    @property
    def prompt_tokens(self) -> int:
        """Number of tokens of the prompt, with the embeddings of its items."""
        return len(self.turn.encoded.ids)

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End it at the next token; callable from any thread."""
        self._cancelled.set()

    def add(self, token: int, renderer: Renderer, ends: frozenset[int]) -> bool:
        """Append a token; returns whether the answer has ended."""
        if self.finish is None:
            self.tokens += 1
            if token in ends:
                self.end("stop", renderer)
            else:
                self._extend(token, renderer)
        return self.finish is not None

    def _extend(self, token: int, renderer: Renderer) -> None:
        self._piece = self._piece or renderer.pieces()
        self._ids.append(token)
        self._grown += self._piece(token)
        if self.cancelled:
            self.end("cancelled", renderer)
        elif self._stops_at(self._grown) is not None:
            self.end("stop", renderer)
        elif self.tokens >= self.most:
            self.end("length", renderer)
        else:
            self._send(self._safe(self._grown).strip())

    def end(self, finish: Finish, renderer: Renderer) -> None:
        """End the answer, and send the rest of it, characters of an unfinished token included."""
        whole = renderer.text_of(self._ids)
        at = self._stops_at(whole)
        self.text = (whole if at is None else whole[:at]).strip()
        self.finish = finish
        self._send(self.text)

    def _send(self, text: str) -> None:
        """Send what ``text`` has more than what was sent."""
        if len(text) > self._sent:
            if self.receive is not None:
                self.receive(text[self._sent :])
            self._sent = len(text)

    def _stops_at(self, text: str) -> int | None:
        """Where the first text of :attr:`stop` begins in ``text``."""
        return min((at for stop in self.stop if (at := text.find(stop)) >= 0), default=None)

    def _safe(self, text: str) -> str:
        """``text`` without an end that may be the beginning of a text of :attr:`stop`."""
        held = 0
        for stop in self.stop:
            sizes = range(min(len(stop) - 1, len(text)), held, -1)
            held = max(held, next((size for size in sizes if text.endswith(stop[:size])), 0))
        return text[: len(text) - held]


class _Growing(StoppingCriteria):
    """Hands each new token to its reply; a row stops as its reply ends."""

    def __init__(self, replies: Sequence[Reply], renderer: Renderer, ends: frozenset[int]) -> None:
        self.replies, self.renderer, self.ends = replies, renderer, ends

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        tokens = input_ids[:, -1].tolist()
        ended = [r.add(t, self.renderer, self.ends) for r, t in zip(self.replies, tokens, strict=True)]
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)


class _AllCancelled(StoppingCriteria):
    """Stops a beam search that nobody waits for."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies = replies

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        stops = all(reply.cancelled for reply in self.replies)
        return torch.full((len(input_ids),), stops, dtype=torch.bool, device=input_ids.device)


def fit_together(run: GenerationRun, replies: Iterable[Reply]) -> bool:
    """Whether the longest prompt and the longest answer of a batch fit the model's context together."""
    batch = list(replies)
    longest = max(reply.prompt_tokens for reply in batch) + max(reply.most for reply in batch)
    return run.context is None or longest <= run.context


def usual_tokens(run: GenerationRun) -> int | None:
    """The most tokens of an answer, as the run declares it; None where it does not."""
    settings: Any = run.model.generation_config
    return run.generation.decoding.max_new_tokens or settings.max_new_tokens


def grow(
    run: GenerationRun, replies: Sequence[Reply], options: Mapping[str, Any], *, seed: int | None = None
) -> None:
    """Generate the answers to several conversations in one batch, until each has ended.

    A beam search determines its answers at the end, and sends each in one piece.

    Args:
        run: That answers.
        replies: One or more, of which :func:`fit_together` holds.
        options: Of ``generate``, shared by all; see :func:`polymodal.runs.answering.decoding`.
        seed: Of drawn tokens: the same batch with the same seed has the same answers.

    Raises:
        RunError: If the model cannot generate with these options.
    """
    beams = options.get("num_beams", 1) > 1
    renderer, ends = run.processor.renderer, _ends(run)
    criterion = _AllCancelled(replies) if beams else _Growing(replies, renderer, ends)
    chosen = {**options, "max_new_tokens": max(reply.most for reply in replies)}
    batch = move(reply_batch(run.processor, [reply.turn for reply in replies]), run.model.device)
    computing = computing_in(run.model.device, run.precision)
    drawn = _drawing(seed, run.model.device) if options.get("do_sample") else nullcontext()
    with drawn, torch.inference_mode(), computing, generating(run.model):
        made = run.model.generate(**batch, **chosen, stopping_criteria=StoppingCriteriaList([criterion]))
    for reply, ids in zip(replies, made.cpu().tolist(), strict=True):
        for token in ids if beams else ():
            if reply.add(token, renderer, ends):
                break
        if reply.finish is None:  # settings of the model itself may end it sooner, such as a time
            reply.end("length", renderer)


def _ends(run: GenerationRun) -> frozenset[int]:
    """The tokens that end an answer."""
    own: Any = run.model.generation_config.eos_token_id
    return frozenset(run.processor.renderer.ends) | frozenset([own] if isinstance(own, int) else own or ())


@contextmanager
def _drawing(seed: int | None, device: torch.device) -> Iterator[None]:
    """Within the block tokens are drawn by ``seed``, and those of other threads wait."""
    with _DRAWING:
        if seed is None:
            yield
            return
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
