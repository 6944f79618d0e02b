"""Generate answers to conversations in batches, and embed their prompts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from transformers import GenerationConfig, GenerationMixin, StoppingCriteria, StoppingCriteriaList

from polymodal.config import DecodingConfig
from polymodal.data.chat.chat_processor import ConversationProcessor, Turn
from polymodal.errors import ConfigError, RunError, did_you_mean
from polymodal.models.inference import move
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.training.language.conversation_collator import padded
from polymodal.training.language.conversation_rows import ConversationRows
from polymodal.utils.cancelling import is_cancellable, stop_if_cancelled
from polymodal.utils.device import computing_in
from polymodal.utils.out_of_memory import RowsAtOnce, is_out_of_memory
from polymodal.utils.progress import progress

NAMES = {"beams": "num_beams", "sample": "do_sample"}
"""Our options of decoding by the names that Transformers has for them."""
OF_SAMPLING = ("temperature", "top_p")


def answer_rows(
    model: PolymodalForConditionalGeneration,
    rows: ConversationRows,
    options: Mapping[str, Any],
    *,
    batch_size: int = 32,
    precision: str = "fp32",
) -> Iterator[tuple[list[int], list[str]]]:
    """Generate the answer to each row, in batches of rows of similar length.

    Args:
        model: In evaluation mode.
        rows: Prepared, with ``reply``.
        options: Of ``generate``; see :func:`decoding`.
        batch_size: Rows at once.
        precision: Floating-point format: ``fp32``, ``bf16`` or ``fp16``.

    Returns:
        For each batch the indices of its rows in ``rows``, and their answers.

    Raises:
        RunError: If the model cannot generate with these options.
    """
    context, most = context_of(model), _most(model, options)
    shared = None if context is None or most is None else context - most
    batches = list(_batches(rows.lengths, batch_size, shared))
    at_once = RowsAtOnce(batch_size, model.device)

    def answer(part: Sequence[int]) -> list[str]:
        turns = [rows[index] for index in part]
        return answer_turns(model, rows.processor, turns, options, precision)

    for indices in progress(batches, "generating", len(batches)):
        for part, answers in at_once.work(indices, answer):
            yield list(part), answers


def _batches(lengths: np.ndarray, batch_size: int, shared: int | None) -> Iterator[list[int]]:
    """Indices of rows by batch: rows of similar length together, the longest first.

    A row of more than ``shared`` tokens is a batch of its own: the end of the context cuts its answer short,
    which must not shorten the answers of other rows.
    """
    order = np.argsort(-lengths, kind="stable")
    alone = 0 if shared is None else int((lengths > shared).sum())
    starts = [*range(alone), *range(alone, len(order), batch_size), len(order)]
    yield from (order[start:end].tolist() for start, end in pairwise(starts))


def context_of(model: PolymodalForConditionalGeneration) -> int | None:
    """Context length of the language model in tokens; None if its configuration does not declare one."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def _most(model: PolymodalForConditionalGeneration, options: Mapping[str, Any]) -> int | None:
    """Largest number of new tokens, from the options or the generation config; None if neither sets it."""
    settings: Any = model.generation_config
    return options.get("max_new_tokens") or settings.max_new_tokens


def within_context(
    model: PolymodalForConditionalGeneration, options: Mapping[str, Any], tokens: int
) -> dict[str, Any]:
    """``options`` with ``max_new_tokens`` lowered so that prompt (``tokens``) and answer fit the context."""
    context, most = context_of(model), _most(model, options)
    if context is None or most is None or tokens + most <= context:
        return dict(options)
    return {**options, "max_new_tokens": context - tokens}


class _UntilCancelled(StoppingCriteria):
    """Ends an answer that nobody waits for any more, see :mod:`polymodal.utils.cancelling`."""

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        stop_if_cancelled()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def answer_turns(
    model: PolymodalForConditionalGeneration,
    processor: ConversationProcessor,
    turns: list[Turn],
    options: Mapping[str, Any],
    precision: str = "fp32",
) -> list[str]:
    """Generate the answers to several conversations in one batch."""
    batch = reply_batch(processor, turns)
    chosen = within_context(model, options, batch["input_ids"].shape[1])
    if is_cancellable():
        chosen["stopping_criteria"] = StoppingCriteriaList(
            [*chosen.get("stopping_criteria", ()), _UntilCancelled()]
        )
    with torch.inference_mode(), computing_in(model.device, precision), generating(model):
        made = model.generate(**move(batch, model.device), **chosen)
        if len(made) != len(turns):
            raise ValueError(f"{len(made)} answers to {len(turns)} conversations")
    return [processor.renderer.answer(ids) for ids in made.cpu().numpy()]


