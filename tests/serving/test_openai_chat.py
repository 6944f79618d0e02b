"""``/v1/chat/completions`` by OpenAI's own client: answers of the run, streams, limits, and who leaves."""

import base64
import json
import socket
import threading
import time

import httpx2
import openai
import pytest
import schemathesis

from polymodal.serving.app import create_app
from polymodal.serving.limits import Limits
from polymodal.serving.service import Service
from tests.support.clips import moving, write_clip
from tests.support.live_servers import live
from tests.support.random_requests import meet_the_description
from tests.support.tables import write_picture, write_sound
from tests.support.talking_runs import make_talking_run
from tests.support.untrained_runs import make_run

QUESTION = [{"role": "user", "content": "Is there a lift?"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("talking")


@pytest.fixture(scope="module")
def run(folder):
    return make_talking_run(folder / "words")


@pytest.fixture(scope="module")
def service(run):
    return Service(
        {"words": run}, limits=Limits.lowered({"answer_tokens": 200, "waiting_rows": 6}), decoders=1
    )


@pytest.fixture(scope="module")
def address(service):
    with live(create_app(service)) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def media(folder):
    """By kind a file's bytes."""
    import numpy as np

    write_picture(folder / "a.png", 0.5, np.random.default_rng(0))
    write_sound(folder / "a.wav", 440)
    write_clip(folder / "a.mp4", moving(1, 0))
    return {
        kind: (folder / f"a.{s}").read_bytes()
        for kind, s in (("image", "png"), ("audio", "wav"), ("video", "mp4"))
    }


def asked(client, messages=QUESTION, **more):
    return client.chat.completions.create(model="words", messages=messages, **more)


def encoded(content):
    return base64.b64encode(content).decode()


def test_the_answer_is_the_run_s(client, run):
    answer = asked(client)
    choice = answer.choices[0]
    assert choice.message.content == run.chat(QUESTION)
    assert choice.message.role == "assistant" and choice.finish_reason in ("stop", "length")
    assert answer.model == "words" and answer.object == "chat.completion"
    turn = run.processor.encode(run.conversation(QUESTION), reply=True)
    assert answer.usage.prompt_tokens == len(turn.encoded.ids)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_pictures_recordings_and_clips_are_read(client, run, media):
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(media['image'])}"}},
        {"type": "input_audio", "input_audio": {"data": encoded(media["audio"]), "format": "wav"}},
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{encoded(media['video'])}"}},
        {"type": "text", "text": "Look at both."},
    ]
    answer = asked(client, [{"role": "user", "content": content}], max_tokens=9)
    own = [content[0], *({"type": kind, kind: media[kind]} for kind in media), content[-1]]
    assert answer.choices[0].message.content == run.chat([{"role": "user", "content": own}], max_new_tokens=9)
    texts = asked(client, [{"role": "user", "content": "What is it?\nLook at both."}], max_tokens=9)
    assert answer.usage.prompt_tokens > texts.usage.prompt_tokens + 10


def test_a_stream_is_the_same_answer_in_pieces(client):
    whole = asked(client, max_tokens=30, temperature=0)
    chunks = list(
        asked(client, max_tokens=30, temperature=0, stream=True, stream_options={"include_usage": True})
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_done_and_counts_nothing_unless_it_is_requested(address):
    body = {"model": "words", "messages": QUESTION, "stream": True, "max_tokens": 2}
    answer = httpx2.post(f"{address}/v1/chat/completions", json=body, timeout=60)
    events = answer.text.strip().split("\n\n")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events[-1] == "data: [DONE]"
    assert not any("usage" in json.loads(event.removeprefix("data: ")) for event in events[:-1])


def test_the_number_of_tokens_and_texts_of_stop_end_an_answer(client, run):
    run.model.generation_config.min_new_tokens = 30
    try:
        cut = asked(client, max_completion_tokens=5)
        assert cut.usage.completion_tokens == 5 and cut.choices[0].finish_reason == "length"
        whole = asked(client, max_tokens=30).choices[0].message.content
        stopped = asked(client, max_tokens=30, stop=[whole[4:6]])
    finally:
        run.model.generation_config.min_new_tokens = None
    assert stopped.choices[0].message.content == whole[: whole.index(whole[4:6])].strip()
    assert stopped.choices[0].finish_reason == "stop"


def test_a_seed_repeats_what_was_drawn(client):
    def drawn(seed):
        return asked(client, temperature=2.0, top_p=0.95, seed=seed, max_tokens=30).choices[0].message.content

    assert drawn(5) == drawn(5)
    assert len({drawn(seed) for seed in range(3)}) > 1


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"n": 2}, "n", "not supported"),
        ({"max_tokens": 10_000}, "max_tokens", "at most 200"),
        ({"extra_body": {"top_k": 3}}, "top_k", "there is no 'top_k'"),
        ({"messages": [{"role": "user", "content": "why " * 500}]}, "messages", "context is 256"),
        ({"messages": [*QUESTION, *QUESTION]}, "messages", "both the user's"),
        ({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]}, "messages", ""),
        ({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "/etc/passwd"}}]}]},
         "messages[0].content[0].image_url", "cannot be named"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_bad_request_in_openai_s_form(client, more, param, words):
    with pytest.raises(openai.BadRequestError) as raised:
        asked(client, **({"messages": QUESTION} | more))
    body = raised.value.body
    assert body["param"] == param and words in body["message"] and body["type"] == "invalid_request_error"
    assert "Traceback" not in body["message"] and "/tmp" not in body["message"]


