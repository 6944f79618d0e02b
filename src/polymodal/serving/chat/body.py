"""The body of ``POST /v1/chat/completions``: what is supported, and what is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

IGNORED = frozenset(
    {"metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user", "verbosity"}
)
"""Fields that change no answer: they name the user, or are notes to OpenAI's own storage."""
NEUTRAL: dict[str, tuple[object, ...]] = {
    "audio": (), "frequency_penalty": (0,), "function_call": ("none", "auto"), "functions": ([],),
    "logit_bias": ({},), "logprobs": (False,), "modalities": (["text"],), "moderation": (), "n": (1,),
    "parallel_tool_calls": (True, False), "prediction": (), "presence_penalty": (0,),
    "reasoning_effort": ("none",), "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"), "store": (False,), "tool_choice": ("none", "auto"), "tools": ([],),
    "top_logprobs": (0,), "web_search_options": (),
}  # fmt: skip
"""Fields of OpenAI's that are not supported, with the values that change nothing, which are taken."""


class Section(BaseModel):
    """A part of the body: values of the right type, no other keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Address(Section):
    """A medium by a ``data:`` URI, or by the address of an allowed host."""

    url: str
    detail: Literal["auto", "low", "high"] | None = Field(
        None, description="Taken and without effect: a run reads each picture in its own size."
    )


class Data(Section):
    """A medium in base64."""

    data: str
    format: str = Field(description="wav, mp3 or the like; mp4 or the like for a clip.")


class TextPart(Section):
    """A text."""

    type: Literal["text"]
    text: str


class ImagePart(Section):
    """A picture."""

    type: Literal["image_url"]
    image_url: Address


class AudioPart(Section):
    """A recording."""

    type: Literal["input_audio"]
    input_audio: Data


class VideoAddressPart(Section):
    """A clip, by its address; not among OpenAI's own, but of the same form."""

    type: Literal["video_url"]
    video_url: Address


class VideoPart(Section):
    """A clip; not among OpenAI's own, but of the same form."""

    type: Literal["input_video"]
    input_video: Data


Part = Annotated[TextPart | ImagePart | AudioPart | VideoAddressPart | VideoPart, Field(discriminator="type")]


def _kind(content: object) -> str:
    return "text" if isinstance(content, str) else "parts"


Content = Annotated[Annotated[str, Tag("text")] | Annotated[list[Part], Tag("parts")], Discriminator(_kind)]


class ChatMessage(Section):
    """One message. Keys of a message that are empty are taken as absent, as clients send them back."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, value: Any) -> Any:
        return _filled(value, frozenset()) if isinstance(value, Mapping) else value


class StreamOptions(Section):
    """What a stream holds besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


Stop = Annotated[str, Field(min_length=1, max_length=1000)]


class ChatBody(Section):
    """A request for an answer. Without ``temperature`` and ``top_p`` the run decodes as it was declared."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="0: the likeliest.")
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _supported(cls, value: Any) -> Any:
        """Take away what changes nothing."""
        if not isinstance(value, Mapping):
            return value
        return {
            key: field
            for key, field in _filled(value, IGNORED).items()
            if key not in NEUTRAL or not _is_neutral(field, NEUTRAL[key])
        }

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("'stream_options' goes with 'stream': true")
        both = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(both) > 1:
            raise ValueError("'max_tokens' and 'max_completion_tokens' differ: give one of them")
        return self

    @property
    def most(self) -> int | None:
        """The most tokens of the answer; None where the request has no such limit."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts before which the answer ends."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        """Whether the stream ends with the numbers of tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)


def _filled(value: Mapping[str, Any], ignored: frozenset[str]) -> dict[str, Any]:
    """The entries that hold something, in a message and at the top: ``None`` and ``[]`` mean absent."""
    kept = ("content", "messages")
    return {
        key: field
        for key, field in value.items()
        if key not in ignored and (key in kept or (field is not None and field != []))
    }


def _is_neutral(value: object, neutral: tuple[object, ...]) -> bool:
    """Whether a value is among ``neutral``; true is not 1."""
    return any(value == entry and isinstance(value, bool) == isinstance(entry, bool) for entry in neutral)
