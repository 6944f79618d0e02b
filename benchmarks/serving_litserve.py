"""The service beside LitServe with the same model: requests per second of one row each.

    pip install --target FOLDER litserve; PYTHONPATH=FOLDER python benchmarks/serving_litserve.py [--rounds 3]

Both get the same run of a text and a picture (that of `serving.py`), one process and one thread for the model
on core 0, batches of at most 64 rows, and the same clients on core 1: 64 that each send the next request once
the last is answered. The rest is as each of them works: the service has its HTTP server beside the model and
decodes in processes on core 1; LitServe has its HTTP server on core 1 and decodes beside the model. It waits
`--wait` seconds for a batch to fill, the best of those that are tried first. Then the two take turns; printed
are the medians and that of the ratios (goal ≥ 1.2). All answers are compared with the offline ones.
"""

import argparse
import asyncio
import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx2 as httpx
import pandas as pd
from litserve import LitAPI, LitServer
from serving import BATCH, TOLERANCE, WAITING, Server, make_run, request_of, table_of

import polymodal
from polymodal.runs.row_reading import read_row
from polymodal.runs.single_rows import answer_rows


class Answers(LitAPI):
    """The run at ``folder``, one row per request, as LitServe calls it."""

    folder: Path

    def setup(self, device: str) -> None:
        import torch

        torch.set_num_threads(1)
        os.sched_setaffinity(0, {0})
        self.run = polymodal.load(self.folder, device=device)

    def decode_request(self, request: dict[str, Any]) -> Any:
        row = request["rows"][0]
        photo = base64.b64decode(row["photo"].partition(",")[2])
        return read_row(self.run.reading, {**row, "photo": photo}).row

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, inputs: list[Any]) -> list[Any]:
        return list(answer_rows(self.run, inputs))

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return {"answers": [output]}


def serve(folder: Path, port: int, wait: float) -> None:
    """A server of LitServe on ``port``, in this process and one for the model."""
    api = Answers(max_batch_size=BATCH, batch_timeout=wait)
    api.folder = folder
    server = LitServer(api, accelerator="cpu", timeout=120)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


class LitServe:
    """LitServe in processes of its own: its HTTP server on core 1, the model on core 0."""

    def __init__(self, run: Path, wait: float) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, __file__, "--serve", str(port), "--run", str(run), "--wait", str(wait)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        self._until_ready()
        last = max(os.sched_getaffinity(0))
        for pid in processes(self.process.pid):
            if os.sched_getaffinity(pid) != {0}:  # the model has put itself on core 0
                for task in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(task.name), {last})

    def _until_ready(self) -> None:
        for _ in range(600):
            try:
                if httpx.get(f"{self.address}/health").status_code == 200:
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, "LitServe ended"
            time.sleep(0.2)
        raise TimeoutError("LitServe is not ready after two minutes")

    def stop(self) -> None:
        """End all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def processes(pid: int) -> list[int]:
    """A process and all that it has started."""
    started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in started for each in processes(int(child)))]


async def per_second(
    address: str, requests: Sequence[dict[str, Any]], offline: Sequence[float], seconds: float
) -> float:
    """Requests per second of as many clients as are to wait, each answer compared with the offline one."""
    done, ends = 0, time.perf_counter() + seconds

    async def client(session: httpx.AsyncClient, first: int) -> None:
        nonlocal done
        while time.perf_counter() < ends:
            number = (first + done) % len(requests)
            answer = await session.post("/predict", json=requests[number])
            value = answer.raise_for_status().json()["answers"][0]["probabilities"]["kind"]["a"]
            assert abs(value - offline[number]) <= TOLERANCE, (value, offline[number])
            done += 1

    limits, begun = httpx.Limits(max_connections=WAITING), time.perf_counter()
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as session:
        await asyncio.gather(*(client(session, number) for number in range(WAITING)))
    return done / (time.perf_counter() - begun)


def compare(run: Path, rounds: int, seconds: float, waits: Sequence[float]) -> None:
    """Print requests per second of both, and the ratio."""
    frame: pd.DataFrame = table_of(run)
    requests = [request_of(row) | {"probabilities": True} for row in frame.to_dict("records")]
    answers = polymodal.load(run, device="cpu").predict(frame, probabilities=True, quiet=True)
    offline = answers["kind_probability_a"].tolist()

    def measured(server: Any) -> float:
        try:
            asyncio.run(per_second(server.address, requests, offline, 3.0))  # warm
            return asyncio.run(per_second(server.address, requests, offline, seconds))
        finally:
            server.stop()

    cores = os.sched_getaffinity(0)

    def turn(make: Any) -> float:
        os.sched_setaffinity(0, cores)
        server = make()
        os.sched_setaffinity(0, {max(cores)})
        return measured(server)

    tried = {wait: turn(lambda wait=wait: LitServe(run, wait)) for wait in waits}
    best = max(tried, key=tried.__getitem__)
    print("LitServe by seconds of waiting: " + ", ".join(f"{k:g} s {v:.1f}/s" for k, v in tried.items()))
    pairs = [(turn(lambda: Server(run)), turn(lambda: LitServe(run, best))) for _ in range(rounds)]
    ours, theirs = (median(side) for side in zip(*pairs, strict=True))
    ratio = median(one / other for one, other in pairs)
    print(f"service {ours:.1f}/s   LitServe {theirs:.1f}/s   ratio {ratio:.2f} (goal ≥ 1.2)")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="made by serving.py, with its table beside it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of a turn")
    parser.add_argument("--wait", type=float, nargs="*", default=[0.001, 0.01, 0.05], help="of LitServe")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.serve:
        serve(asked.run, asked.serve, asked.wait[0])
        return
    with TemporaryDirectory() as folder:
        compare(asked.run or make_run(Path(folder) / "made"), asked.rounds, asked.seconds, asked.wait)


if __name__ == "__main__":
    main()
