"""Search: an index of many clustered vectors, how long it takes to build, what it finds and how fast.

    taskset -c 0,1 python benchmarks/search.py --vectors 1000000

Real embeddings cluster, so the vectors are drawn around 10,000 centres, a hundred around each, and so are the
queries; independent noise is no test of an index. They are written as `polymodal index`
writes what a model embeds, and searched as `polymodal search` searches, without a model. Plain is the exact
product with all vectors in memory by NumPy, and the ten largest of it. What is found is compared with it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from polymodal.search.index import Index
from polymodal.search.index_writing import Block, Writer
from polymodal.search.manifest import Manifest

K = 10
INPUT = "item"
FLOORS = {"recall": 0.95, "milliseconds": 20.0}
"""What is promised of a million vectors on two cores."""


@dataclass(frozen=True)
class Clusters:
    """Unit vectors around unit centres.

    Attributes:
        centres: ``(centres, width)``.
        spread: Length of what is added to a centre, on average.
    """

    centres: np.ndarray
    spread: float

    @classmethod
    def drawn(cls, count: int, width: int, spread: float) -> Clusters:
        """Centres that are drawn evenly from all directions."""
        centres = np.random.default_rng(0).standard_normal((count, width), dtype=np.float32)
        return cls(centres / np.linalg.norm(centres, axis=1, keepdims=True), spread)

    def draw(self, count: int, seed: int) -> np.ndarray:
        """``(count, width)``, the same for the same seed."""
        random = np.random.default_rng((1, seed))
        width = self.centres.shape[1]
        noise = random.standard_normal((count, width), dtype=np.float32)
        found = self.centres[random.integers(len(self.centres), size=count)]
        found = found + np.float32(self.spread / width**0.5) * noise
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def pieces(clusters: Clusters, count: int, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """All vectors, piece by piece, each with the place of its first."""
    for start in range(0, count, size):
        yield start, clusters.draw(min(size, count - start), seed=start)


def build(folder: Path, clusters: Clusters, count: int, batch: int) -> float:
    """Write an index of ``count`` vectors to ``folder``; returns the seconds it took."""
    width = clusters.centres.shape[1]
    manifest = Manifest(model="", run="", width=width, inputs={INPUT: "text"}, shared=False)
    seconds = 0.0
    with Writer(folder, manifest) as writer:
        for start, vectors in pieces(clusters, count, batch):
            began = time.perf_counter()  # drawing them is no part of it
            numbers = np.arange(start, start + len(vectors)) + 1
            none = [b""] * len(vectors)
            writer.add(Block([str(n) for n in numbers], numbers, none, none, {}, {INPUT: vectors}))
            seconds += time.perf_counter() - began
        began = time.perf_counter()
        writer.finish()
        return seconds + time.perf_counter() - began


def plain(clusters: Clusters, count: int, batch: int, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of each query's nearest, ``(queries, K)``, and the milliseconds that each took."""
    vectors = np.concatenate([drawn for _, drawn in pieces(clusters, count, batch)])
    nearest, spent = [], []
    for query in queries:
        began = time.perf_counter()
        scores = vectors @ query
        best = np.argpartition(-scores, K)[:K]
        nearest.append(best + 1)
        spent.append(1000 * (time.perf_counter() - began))
    return np.stack(nearest), np.array(spent)


def ours(folder: Path, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of the index."""
    index = Index.open(folder)
    index.search(vector=queries[0], k=K)  # opens its files
    nearest, spent = [], []
    for query in queries:
        began = time.perf_counter()
        found = index.search(vector=query, k=K)
        spent.append(1000 * (time.perf_counter() - began))
        nearest.append(found["row"].to_numpy())
    return np.stack(nearest), np.array(spent)


def shared(found: np.ndarray, wanted: np.ndarray) -> float:
    """The share of ``wanted`` ``(queries, K)`` that is in ``found``."""
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found, wanted, strict=True)]))


def peak() -> float:
    """The most memory that this process held so far, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most / 1e3


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Build, ask and print."""
    clusters = Clusters.drawn(options.centres, options.width, options.spread)
    before = peak()
    seconds = build(folder, clusters, options.vectors, options.batch)
    built = peak()
    queries = clusters.draw(options.queries, seed=options.vectors + 1)
    found, spent = ours(folder, queries)
    wanted, reference = plain(clusters, options.vectors, options.batch, queries)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    ann = Index.open(folder).manifest.ann.get(INPUT)
    print(f"{options.vectors} vectors of {options.width} dimensions around {options.centres} centres")
    how = "exact" if ann is None else f"{ann['partitions']} partitions, refined {ann['refine']} times"
    print(f"searched: {how}")
    print(f"built in {seconds:.1f} s, {size / 1e6:.0f} MB on disk")
    print(f"peak memory {built:.0f} MB, of which {before:.0f} before")
    if ann is not None:
        print(f"recall@{K} that the index measured itself: {ann['recall']:.4f}")
    print(f"recall@{K} against exact: {shared(found, wanted):.4f} (floor {FLOORS['recall']})")
    print(f"{'ms a query':12}{'median':>10}{'p95':>10}   ({options.queries} queries)")
    for name, times in (("ours", spent), ("plain", reference)):
        print(f"{name:12}{np.median(times):10.2f}{np.quantile(times, 0.95):10.2f}")
    print(f"ours/plain {np.median(spent) / np.median(reference):.3f} (floor {FLOORS['milliseconds']:g} ms)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--centres", type=int, default=10_000)
    parser.add_argument(
        "--spread", type=float, default=0.5, help="cosine to the centre is about 1 / √(1 + spread²)"
    )
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4096, help="vectors handed on at once")
    parser.add_argument("--output", type=Path, help="keep the index in this folder")
    parser.add_argument("--smoke", action="store_true", help="few vectors, to see that it runs")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.vectors, options.centres, options.queries, options.width = 3000, 30, 10, 16
    with TemporaryDirectory() as folder:
        measure(options, options.output or Path(folder) / "index")


if __name__ == "__main__":
    main()
