"""An export to Optimum's layout, whose graphs answer the prompts of the run greedily."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from polymodal.data.chat.chat_processor import ConversationProcessor, Turn
from polymodal.exporting.optimum.comparing import items_of
from polymodal.exporting.optimum.decoding import ExportedWords, greedy
from polymodal.runs.answering import reply_batch
from polymodal.runs.core import RunBase
from polymodal.runs.generation_run import GenerationRun
from polymodal.runtime.manifest import INT8
from polymodal.utils.json_files import read_json
from polymodal.verification.answers import table_of
from polymodal.verification.onnx_path import of_another_run
from polymodal.verification.paths import LOOSE, NOT_REPLAYED, PathResult, Replay

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


def through_optimum(replay: Replay, path: Path) -> Iterator[PathResult]:
    """The kept rows through an export; one with weights of 8 bits is not judged.

    Raises:
        PolymodalError: If the export is damaged, or a row cannot be read.
    """
    words = ExportedWords(path)
    if (other := of_another_run(replay, path, words.layout.run, "optimum")) is not None:
        yield other
        return
    settings = read_json(path / "generation_config.json")
    if (reason := beyond_greedy(settings)) is not None:
        yield PathResult(f"export {path.name}", NOT_REPLAYED, reason=reason)
        return
    run = cast(GenerationRun, RunBase.load(replay.folder, device="cpu"))
    rows = run.readable(table_of(replay.samples))
    texts = answered(run.processor, words, [rows[index] for index in range(len(rows))], settings)
    answers: list[dict[str, Any]] = [{"values": {run.column: text}} for text in texts]
    judged = words.layout.precision != INT8
    yield replay.judged(
        f"export {path.name}", answers, tolerance=LOOSE, sections=["values"], judge=judged,
        reason="" if judged else "weights of 8 bits",
    )  # fmt: skip


def answered(
    processor: ConversationProcessor, words: ExportedWords, turns: Sequence[Turn], settings: Mapping[str, Any]
) -> list[str]:
    """The likeliest answer to each prompt.

    Args:
        processor: Of the run.
        words: Its export.
        turns: Prompts.
        settings: The export's ``generation_config.json``.
    """
    batch = reply_batch(processor, list(turns))
    ids, mask = batch["input_ids"].numpy(), batch["attention_mask"].numpy()
    most, context = int(settings["max_new_tokens"]), words.layout.context
    made = greedy(
        words.begin(ids, mask, items_of(processor, turns)),
        most if context is None else min(most, context - ids.shape[1]),
        settings["eos_token_id"], int(settings["pad_token_id"]), settings.get("suppress_tokens") or (),
    )  # fmt: skip
    return [processor.renderer.answer(row) for row in made]


def beyond_greedy(settings: Mapping[str, Any]) -> str | None:
    """Why greedy decoding would not give a run's own words; None where it does."""
    if settings.get("max_new_tokens") is None:
        return "generation_config.json has no max_new_tokens"
    others = [name for name, value in settings.items() if name not in PLAIN and not _is_neutral(name, value)]
    if others:
        named = f"{others[0]} is {settings[others[0]]}"
        return f"the run's own decoding is not greedy ({named}), and the export is replayed greedily"
    return None


def _is_neutral(name: str, value: object) -> bool:
    if value is None or value is False:  # 0 equals False, and is a token's id
        return True
    return name in NEUTRAL and value == NEUTRAL[name]
