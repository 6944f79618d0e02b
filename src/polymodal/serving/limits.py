"""How much one request may hold, and how long it may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from polymodal.api import ConfigError, MediaLimits, did_you_mean
from polymodal.utils.records import JsonObject


@dataclass(frozen=True)
class Limits:
    """The most that a request may hold; a server may lower each of them, and raise none.

    Attributes:
        body_bytes: Of the body of a request.
        rows: In a request.
        share_rows: In a request that wants each input's share, which takes many answers per row.
        media_per_request: Pictures, recordings, clips and sequences in a request.
        values: Of JSON: its commas and brackets.
        nesting: Lists and objects in each other in JSON.
        waiting_rows: That wait for the model; further ones are refused with status 503.
        seconds: From the complete request to its answer; then status 504.
        header_seconds: Until the header of a request is complete.
        body_seconds: Until the body of a request is complete; then status 408.
        connections: Open at once.
        file_bytes: Of one picture, recording, clip or sequence.
        pixels: Of a picture, or of one frame of a clip.
        samples: That are decoded of a recording, in all its channels.
        frames: Of a clip.
        media_seconds: Of a recording or a clip.
        answer_tokens: Of one answer in words.
        answer_seconds: From the complete request to the end of an answer in words.
        decoding_seconds: To decode the media of one row.
    """

    body_bytes: int = 64 * 2**20
    rows: int = 1000
    share_rows: int = 16
    media_per_request: int = 256
    values: int = 2_000_000
    nesting: int = 32
    waiting_rows: int = 4096
    seconds: float = 60.0
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    connections: int = 1024
    file_bytes: int = MediaLimits.bytes
    pixels: int = MediaLimits.pixels
    samples: int = MediaLimits.samples
    frames: int = MediaLimits.frames
    media_seconds: float = MediaLimits.seconds
    answer_tokens: int = 4096
    answer_seconds: float = 600.0
    decoding_seconds: float = 30.0

    @classmethod
    def lowered(cls, given: Mapping[str, str | float]) -> Self:
        """The limits with some of them lowered.

        Args:
            given: By name.

        Raises:
            ConfigError: If there is no such limit, or a value is no number above 0 or above the default.
        """
        known = asdict(cls())
        for name in given:
            if name not in known:
                raise ConfigError(f"there is no limit '{name}'. {did_you_mean(name, known)}")
        chosen = {name: _lowered(name, value, known[name]) for name, value in given.items()}
        return cls(**known | chosen)

    @property
    def media(self) -> MediaLimits:
        """The limits of one picture, recording, clip or sequence."""
        return MediaLimits(
            bytes=self.file_bytes, pixels=self.pixels, samples=self.samples, frames=self.frames,
            seconds=self.media_seconds,
        )  # fmt: skip

    def plain(self) -> JsonObject:
        """For JSON."""
        return asdict(self)


def _lowered(name: str, value: str | float, most: float) -> float:
    """A lowered limit, in the type of the default ``most``."""
    try:
        number = float(value) if isinstance(most, float) else int(value)
    except ValueError:
        kind = "a number" if isinstance(most, float) else "a whole number"
        raise ConfigError(f"the limit {name} is '{value}', expected {kind}") from None
    if not 0 < number <= most:
        reason = f"the limit {name} is {value}, expected a number above 0, and at most {most:,}"
        raise ConfigError(f"{reason}: limits can be lowered, not raised")
    return number
