"""Replay through the service: a process of its own on a free port of this machine, over HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from polymodal.config import Declaration
from polymodal.config.parsing import load_yaml
from polymodal.errors import RunError, one_line
from polymodal.utils.records import JsonObject
from polymodal.verification.paths import NOT_REPLAYED, PathResult, Replay, tolerance_on

NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart",
          "prometheus_client": "prometheus-client"}  # fmt: skip
"""Modules of the extra, and the packages that hold them."""
STARTING, ANSWERING = 300.0, 120.0
"""Seconds until the service takes requests, and for one answer: a large model on a busy machine."""
ADDRESS = re.compile(r" at (http://\S+:\d+) ")
TOKEN = "POLYMODAL_TOKEN"
"""The variable with the token of a service: that of a user's own is not the one of this one."""
SECTIONS = ("values", "probabilities", "intervals", "missing", "vector")
"""What the service answers."""


def through_service(replay: Replay) -> Iterator[PathResult]:
    """The run as ``polymodal serve`` answers, one request per row."""
    declaration = load_yaml(replay.folder / "run.yaml")
    reason = _lacking() or _not_served(declaration)
    if reason:
        yield PathResult("service", NOT_REPLAYED, reason=reason)
        return
    route = "predict" if "values" in replay.samples.rows[0].answer else "embed"
    sequences = [name for name, config in declaration.inputs.items() if config.modality == "sequence"]
    rows = replay.samples.embedded(sequences)
    with running(replay.folder) as address:
        answers = [
            _answer(address, route, row, sample.row)
            for row, sample in zip(rows, replay.samples.rows, strict=True)
        ]
    tolerance, where = tolerance_on(_device(replay), replay.samples)
    yield replay.judged("service", answers, tolerance=tolerance, sections=SECTIONS, reason=where)


def _lacking() -> str:
    """Which package of the extra is not installed, in words; empty if all are."""
    lacking = [name for module, name in NEEDED.items() if find_spec(module) is None]
    return f"{lacking[0]} is not installed: pip install 'polymodal[serve]'" if lacking else ""


def _not_served(declaration: Declaration) -> str:
    """Why the service cannot answer the rows of a run, in words; empty if it can."""
    generation = declaration.generation
    if generation is None:
        return ""
    if generation.messages:
        return "the service answers messages in OpenAI's form, which samples/ does not have"
    drawn = "its words are drawn by chance (generation.decoding.sample)"
    return drawn if generation.decoding.sample else ""


def _device(replay: Replay) -> str:
    """What the service computes on: what it would be in this process."""
    if replay.samples.device == "cpu":
        return "cpu"
    from polymodal.utils.device import find_device

    return find_device(None).type


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a service of the run in ``folder``; it is ended with the block.

    Raises:
        RunError: If it does not start.
    """
    command = [sys.executable, "-m", "polymodal", "serve", str(folder), "--port", "0", "--decoders", "1"]
    environment = {name: value for name, value in os.environ.items() if name != TOKEN}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8", env=environment
        )
        try:
            yield _address(process, errors)
        finally:
            process.terminate()
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _address(process: subprocess.Popen[str], errors: IO[str]) -> str:
    """The address that the service prints once it takes requests.

    Raises:
        RunError: If it ends before, or takes too long.
    """
    assert process.stdout is not None
    late = Timer(STARTING, process.kill)
    late.start()
    try:
        for line in process.stdout:
            if match := ADDRESS.search(line):
                return match[1]
    finally:
        late.cancel()
    process.wait()
    errors.seek(0)
    last = (errors.read().strip().splitlines() or [f"no line within {STARTING:.0f} seconds"])[-1]
    raise RunError(f"the service did not start ({one_line(last.removeprefix('error: '), 200)})")


def _answer(address: str, route: str, row: JsonObject, number: int) -> JsonObject:
    """The answer of the service to a row.

    Raises:
        RunError: If it is an error.
    """
    body: JsonObject = {"rows": [row]}
    if route == "predict":
        body["probabilities"] = True
    content = _post(f"{address}/{route}", body, number)
    if route == "embed":
        return {"vector": content["vectors"][0]}
    (answer,) = content["answers"]
    if "error" in answer:
        raise RunError(f"row {number}: {one_line(str(answer['error'].get('message')), 200)}")
    return {name: value for name, value in answer.items() if value is not None}


def _post(url: str, body: JsonObject, number: int) -> dict[str, list[dict[str, JsonObject]]]:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=ANSWERING) as answer:
            content = json.load(answer)
    except HTTPError as error:
        raise RunError(f"row {number}: status {error.code}: {_message(error)}") from None
    except (URLError, OSError, ValueError) as error:
        raise RunError(f"row {number}: no answer ({one_line(str(error), 200)})") from None
    return dict(content)


def _message(error: HTTPError) -> str:
    try:
        return one_line(str(json.load(error)["error"]["message"]), 200)
    except (ValueError, LookupError, TypeError):
        return one_line(str(error.reason), 200)
