"""Messages in OpenAI's form as messages of a run: texts, and media by their bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from polymodal.serving.chat.body import (
    Address,
    AudioPart,
    ChatMessage,
    Data,
    ImagePart,
    Part,
    TextPart,
    VideoAddressPart,
    VideoPart,
)
from polymodal.serving.problems import Refusal
from polymodal.serving.values import ValueProblem

Cell = str | bytes
"""A medium: a ``data:`` URI or bytes; never a path."""
Addresses = Mapping[str, bytes | ValueProblem]
"""The content of each address on the network, or why it was not fetched."""
ROLES = {"developer": "system"}
"""Roles of OpenAI's by the names that runs have for them."""
_FORMAT = re.compile(r"[A-Za-z0-9.+-]{1,40}")


def read_messages(
    messages: Sequence[ChatMessage], addresses: Addresses, system: str | None = None
) -> list[dict[str, Any]]:
    """The messages in the Transformers chat format, as :meth:`LanguageRun.chat` reads them.

    Args:
        messages: Of the request.
        addresses: The content of the addresses that :func:`addresses_in` names.
        system: System message of the run, which comes first where the request has none.

    Raises:
        Refusal: With status 400, if a medium is neither a ``data:`` URI nor at an allowed address.
    """
    read = [
        {
            "role": ROLES.get(entry.role, entry.role),
            "content": _content(entry, f"messages[{index}]", addresses),
        }
        for index, entry in enumerate(messages)
    ]
    if system and read[0]["role"] != "system":
        read.insert(0, {"role": "system", "content": system})
    return read


def _content(message: ChatMessage, where: str, addresses: Addresses) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    parts = enumerate(message.content)
    return [_part(part, f"{where}.content[{index}]", addresses) for index, part in parts]


def _part(part: Part, where: str, addresses: Addresses) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            cell = _of_address(part.image_url, "image", f"{where}.image_url", addresses)
            return {"type": "image", "image": cell}
        case AudioPart():
            return {"type": "audio", "audio": _of_data(part.input_audio, "audio", f"{where}.input_audio")}
        case VideoAddressPart():
            cell = _of_address(part.video_url, "video", f"{where}.video_url", addresses)
            return {"type": "video", "video": cell}
        case VideoPart():
            return {"type": "video", "video": _of_data(part.input_video, "video", f"{where}.input_video")}


def _of_address(address: Address, kind: str, where: str, addresses: Addresses) -> Cell:
    """The medium of a ``data:`` URI, or at an address on the network."""
    url = address.url.strip()
    if url[:5].lower() == "data:":
        if url[5 : 5 + len(kind) + 1].lower() == f"{kind}/":
            return url
        start = url[:40].partition(",")[0].partition(";")[0]
        raise Refusal(400, f"{where} is '{start}', expected data:{kind}/…;base64,…", param=where)
    if not _on_network(url):
        reason = f"{where} is no data: URI. Files on the server cannot be named: send data:{kind}/…;base64,…"
        raise Refusal(400, reason, param=where)
    content = addresses[url]
    if isinstance(content, ValueProblem):
        raise Refusal(400, f"{where}: {content}", param=where)
    return content


def _on_network(url: str) -> bool:
    return url[:7].lower() == "http://" or url[:8].lower() == "https://"


def _of_data(data: Data, kind: str, where: str) -> Cell:
    """The medium of base64 text; what its bytes are counts, and ``format`` only has to be a name."""
    if not _FORMAT.fullmatch(data.format):
        raise Refusal(400, f"{where}.format is not the name of a format, such as wav", param=where)
    if not data.data or data.data.isspace():
        raise Refusal(400, f"{where}.data is empty, expected base64", param=where)
    return f"data:{kind}/{data.format.lower()};base64,{data.data}"


def media_in(messages: Sequence[ChatMessage]) -> int:
    """The number of pictures, recordings and clips of a conversation."""
    return sum(not isinstance(part, TextPart) for part in _parts(messages))


def addresses_in(messages: Sequence[ChatMessage]) -> list[str]:
    """The addresses on the network that media of a conversation are at."""
    named = [
        part.image_url if isinstance(part, ImagePart) else part.video_url
        for part in _parts(messages)
        if isinstance(part, ImagePart | VideoAddressPart)
    ]
    return [url for address in named if _on_network(url := address.url.strip())]


def _parts(messages: Sequence[ChatMessage]) -> list[Part]:
    contents = [entry.content for entry in messages if not isinstance(entry.content, str)]
    return [part for content in contents for part in content]
