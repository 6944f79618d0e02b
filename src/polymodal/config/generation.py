"""The sections ``generation`` and ``stages``: prompts, answers, decoding, and what each stage trains."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from polymodal.config.base import Section
from polymodal.config.basics import MOST
from polymodal.config.encoders import EncoderConfig, LoraSettings, named_encoder

LANGUAGE_TYPE = "polymodal_language"
"""``model_type`` in the ``config.json`` of a run that answers in words."""

Learner = Literal["connectors", "language_model", "encoders"]
"""What a stage may train; encoders are trained unless their inputs set ``freeze``."""


class LanguageModelConfig(EncoderConfig):
    """The causal language model; any other key is a size of a model from scratch."""

    adapter: str | None = Field(
        None, description="Folder of a PEFT adapter of this checkpoint, merged into it first."
    )
    attention: str | None = Field(
        None, description="attn_implementation, such as sdpa or flash_attention_2; by default the best there."
    )

    @model_validator(mode="after")
    def _adapter_of_a_checkpoint(self) -> LanguageModelConfig:
        if self.adapter and not self.checkpoint:
            raise ValueError("'adapter' is of a checkpoint: give the one that it was trained on")
        return self


class DecodingConfig(Section):
    """Decoding of answers, unless a call overrides it."""

    max_new_tokens: int | None = Field(
        None, ge=1, le=MOST, description="By default 1.5 times the longest training answer."
    )
    beams: int = Field(1, ge=1, le=1000, description="num_beams")
    sample: bool = Field(False, description="do_sample: sample instead of taking the most likely token.")
    temperature: float = Field(1.0, gt=0, description="temperature, with sample.")
    top_p: float = Field(1.0, gt=0, le=1, description="top_p, with sample.")


class GenerationConfig(Section):
    """Prompts and answers of the rows, and the language model that is trained on them."""

    prompt: str | None = Field(None, description="Template over columns: the prompt, '{photo} {text}'.")
    answer: str | None = Field(None, description="Template over columns: the answer.")
    system: str | None = Field(None, description="System message of every conversation.")
    messages: str | None = Field(
        None, description="Column of conversations in the Transformers chat format, in place of templates."
    )
    language_model: LanguageModelConfig = Field(
        default_factory=LanguageModelConfig,
        description="A name, or {checkpoint: …} or {type: …, sizes}; by default a small one from scratch.",
    )
    vocabulary: int = Field(
        8192, ge=300, le=MOST, description="Vocabulary size of the tokenizer of a model from scratch."
    )
    chat_template: str | None = Field(
        None, description="chatml, plain, or a file; by default the tokenizer's own."
    )
    max_length: int | None = Field(
        None,
        ge=8,
        le=MOST,
        description="Most tokens of a row with its answer; by default the context.",
    )
    too_long: Literal["refuse", "leave_out"] = Field(
        "refuse", description="Training rows of more tokens: no fit starts, or they are skipped and listed."
    )
    pack: int | None = Field(
        None,
        ge=8,
        le=MOST,
        description="Tokens of a packed row of several conversations; null: padded, grouped by length.",
    )
    decoding: DecodingConfig = Field(default_factory=DecodingConfig)
    metrics: list[str] | None = Field(
        None, min_length=1, description="exact_match, bleu, …; by default what suits the answers' length."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_language_model(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("language_model"), str):
            return values | {"language_model": named_encoder(values["language_model"])}
        return values

    @model_validator(mode="after")
    def _one_source(self) -> GenerationConfig:
        if self.messages and (self.prompt or self.answer):
            raise ValueError("'messages' excludes 'prompt' and 'answer': conversations hold both")
        if not self.messages and not (self.prompt and self.answer):
            raise ValueError("give 'prompt' and 'answer', templates over columns, or 'messages', a column")
        if self.pack and self.max_length and self.pack < self.max_length:
            raise ValueError(
                f"'pack' is {self.pack}, and a row may have 'max_length' {self.max_length} tokens"
            )
        return self


class StageConfig(Section):
    """One stage of a training: what is trained, on which rows, with which settings."""

    learn: list[Learner] = Field(
        default_factory=lambda: ["connectors", "language_model", "encoders"],  # type: ignore[arg-type]
        min_length=1,
        description="connectors, language_model, encoders.",
    )
    lora: LoraSettings | None = Field(None, description="Train adapters instead of the language model.")
    data: str | None = Field(None, description="Table of this stage's rows; by default data.train.")
    prompt: str | None = Field(None, description="By default generation.prompt.")
    answer: str | None = Field(None, description="By default generation.answer.")
    messages: str | None = Field(None, description="By default generation.messages.")
    train: dict[str, Any] = Field(
        default_factory=dict, description="Settings of 'train' that differ in this stage."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_lora(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("lora"), bool):
            return values | {"lora": {} if values["lora"] else None}
        return values

    @model_validator(mode="after")
    def _lora_of_what_learns(self) -> StageConfig:
        if self.lora and "language_model" not in self.learn:
            raise ValueError("'lora' adapts the language model, which 'learn' does not name")
        if self.messages and (self.prompt or self.answer):
            raise ValueError("'messages' excludes 'prompt' and 'answer': conversations hold both")
        return self
