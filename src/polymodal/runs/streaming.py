"""Stream a generated answer piece by piece; the caller can stop the generation."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from queue import Empty
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

from polymodal.data.chat.chat_processor import ConversationProcessor, Turn
from polymodal.models.inference import move
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.runs.answering import answer_turns, generating, reply_batch, within_context
from polymodal.utils.device import computing_in

WAIT = 0.2
"""Seconds between two checks that the generating thread is alive."""


class Stopped(StoppingCriteria):
    """Stopping criterion that is set from another thread, by :attr:`event`."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self.event.is_set(), dtype=torch.bool, device=input_ids.device)


def stream_turn(
    model: PolymodalForConditionalGeneration,
    processor: ConversationProcessor,
    turn: Turn,
    options: Mapping[str, Any],
    precision: str = "fp32",
) -> Iterator[str]:
    """Stream the answer to one conversation; closing the iterator stops the generation.

    A beam search determines its answer at the end, and yields it in one piece.

    Args:
        model: In evaluation mode.
        processor: Of the model.
        turn: The prompt.
        options: Of ``generate``.
        precision: Floating-point format: ``fp32``, ``bf16`` or ``fp16``.

    Yields:
        Pieces of text.

    Raises:
        RunError: If the model cannot generate with these options.
    """
    if options.get("num_beams", 1) > 1:
        yield from answer_turns(model, processor, [turn], options, precision)
        return
    chosen = within_context(model, options, len(turn.encoded.ids))
    streamer = TextIteratorStreamer(processor.tokenizer, skip_special_tokens=True, timeout=WAIT)
    stopped, failed = Stopped(), []

    def make() -> None:
        batch = move(reply_batch(processor, [turn]), model.device)
        try:
            with torch.inference_mode(), computing_in(model.device, precision), generating(model):
                model.generate(
                    **batch, **chosen, streamer=streamer, stopping_criteria=StoppingCriteriaList([stopped])
                )
        except BaseException as error:
            failed.append(error)
        finally:
            streamer.end()

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        yield from _pieces(streamer, thread)
    finally:
        stopped.event.set()
        thread.join()
    if failed:
        raise failed[0]


def _pieces(streamer: TextIteratorStreamer, thread: threading.Thread) -> Iterator[str]:
    """The pieces of text of ``streamer`` until it ends, or the thread that fills it is dead."""
    while True:
        try:
            piece = next(streamer)
        except StopIteration:
            return
        except Empty:
            if not thread.is_alive():
                return
            continue
        if piece:
            yield piece
