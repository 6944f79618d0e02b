"""The service: rows per second against the model alone, what waiting costs, and hours of abuse in minutes.

    python benchmarks/serving.py batcher [--rounds 5]     no HTTP: batches over requests, and a lone request
    python benchmarks/serving.py load [--clients 200] [--seconds 180]     a live server, hostile clients too

A run of made texts and pictures is fitted first, in a temporary folder (`--run` takes one of its kind). The
model computes with one thread on core 0, clients and decoders on core 1; `batcher` alternates with the model
alone, which computes the same rows in batches of the same size, and prints ratios of medians. Goals: at
saturation at least 0.95 of the model alone; a lone request takes at most 0.3 ms (median) and 1 ms (p99) more.
`load`: no error but 503 and 4xx, every answer equal to the offline one, memory at the end at most 1.05 times
that after a third of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx2 as httpx
import numpy as np
import pandas as pd
from PIL import Image

import polymodal
from polymodal.runs.single_rows import answer_rows
from polymodal.serving.batching import Batcher

WORDS = ["red", "green", "blue", "dark", "light", "small", "large", "round"]
WAITING = 64
"""Requests that wait at a time, at saturation."""
BATCH, DECODERS = 64, 2
TOLERANCE = 1e-5
"""Largest difference of a probability to the offline answer."""


def make_run(folder: Path, rows: int = 200) -> Path:
    """A run that reads a text and a picture, fitted for one epoch; its table lies beside it."""
    draw = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    table = []
    for row in range(rows):
        path = folder / "pictures" / f"{row}.png"
        Image.fromarray(draw.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(path)
        note = " ".join(draw.choice(WORDS, 6))
        table.append({"photo": str(path), "note": note, "kind": "ab"["red" in note]})
    pd.DataFrame(table).to_csv(folder / "table.csv", index=False)
    polymodal.fit(
        folder / "table.csv", target="kind", inputs=["photo", "note"], output=folder / "run", epochs=1,
        settings={"report.write": False, "train.candidates": ["fused"], "data.media_anywhere": True},
        quiet=True,
    )  # fmt: skip
    return folder / "run"


def table_of(run: Path) -> pd.DataFrame:
    """The rows beside a run of :func:`make_run`."""
    return pd.read_csv(run.parent / "table.csv")


# --- without HTTP -----------------------------------------------------------------------------------------


def read_rows(run: Any, frame: pd.DataFrame) -> list[Any]:
    """Rows as the service hands them to the model."""
    from polymodal.runs.row_reading import read_row

    cells = (
        {**row, "photo": Path(row["photo"]).read_bytes()}
        for row in frame[["photo", "note"]].to_dict("records")
    )
    return [read_row(run.reading, each).row for each in cells]


async def saturated(compute: Any, rows: Sequence[Any], thread: ThreadPoolExecutor, seconds: float) -> float:
    """Rows per second with :data:`WAITING` requests of one row each at a time."""
    batcher: Batcher[Any, Any] = Batcher(compute, thread, most_items=BATCH)
    ends, done = time.perf_counter() + seconds, 0

    async def client(first: int) -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await batcher.submit([rows[(first + done) % len(rows)]])
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(WAITING)))
    return done / (time.perf_counter() - begun)


async def alone(compute: Any, rows: Sequence[Any], thread: ThreadPoolExecutor, seconds: float) -> float:
    """Rows per second of the model in batches of as many rows as wait at saturation."""
    batch = [rows[number % len(rows)] for number in range(min(BATCH, WAITING))]

    def run() -> float:
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            compute(batch)
            done += len(batch)
        return done / (time.perf_counter() - begun)

    return await asyncio.get_running_loop().run_in_executor(thread, run)


async def lone(compute: Any, rows: Sequence[Any], thread: ThreadPoolExecutor, count: int) -> np.ndarray:
    """Milliseconds of lone requests, and of the same in the model's thread without the batcher, in turns."""
    batcher: Batcher[Any, Any] = Batcher(compute, thread, most_items=BATCH)
    loop, spent = asyncio.get_running_loop(), []
    for number in range(count):
        row = [rows[number % len(rows)]]
        begun = time.perf_counter()
        await batcher.submit(row)
        between = time.perf_counter()
        await loop.run_in_executor(thread, compute, row)
        spent.append((between - begun, time.perf_counter() - between))
    return 1000 * np.array(spent)