def test_random_requests_meet_answers_and_errors_in_openai_s_form(address):
    def name_the_run(case):
        if isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = "words"
            case.body["max_tokens"] = 2

    def is_openai_s(response):
        if response.status_code >= 400:
            error = response.json()["error"]
            assert {"message", "type", "param", "code"} <= set(error) and "\n" not in error["message"]
            assert error["type"] == "invalid_request_error"

    schema = schemathesis.openapi.from_url(f"{address}/openapi.json").include(path_regex="^/v1/")
    operations = [operation.ok() for operation in schema.get_all_operations()]
    assert len(operations) == 4
    for operation in operations:
        meet_the_description(operation, 6, name_the_run, is_openai_s)


@pytest.mark.parametrize("path", ["chat/completions", "embeddings"])
@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b"null", b'{"model": 5}', b'{"model": NaN}', b"[" * 100_000, b"\xff"]
)
def test_a_wrong_body_is_an_error_in_openai_s_form(address, path, body):
    answer = httpx2.post(f"{address}/v1/{path}", content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert answer.status_code in (400, 422) and error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"} and "\n" not in error["message"]


def test_there_is_no_such_model(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="word", messages=QUESTION)
    assert raised.value.body["param"] == "model" and "Did you mean 'words'?" in raised.value.body["message"]


def test_requests_that_wait_are_answered_together_and_each_as_alone(client, service, run, monkeypatch):
    sizes = []
    texts = ["What is it?", "Is there a lift?", "Look at both.", "a red circle", "yes"]
    alone = [run.chat([{"role": "user", "content": text}], max_new_tokens=8) for text in texts]
    release = held(service)
    monkeypatch.setattr(service.runs["words"].talker._batcher, "on_batch", sizes.append)
    answers = {}

    def ask(text):
        answer = asked(client, [{"role": "user", "content": text}], max_tokens=8)
        answers[text] = answer.choices[0].message.content

    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    until(lambda: service.waiting + sum(sizes) == len(texts))
    release.set()
    for thread in threads:
        thread.join()
    assert [answers[text] for text in texts] == alone
    assert sum(sizes) == len(texts) and max(sizes) > 1


def test_a_full_queue_refuses_and_recovers(client, service):
    release = held(service)
    threads = [threading.Thread(target=asked, args=(client,), kwargs={"max_tokens": 1}) for _ in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: service.runs["words"].in_flight == 6)
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError) as raised:
            asked(client, stream=stream)
        assert raised.value.status_code == 503 and int(raised.value.response.headers["retry-after"]) > 0
    release.set()
    for thread in threads:
        thread.join()
    assert asked(client, max_tokens=1).usage.completion_tokens == 1


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_ends_the_answer_and_the_next_is_served(client, address, service, run, stream):
    run.model.generation_config.min_new_tokens = 190
    steps = []
    forward = run.model.language_model.forward

    def slow(*arguments, **options):
        steps.append(time.monotonic())
        time.sleep(0.05)
        return forward(*arguments, **options)

    run.model.language_model.forward = slow
    try:
        leave(address, {"model": "words", "messages": QUESTION, "max_tokens": 190, "stream": stream}, steps)
        count = until_quiet(steps)
        assert 0 < count < 150
    finally:
        run.model.generation_config.min_new_tokens = None
        run.model.language_model.forward = forward
    assert asked(client, max_tokens=2).usage.completion_tokens <= 2
    assert service.waiting == 0


def test_other_runs_do_not_wait_for_an_answer_in_words(run, folder):
    rows = [{"photo": None, "note": "a garden", "bedrooms": 1}, {"note": "a lift", "bedrooms": 2}]
    service = Service({"words": run, "houses": make_run(folder / "houses", rows)}, decoders=1)
    with live(create_app(service)) as address:
        release = held(service)
        answer = httpx2.post(f"{address}/predict", json={"run": "houses", "rows": rows[1:]}, timeout=30)
        release.set()
    assert answer.status_code == 200 and answer.json()["answers"][0]["values"]["kind"] in ("flat", "house")


def test_an_answer_that_takes_too_long_is_a_timeout(run):
    limits = Limits.lowered({"answer_seconds": 0.2})
    service = Service({"words": run}, limits=limits)
    with live(create_app(service)) as address:
        held_client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        release = held(service)
        with pytest.raises(openai.InternalServerError, match="no answer after") as raised:
            asked(held_client)
        assert raised.value.status_code == 504
        with pytest.raises(openai.APIError, match="no answer after"):
            list(asked(held_client, stream=True))
        release.set()


def test_a_model_that_fails_is_the_server_s_error_without_a_path(client, run, monkeypatch, folder):
    def fail(**options):
        raise ValueError("out of words")

    monkeypatch.setattr(run.model, "generate", fail)
    with pytest.raises(openai.APIStatusError) as raised:
        asked(client)
    assert str(folder) not in str(raised.value.body)
    with pytest.raises(openai.APIError) as raised:
        list(asked(client, stream=True))
    assert "out of words" in raised.value.message and str(folder) not in raised.value.message


def held(service):
    """Keeps the thread of the models busy until the event is set, which is returned."""
    release, busy = threading.Event(), threading.Event()
    service.runs["words"].model_thread.submit(lambda: (busy.set(), release.wait(60)))
    assert busy.wait(60)
    return release


def until(condition):
    """Waits for a condition."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def until_quiet(steps):
    """The number of steps of the model, once there are no more."""
    count = -1
    while count != len(steps):
        count = len(steps)
        time.sleep(1.0)
    return count


def leave(address, body, steps):
    """Request an answer, and close the connection as the model generates it."""
    host, port = address.removeprefix("http://").split(":")
    content = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        until(lambda: len(steps) > 3)