def prompt_vectors(
    model: PolymodalForConditionalGeneration,
    processor: ConversationProcessor,
    turns: list[Turn],
    input: str | None = None,
    precision: str = "fp32",
) -> np.ndarray:
    """Vectors ``(conversations, width)`` of prompts: last hidden states, or means over an input's items.

    Args:
        model: In evaluation mode.
        processor: Of the model.
        turns: The prompts.
        input: Average the connector's vectors of this input's items; NaN where a prompt has none. None for
            the last hidden state of the last token.
        precision: Floating-point format: ``fp32``, ``bf16`` or ``fp16``.
    """
    batch = move(reply_batch(processor, turns), model.device)
    mask = batch["attention_mask"]
    with torch.inference_mode(), computing_in(model.device, precision):
        embeds = model.embed(batch["input_ids"], batch["inputs"])
        if input is None:
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
            states = model.decoder(
                inputs_embeds=embeds, attention_mask=mask, position_ids=positions, use_cache=False
            ).last_hidden_state
            return states[:, -1].float().cpu().numpy()
        held = (batch["input_ids"] == processor.placeholders[input][0]).unsqueeze(-1).to(embeds)
        return ((embeds * held).sum(dim=1) / held.sum(dim=1)).float().cpu().numpy()


@contextmanager
def generating(model: PolymodalForConditionalGeneration) -> Iterator[None]:
    """Turn errors of ``generate`` about ``generation_config.json`` or its options into a RunError.

    Raises:
        RunError: If ``generate`` fails; too little memory is raised unchanged.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        file = Path(model.name_or_path or "") / "generation_config.json"
        fix = "Correct the file or the options of generate, or fit again"
        raise RunError(f"{file}: the model cannot generate as it says ({reason}). {fix}") from error


def reply_batch(processor: ConversationProcessor, turns: list[Turn]) -> dict[str, Any]:
    """Arguments of ``generate``: ``input_ids`` and ``attention_mask``, padded on the left, and ``inputs``."""
    pad = int(processor.tokenizer.pad_token_id)
    tensors = padded([turn.encoded for turn in turns], pad, side="left")
    return {name: tensors[name] for name in ("input_ids", "attention_mask")} | {
        "inputs": processor.media(turns)
    }


def decoding(config: DecodingConfig, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Options of ``generate``: those of the declaration, overridden by those of the call.

    Args:
        config: The declaration's.
        given: By the names of the declaration, or any other option of ``generate``.

    Raises:
        ConfigError: If there is no such option, or a value has the wrong type.
    """
    options = {key: value for key, value in (given or {}).items() if value is not None}
    _check(options)
    values = config.model_dump() | options
    draws = values.get("sample") or values.get("do_sample")
    kept = {key: value for key, value in values.items() if draws or key not in OF_SAMPLING}
    return {NAMES.get(key, key): value for key, value in kept.items() if value is not None}


def _check(given: Mapping[str, Any]) -> None:
    """Raise if an option is unknown to both the declaration and ``generate``, or its value is invalid."""
    own = {key: value for key, value in given.items() if key in DecodingConfig.model_fields}
    try:
        DecodingConfig.model_validate(own)
    except ValidationError as error:
        wrong = error.errors()[0]
        reason = f"{wrong['msg'][0].lower()}{wrong['msg'][1:]}"
        raise ConfigError(f"'{wrong['loc'][0]}' is {wrong['input']!r}; {reason}") from None
    others = {*GenerationConfig().to_dict(), *inspect.signature(GenerationMixin.generate).parameters}
    for key in given:
        if key not in own and key not in others:
            fix = did_you_mean(key, [*DecodingConfig.model_fields, *sorted(others)])
            raise ConfigError(f"there is no option '{key}' of generating. {fix}")