def bench_batcher(folder: Path, rounds: int, seconds: float, count: int) -> None:
    import torch

    torch.set_num_threads(1)
    run = polymodal.load(folder, device="cpu")
    rows = read_rows(run, table_of(folder))
    thread = ThreadPoolExecutor(1, initializer=lambda: os.sched_setaffinity(0, {0}))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    def compute(batch: Sequence[Any]) -> list[Any]:
        return answer_rows(run, batch)

    async def measure() -> None:
        await alone(compute, rows, thread, 1.0)  # warm
        pairs = [
            (await saturated(compute, rows, thread, seconds), await alone(compute, rows, thread, seconds))
            for _ in range(rounds)
        ]
        ours, model = (median(side) for side in zip(*pairs, strict=True))
        ratio = median(one / other for one, other in pairs)
        print(
            f"saturation    {ours:8.1f} rows/s   model alone {model:8.1f}   ratio {ratio:.3f} (goal ≥ 0.95)"
        )
        spent = await lone(compute, rows, thread, count)
        for name, share, goal in (("p50", 50, 0.3), ("p99", 99, 1.0)):
            ours, direct = np.percentile(spent, share, axis=0)
            print(
                f"lone request  {name} {ours:8.3f} ms   direct {direct:8.3f}   "
                f"adds {ours - direct:+.3f} ms (goal ≤ {goal})"
            )

    asyncio.run(measure())


# --- a live server ----------------------------------------------------------------------------------------


