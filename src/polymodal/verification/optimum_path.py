"""An export to Optimum's layout, whose graphs answer the prompts of the run greedily."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from polymodal.data.chat.chat_processor import ConversationProcessor, Turn
from polymodal.errors import RunError, one_line
from polymodal.exporting.optimum.comparing import items_of
from polymodal.exporting.optimum.decoding import ExportedWords, greedy
from polymodal.runs.answering import reply_batch
from polymodal.runs.core import RunBase
from polymodal.runs.generation_run import GenerationRun
from polymodal.runs.replies import usual_tokens
from polymodal.runtime.manifest import INT8
from polymodal.utils.json_files import read_json
from polymodal.verification.answers import table_of
from polymodal.verification.onnx_path import of_another_run
from polymodal.verification.paths import LOOSE, NOT_REPLAYED, PathResult, Replay

SETTINGS = "generation_config.json"
PLAIN = {
    "do_sample", "eos_token_id", "bos_token_id", "pad_token_id", "suppress_tokens", "max_new_tokens",
    "max_length", "temperature", "top_p", "top_k", "min_p", "typical_p", "use_cache",
    "transformers_version", "_from_model_config", "output_attentions", "output_hidden_states",
}  # fmt: skip
"""Settings of decoding that greedy decoding obeys, or that do not touch it."""
NEUTRAL: dict[str, float] = {
    "num_beams": 1, "num_beam_groups": 1, "num_return_sequences": 1, "repetition_penalty": 1,
    "encoder_repetition_penalty": 1, "length_penalty": 1, "guidance_scale": 1, "diversity_penalty": 0,
    "min_length": 0, "min_new_tokens": 0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
    "epsilon_cutoff": 0, "eta_cutoff": 0,
}  # fmt: skip
"""By setting the number that leaves decoding as it is; of every setting, so do None and False."""


class GreedySettings(BaseModel):
    """The settings of decoding that greedy decoding uses, of ``generation_config.json``.

    Attributes:
        max_new_tokens: Of an answer, at most.
        eos_token_id: Tokens that end an answer.
        pad_token_id: The token after the end.
        suppress_tokens: Tokens that are never taken.
    """

    model_config = ConfigDict(strict=True)

    max_new_tokens: PositiveInt
    eos_token_id: list[NonNegativeInt]
    pad_token_id: NonNegativeInt
    suppress_tokens: list[NonNegativeInt] | None = None


def through_optimum(replay: Replay, path: Path) -> Iterator[PathResult]:
    """The kept rows through an export; one with weights of 8 bits is not judged.

    Raises:
        PolymodalError: If the export is damaged, or a row cannot be read.
    """
    words = ExportedWords(path)
    if (other := of_another_run(replay, path, words.layout.run, "optimum")) is not None:
        yield other
        return
    settings = read_settings(path)
    if isinstance(settings, str):
        yield PathResult(f"export {path.name}", NOT_REPLAYED, reason=settings)
        return
    run = cast(GenerationRun, RunBase.load(replay.folder, device="cpu"))
    check_length(path, settings, usual_tokens(run))
    rows = run.readable(table_of(replay.samples))
    texts = answered(run.processor, words, (rows[index] for index in range(len(rows))), settings)
    answers: list[dict[str, Any]] = [{"values": {run.column: text}} for text in texts]
    judged = words.layout.precision != INT8
    yield replay.judged(
        f"export {path.name}", answers, tolerance=LOOSE, sections=["values"], judge=judged,
        reason="" if judged else "weights of 8 bits",
    )  # fmt: skip


def answered(
    processor: ConversationProcessor, words: ExportedWords, turns: Iterable[Turn], settings: GreedySettings
) -> list[str]:
    """The likeliest answer to each prompt.

    Each is answered alone: beside a long prompt the context would cut its answer short, and the graphs give
    the logits of all positions, which are gigabytes for a batch.

    Args:
        processor: Of the run.
        words: Its export.
        turns: Prompts.
        settings: Of the export.

    Raises:
        RunError: If a prompt leaves no room for an answer, or the graphs cannot compute one.
    """
    return [_answer(processor, words, turn, settings) for turn in turns]


def _answer(
    processor: ConversationProcessor, words: ExportedWords, turn: Turn, settings: GreedySettings
) -> str:
    batch = reply_batch(processor, [turn])
    ids, mask, items = (
        batch["input_ids"].numpy(),
        batch["attention_mask"].numpy(),
        items_of(processor, [turn]),
    )
    most, context = settings.max_new_tokens, words.layout.context
    if context is not None and (most := min(most, context - ids.shape[1])) < 1:
        reason = f"a row's prompt has {ids.shape[1]} tokens, expected at most {context - 1} of its context"
        raise RunError(f"{words.folder}: {reason}. Export again")
    try:
        start = words.begin(ids, mask, items)
        (made,) = greedy(
            start, most, settings.eos_token_id, settings.pad_token_id, settings.suppress_tokens or ()
        )
        return processor.renderer.answer(made)
    except (ValueError, LookupError, TypeError) as error:  # the graphs of a stranger give what they like
        reason = one_line(str(error) or type(error).__name__, 200)
        raise RunError(
            f"{words.folder}: its graphs do not answer a prompt ({reason}). Export again"
        ) from None


def read_settings(folder: Path) -> GreedySettings | str:
    """The settings of decoding of an export, or why greedy decoding would not give the run's own words.

    Raises:
        RunError: If its ``generation_config.json`` is missing or damaged.
    """
    path = folder / SETTINGS
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise ValueError(f"holds {type(content).__name__}, expected an object")
        reason = beyond_greedy(content)
        return GreedySettings.model_validate(content) if reason is None else reason
    except ValidationError as error:
        wrong = error.errors()[0]
        setting, message = ".".join(map(str, wrong["loc"])), wrong["msg"]
        reason = f"{setting}: {message[0].lower()}{message[1:]}"
    except FileNotFoundError:
        reason = "it is missing"
    except (OSError, ValueError) as error:
        reason = one_line(str(error), 200)
    raise RunError(f"{path}: no readable settings of decoding ({reason}). Export again")


def check_length(folder: Path, settings: GreedySettings, own: int | None) -> None:
    """Refuse an export that would answer at more length than its run: whoever wrote it may have named any.

    Args:
        folder: Of the export.
        settings: Of the export.
        own: The most tokens of an answer of the run; None where it names none.

    Raises:
        RunError: Naming both.
    """
    if own is None or settings.max_new_tokens > own:
        limit = "none" if own is None else f"{own:,}"
        reason = f"max_new_tokens is {settings.max_new_tokens:,}, and that of its run {limit}"
        raise RunError(f"{folder / SETTINGS}: {reason}. Export again")


def beyond_greedy(settings: Mapping[str, Any]) -> str | None:
    """Why greedy decoding would not give a run's own words; None where it does."""
    if settings.get("max_new_tokens") is None:
        return f"{SETTINGS} has no max_new_tokens"
    others = [name for name, value in settings.items() if name not in PLAIN and not _is_neutral(name, value)]
    if others:
        named = f"{others[0]} is {settings[others[0]]}"
        return f"the run's own decoding is not greedy ({named}), and the export is replayed greedily"
    return None


def _is_neutral(name: str, value: object) -> bool:
    if value is None or value is False:  # 0 equals False, and is a token's id
        return True
    return name in NEUTRAL and value == NEUTRAL[name]
