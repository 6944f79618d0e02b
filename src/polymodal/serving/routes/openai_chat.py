"""Answers in words, in OpenAI's form: ``POST /v1/chat/completions``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from polymodal import api
from polymodal.serving.bodies import parsed_json
from polymodal.serving.bounded import bounded
from polymodal.serving.chat.body import NEUTRAL, ChatBody
from polymodal.serving.chat.completions import DONE, Completion, event, usage
from polymodal.serving.chat.options import decoding_of
from polymodal.serving.chat.reading import body_schema, read_body, run_of_model
from polymodal.serving.chat.talker import Job, Talker
from polymodal.serving.chat.translation import addresses_in, media_in, read_messages
from polymodal.serving.problems import Refusal, openai_error_body
from polymodal.serving.routes.direct import Direct
from polymodal.serving.served_run import ServedRun
from polymodal.serving.service import Service

LOG = logging.getLogger("polymodal.serving")
PATH = "/v1/chat/completions"


def router(service: Service) -> APIRouter:
    """``POST /v1/chat/completions``."""
    routes = APIRouter(tags=["OpenAI's form"], route_class=Direct)
    model = next((run.name for run in service.language_runs), "a-run-that-answers-in-words")
    example = {"model": model, "messages": [{"role": "user", "content": "What is this?"}], "max_tokens": 20}

    @routes.post(PATH, summary="Answer a conversation", openapi_extra=body_schema(ChatBody, example))
    async def chat(request: Request) -> Response:
        body = read_body(ChatBody, parsed_json(await request.body(), service.limits), NEUTRAL)
        served = run_of_model(service, body.model)
        talker = talker_of(served)
        completion = Completion(served.name, with_usage=body.wants_usage)
        seconds = service.limits.answer_seconds
        if not body.stream:
            reply = await bounded(request, service, answered(service, served, talker, body), seconds)
            return JSONResponse(completion.whole(reply.text, finish_of(reply), counts_of(reply)))
        job, pieces = await bounded(request, service, started(service, served, talker, body), seconds)
        events = streamed(service, completion, job, pieces)
        return StreamingResponse(events, media_type="text/event-stream")

    return routes


def talker_of(served: ServedRun) -> Talker:
    """What answers the conversations of a run.

    Raises:
        Refusal: If the run does not answer in words (400).
    """
    if served.talker is None:
        can = ", ".join(served.capabilities)
        raise Refusal(400, f"the run '{served.name}' does not answer in words. It can: {can}", param="model")
    return served.talker


async def answered(service: Service, served: ServedRun, talker: Talker, body: ChatBody) -> api.Reply:
    """The finished answer to a request."""
    with served.admitted(1):
        return await talker.answer(await prepared(service, talker, body))


async def started(
    service: Service, served: ServedRun, talker: Talker, body: ChatBody
) -> tuple[Job, AsyncGenerator[str, None]]:
    """The answer to a request, which waits for its turn, and its pieces."""
    with served.admitted(1):
        job = await prepared(service, talker, body)
        return job, await talker.start(job)


async def prepared(service: Service, talker: Talker, body: ChatBody) -> Job:
    """The answer to a request, ready to be made.

    Raises:
        Refusal: If the request holds more than it may, or media that cannot be read (400).
    """
    count, most = media_in(body.messages), service.limits.media_per_request
    if count > most:
        raise Refusal(400, f"{count} media, expected at most {most} in a request", param="messages")
    decoding = decoding_of(body, talker.run, service.limits.answer_tokens)
    addresses = await service.fetcher.fetch_all(addresses_in(body.messages))
    messages = read_messages(body.messages, addresses, talker.run.generation.system)
    try:
        return await talker.prepare(messages, decoding, body.stops)
    except api.PolymodalError as error:
        raise Refusal(400, service.without_paths(str(error)), param="messages") from None


async def streamed(
    service: Service, completion: Completion, job: Job, pieces: AsyncGenerator[str, None]
) -> AsyncIterator[str]:
    """The events of an answer; closed by the server when the client goes, which cancels the answer."""
    try:
        async with asyncio.timeout(service.limits.answer_seconds):
            yield completion.first()
            async for piece in pieces:
                yield completion.piece(piece)
    except Exception as error:
        yield event(error_of(service, error))
        return
    finally:
        await pieces.aclose()
    yield completion.last(finish_of(job.reply))
    if completion.with_usage:
        yield completion.counted(counts_of(job.reply))
    yield DONE


def error_of(service: Service, error: Exception) -> dict[str, object]:
    """The body of an error in the middle of a stream, whose status is sent already."""
    if isinstance(error, TimeoutError):
        seconds = service.limits.answer_seconds
        reason = f"no answer after {seconds:g} seconds. Request fewer tokens, or send it again later"
        return openai_error_body(HTTPStatus.GATEWAY_TIMEOUT, reason)
    LOG.error("%s", PATH, exc_info=error)
    known = isinstance(error, api.PolymodalError)
    reason = service.without_paths(str(error)) if known else "the server failed, as its log describes"
    return openai_error_body(HTTPStatus.INTERNAL_SERVER_ERROR, reason)


def finish_of(reply: api.Reply) -> str:
    """Why an answer ended, in OpenAI's words."""
    return "length" if reply.finish == "length" else "stop"


def counts_of(reply: api.Reply) -> api.JsonObject:
    """The numbers of tokens of a prompt and its answer."""
    return usage(reply.prompt_tokens, reply.tokens)
