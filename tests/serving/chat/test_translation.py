"""Messages of OpenAI's as a run reads them: media by their bytes, never by a path."""

import pytest

from polymodal.serving.chat.body import NEUTRAL, ChatBody
from polymodal.serving.chat.reading import read_body
from polymodal.serving.chat.translation import addresses_in, media_in, read_messages
from polymodal.serving.problems import Refusal
from polymodal.serving.values import ValueProblem

PICTURE = "data:image/png;base64,iVBORw0KGgo="


def read(*parts, addresses=None, system=None, role="user"):
    messages = [{"role": role, "content": list(parts)}]
    body = read_body(ChatBody, {"model": "run", "messages": messages}, NEUTRAL)
    return read_messages(body.messages, addresses or {}, system)


def picture(url):
    return {"type": "image_url", "image_url": {"url": url}}


def sound(data, form="wav"):
    return {"type": "input_audio", "input_audio": {"data": data, "format": form}}


def test_parts_keep_their_order():
    clip = {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}
    other = {"type": "input_video", "input_video": {"data": "AAAB", "format": "mp4"}}
    [message] = read({"type": "text", "text": "look"}, picture(PICTURE), sound("UklGRg=="), clip, other)
    assert message == {
        "role": "user",
        "content": [
            {"type": "text", "text": "look"},
            {"type": "image", "image": PICTURE},
            {"type": "audio", "audio": "data:audio/wav;base64,UklGRg=="},
            {"type": "video", "video": "data:video/mp4;base64,AAAA"},
            {"type": "video", "video": "data:video/mp4;base64,AAAB"},
        ],
    }


def test_the_system_message_is_the_run_s_own_where_the_request_has_none():
    text = {"type": "text", "text": "x"}
    assert [message["role"] for message in read(text, system="be brief")] == ["system", "user"]
    assert [message["role"] for message in read(text, system="be brief", role="developer")] == ["system"]
    assert [message["role"] for message in read(text)] == ["user"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/etc/passwd", "Files on the server cannot be named"),
        ("file:///etc/passwd", "Files on the server cannot be named"),
        ("photo.png", "Files on the server cannot be named"),
        ("data:text/html;base64,AAAA", "expected data:image/"),
        ("", "no data: URI"),
    ],
)
def test_a_picture_is_neither_a_path_nor_fetched(url, words):
    with pytest.raises(Refusal, match=words) as raised:
        read(picture(url))
    assert raised.value.status == 400 and raised.value.param == "messages[0].content[0].image_url"


def test_an_address_has_the_content_that_was_fetched_or_the_reason_why_not():
    allowed, other = "https://example.org/a.png", "HTTPS://other.org/a.png"
    messages = [{"role": "user", "content": [picture(allowed), picture(PICTURE), picture(other)]}]
    body = read_body(ChatBody, {"model": "run", "messages": messages}, NEUTRAL)
    assert addresses_in(body.messages) == [allowed, other]
    [message] = read(picture(allowed), addresses={allowed: b"bytes"})
    assert message["content"] == [{"type": "image", "image": b"bytes"}]
    with pytest.raises(Refusal, match="not allowed"):
        read(picture(other), addresses={other: ValueProblem("the host is not allowed")})


@pytest.mark.parametrize(("data", "form"), [("", "wav"), ("AAAA", "wav;base64,x"), ("AAAA", "")])
def test_a_recording_has_data_and_a_format(data, form):
    with pytest.raises(Refusal, match=r"input_audio\.(data|format)"):
        read(sound(data, form))


def test_media_are_counted():
    messages = [
        {"role": "user", "content": [picture(PICTURE), picture(PICTURE), {"type": "text", "text": "x"}]}
    ]
    body = read_body(ChatBody, {"model": "run", "messages": messages}, NEUTRAL)
    assert media_in(body.messages) == 2