class Server:
    """`polymodal serve` in a process of its own, on core 0; its decoders on core 1."""

    def __init__(self, run: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [
            sys.executable,
            "-m",
            "polymodal",
            "serve",
            str(run),
            "--port",
            str(port),
            "--threads",
            "1",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and "Serving" in self.process.stdout.readline()
        while len(self.decoders()) < DECODERS:
            time.sleep(0.05)
        cores = sorted(os.sched_getaffinity(0))
        pids = [self.process.pid, *self.decoders()]
        for pid in pids:
            core = cores[0] if pid == self.process.pid else cores[-1]
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {core})

    def decoders(self) -> list[int]:
        """Its processes that decode, each started by a thread of its own."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        pids = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
        return [pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def resident(self) -> float:
        """Megabytes in memory, of all its processes."""
        pages = (
            int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            for pid in [self.process.pid, *self.decoders()]
        )
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self) -> int:
        """End it as a supervisor does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def request_of(row: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a row, its picture as a data URI."""
    content = base64.b64encode(Path(row["photo"]).read_bytes()).decode()
    return {"rows": [{"photo": f"data:image/png;base64,{content}", "note": row["note"]}]}


HOSTILE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("no JSON", {"content": b"{", "headers": {"content-type": "application/json"}}),
    ("nested", {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}),
    ("unknown input", {"json": {"rows": [{"photos": None}]}}),
    ("truncated picture", {"json": {"rows": [{"photo": "data:image/png;base64,iVBORw0KGgo="}]}}),
    ("local path", {"json": {"rows": [{"photo": "/etc/passwd"}]}}),
    ("too many rows", {"json": {"rows": [{}] * 10_000}}),
    ("other host", {"json": {"rows": [{}]}, "headers": {"host": "example.org"}}),
)
"""Requests that are refused, or whose row fails alone."""


class Load:
    """Clients of a live server, for some seconds.

    Args:
        server: Live.
        requests: Of honest clients.
        offline: The answers to them.

    Attributes:
        seen: How many requests ended how.
        worst: The largest difference to the offline answers.
        memory: Of the server in MB, by share of the time.
    """

    def __init__(self, server: Server, requests: Sequence[dict[str, Any]], offline: pd.DataFrame) -> None:
        self.server, self.requests, self.offline = server, requests, offline
        self.seen: Counter[str] = Counter()
        self.worst, self.memory = 0.0, dict[float, float]()

    async def honest(self, client: httpx.AsyncClient, ends: float) -> None:
        while time.perf_counter() < ends:
            number = random.randrange(len(self.requests))
            answer = await client.post("/predict", json=self.requests[number] | {"probabilities": True})
            self.seen[f"honest {answer.status_code}"] += 1
            if answer.status_code == 503:
                await asyncio.sleep(float(answer.headers["retry-after"]))
            elif answer.status_code == 200:
                for label, value in answer.json()["answers"][0]["probabilities"]["kind"].items():
                    offline = self.offline[f"kind_probability_{label}"].iloc[number]
                    self.worst = max(self.worst, abs(value - offline))

    async def hostile(self, client: httpx.AsyncClient, ends: float) -> None:
        while time.perf_counter() < ends:
            name, options = random.choice(HOSTILE)
            answer = await client.post("/predict", **options)
            self.seen[f"{name} {answer.status_code}"] += 1
            await asyncio.sleep(0.5)

    async def leaving(self, ends: float) -> None:
        """Goes in the middle of the body, or before the answer."""
        port = int(self.server.address.rpartition(":")[2])
        while time.perf_counter() < ends:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            content = json.dumps(random.choice(self.requests)).encode()
            lines = ["POST /predict HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
            head = "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""])
            writer.write(head.encode() + content[: random.choice([10, len(content)])])
            await writer.drain()
            writer.close()
            self.seen["left"] += 1
            await asyncio.sleep(0.5)

    async def watch(self, begun: float, seconds: float) -> None:
        for share in (1 / 3, 0.99):
            await asyncio.sleep(max(0.0, begun + share * seconds - time.perf_counter()))
            self.memory[share] = self.server.resident()

    async def run(self, clients: int, seconds: float) -> float:
        """Seconds until all clients have their last answer."""
        begun = time.perf_counter()
        ends, few = begun + seconds, max(1, clients // 20)
        limits = httpx.Limits(max_connections=clients + 10)
        async with httpx.AsyncClient(base_url=self.server.address, timeout=120, limits=limits) as client:
            jobs = [self.honest(client, ends) for _ in range(clients - 2 * few)]
            jobs += [self.hostile(client, ends) for _ in range(few)]
            jobs += [self.leaving(ends) for _ in range(few)]
            await asyncio.gather(self.watch(begun, seconds), *jobs)
        return time.perf_counter() - begun


def bench_load(folder: Path, clients: int, seconds: float) -> None:
    run, frame = polymodal.load(folder, device="cpu"), table_of(folder)
    offline = run.predict(frame, probabilities=True, quiet=True)
    load = Load(Server(folder), [request_of(row) for row in frame.to_dict("records")], offline)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        spent = asyncio.run(load.run(clients, seconds))
    finally:
        status = load.server.stop()
    answered = load.seen["honest 200"]
    ends = {key: key.rpartition(" ")[2] for key in load.seen}
    bad = {key: load.seen[key] for key, end in ends.items() if end.startswith("5") and end != "503"}
    print(
        f"{clients} clients, {spent:.0f} s: {answered} answers, {answered / spent:.1f} per second; "
        f"exit status {status}"
    )
    print("by kind: " + ", ".join(f"{key}: {count}" for key, count in sorted(load.seen.items())))
    print(f"errors of the server (goal none): {bad or 'none'}")
    print(f"largest difference to the offline answer {load.worst:.1e} (goal ≤ {TOLERANCE:.0e})")
    early, late = load.memory.values()
    print(f"memory {early:.0f} → {late:.0f} MB, ratio {late / early:.3f} (goal ≤ 1.05)")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["batcher", "load"])
    parser.add_argument("--run", type=Path, help="of this script, with its table beside it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="of a turn (10), or of the load (180)")
    parser.add_argument("--requests", type=int, default=1000, help="lone ones")
    parser.add_argument("--clients", type=int, default=200)
    asked = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        run = asked.run or make_run(Path(folder) / "made")
        if asked.part == "batcher":
            bench_batcher(run, asked.rounds, asked.seconds or 10, asked.requests)
        else:
            bench_load(run, asked.clients, asked.seconds or 180)


if __name__ == "__main__":
    main()
