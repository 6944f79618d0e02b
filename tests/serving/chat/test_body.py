"""What a request for chat may hold: what is read, what is taken as absent, and what is refused by name."""

import pytest

from polymodal.serving.chat.body import NEUTRAL, ChatBody
from polymodal.serving.chat.reading import body_schema, read_body
from polymodal.serving.problems import Refusal

ASKED = {"model": "run", "messages": [{"role": "user", "content": "why"}]}


def read(**more):
    return read_body(ChatBody, ASKED | more, NEUTRAL)


def refused(**more):
    with pytest.raises(Refusal) as raised:
        read(**more)
    assert raised.value.status == 400
    return raised.value.param, raised.value.message


def test_what_a_client_sends_by_default_is_read():
    body = read(temperature=0, top_p=1, n=1, stop=None, stream=False, user="ann", tools=None, logprobs=False,
                presence_penalty=0.0, response_format={"type": "text"}, seed=7, max_tokens=3)  # fmt: skip
    assert (body.temperature, body.top_p, body.seed, body.most, body.stops) == (0, 1, 7, 3, ())
    assert read(stop="x").stops == ("x",) and read(stop=["x", "y"]).stops == ("x", "y")
    assert read(stream=True, stream_options={"include_usage": True}).wants_usage


def test_an_answer_is_read_as_clients_send_it_back():
    answer = {"role": "assistant", "content": "so", "refusal": None, "tool_calls": None, "annotations": []}
    body = read(messages=[*ASKED["messages"], answer, {"role": "user", "content": "and"}])
    assert [message.role for message in body.messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2), ("n", True), ("logprobs", True), ("tools", [{"type": "function"}]),
        ("logit_bias", {"5": 1}),
        ("response_format", {"type": "json_object"}), ("frequency_penalty", 0.5), ("audio", {"voice": "x"}),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(field, value):
    param, message = refused(**{field: value})
    assert param == field and "not supported" in message and f"'{field}'" in message


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"temprature": 1}, "temprature", "Did you mean 'temperature'?"),
        ({"temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"temperature": True}, "temperature", "valid number"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 2.5}, "max_tokens", "valid integer"),
        ({"stop": [""]}, "stop[0]", "at least 1 character"),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "is missing"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "'assistant'"),
        ({"messages": [{"role": "user", "content": "x", "name": "a"}]}, "messages[0].name", "not supported"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
         "messages[0].content[0]", "type 'file', expected one of text, image_url"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]},
         "messages[0].content[0]", "without a type"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]},
         "messages[0].content[0].image_url.url", "valid string"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "path": "/etc/passwd"}]}]},
         "messages[0].content[0]", "type 'image', expected one of text, image_url"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_field(more, param, words):
    named, message = refused(**more)
    assert named == param and words in message and "\n" not in message


def test_fields_that_contradict_each_other_are_refused():
    assert "'stream': true" in refused(stream_options={"include_usage": True})[1]
    assert "differ" in refused(max_tokens=3, max_completion_tokens=4)[1]
    assert read(max_tokens=3, max_completion_tokens=3).most == 3
    with pytest.raises(Refusal, match="the body is"):
        read_body(ChatBody, [1], NEUTRAL)


def test_the_schema_refers_to_nothing_outside_itself():
    schema = body_schema(ChatBody, ASKED)["requestBody"]["content"]["application/json"]["schema"]
    assert "$ref" not in str(schema) and "$defs" not in schema
    assert "input_audio" in str(schema["properties"]["messages"])
