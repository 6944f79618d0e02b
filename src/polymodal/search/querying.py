"""The vector of a query, by the model that made the index, and the inputs that it is compared with."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.artifact.run_folder import neural_folder
from polymodal.data.media.cells import describe, is_empty
from polymodal.data.readers import TextReader
from polymodal.errors import ConfigError, DataError, Problem, RunError, option, worded
from polymodal.runs.encode_items import as_cells, encode, input_of, inputs_read
from polymodal.runs.prediction_run import PredictionRun
from polymodal.search.fingerprints import model_digest
from polymodal.search.index_building import check_model
from polymodal.search.manifest import QUERIES, Manifest


@dataclass(frozen=True)
class Asked:
    """A query: exactly one of the fields is set."""

    query: Any = None
    text: Any = None
    image: Any = None
    audio: Any = None
    video: Any = None
    vector: Any = None

    @property
    def given(self) -> str:
        """The name of the field that is set.

        Raises:
            ConfigError: If it is none, or more than one.
        """
        names = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        if len(names) != 1:
            several = " and ".join(names) or "nothing"
            raise ConfigError(f"{several} to search for, expected one of {', '.join(QUERIES)}")
        return names[0]


class QueryMaker:
    """Makes queries for one index.

    Args:
        folder: Of the index.
        manifest: Of the index.
        run: That made it, or its folder; by default the recorded folder. It is loaded for the first query.
    """

    def __init__(self, folder: Path, manifest: Manifest, run: PredictionRun | str | Path | None) -> None:
        self.folder, self.manifest = folder, manifest
        self._given = run
        self._run: PredictionRun | None = None

    def run(self) -> PredictionRun:
        """The run that made the index.

        Raises:
            RunError: If it is not to be found, or is another one.
        """
        if self._run is None:
            self._run = self._load()
            check_model(self.folder, self.manifest, self._run, model_digest(self._run))
        return self._run

    def _load(self) -> PredictionRun:

        if isinstance(self._given, PredictionRun):
            return self._given.fused
        if self._given is not None:
            return PredictionRun.load(neural_folder(Path(self._given)))
        folder = self.manifest.run_folder(self.folder)
        if not folder.is_dir():
            raise RunError(
                f"{self.folder}: its run is no longer in {folder}. Say where it is with {option('run')}"
            )
        return PredictionRun.load(neural_folder(folder))

    def vector(self, asked: Asked, input: str | None) -> tuple[np.ndarray, list[str]]:
        """The query's vector ``(width,)``, padded like the stored ones, and the inputs to search.

        Raises:
            DataError: If the query is empty, or its file cannot be read.
            RunError: If the run has no such input, or ``input`` cannot be compared with it.
        """
        given = asked.given
        if given == "vector":
            if not self.manifest.shared and input is None and len(self.manifest.inputs) > 1:
                raise RunError(f"{self.folder}: {self._apart}, so that a vector needs one to be looked in")
            return self._stored(_checked(asked.vector, self.manifest.width)), self._searched(input)
        run = self.run()
        cells = self._cells(run, asked, given, input)
        if not self.manifest.shared:
            self._refuse_others(list(cells), input)
            input = next(iter(cells))
        try:
            vector = encode(run, [cells])[0]
        except DataError as error:
            raise DataError([_of_query(problem) for problem in error.problems]) from None
        return self._stored(vector), self._searched(input)

    def _cells(self, run: PredictionRun, asked: Asked, given: str, input: str | None) -> dict[str, object]:
        item = getattr(asked, given)
        if given == "query":
            return as_cells(run, item)
        if is_empty(item):
            raise DataError(Problem(file="the query", found="it is empty", expected=f"{given} to search for"))
        same = input is not None and self.manifest.inputs[input] == given
        name = input if same else input_of(run, given)
        if name is None:
            raise RunError(f"{run.folder}: reads no {given}, only {inputs_read(run)}")
        if given != TextReader.modality:
            _check_file(item)
        return {str(name): item}

    def _refuse_others(self, names: list[str], input: str | None) -> None:
        """Without a shared space, an input can only be compared with itself."""
        others = [name for name in names if name != (input or names[0])]
        if not others:
            return
        named = f"'{others[0]}' with '{input or names[0]}'"
        raise RunError(
            f"{self.folder}: {self._apart}: {named} cannot be compared. Make a run with "
            f"{worded('polymodal pretrain', 'pm.pretrain')} "
            "and the objective contrastive or sigmoid, and an index of it"
        )

    @property
    def _apart(self) -> str:
        return "the vectors of its inputs do not lie in one space"

    def _searched(self, input: str | None) -> list[str]:
        return list(self.manifest.inputs) if input is None else [input]

    @staticmethod
    def _stored(vector: np.ndarray) -> np.ndarray:
        from polymodal.search.index_writing import MULTIPLE

        return np.pad(vector, (0, -len(vector) % MULTIPLE))


def _checked(vector: Any, width: int) -> np.ndarray:
    numbers = np.asarray(vector, dtype=np.float32)
    if numbers.shape != (width,) or not np.isfinite(numbers).all() or not numbers.any():
        shape = " x ".join(map(str, numbers.shape)) or "none"
        raise ConfigError(f"a vector of shape {shape}, expected {width} numbers, not all zero")
    return numbers


def _check_file(item: Any) -> None:
    """Check the file of a query; its path is relative to the current folder.

    Raises:
        DataError: If there is no such file.
    """
    is_path = isinstance(item, os.PathLike) or (isinstance(item, str) and item[:5].lower() != "data:")
    if is_path and "://" not in str(item)[:12] and not os.path.exists(item):
        raise DataError(
            Problem(file=describe(str(item)), found="there is no such file", cure=f"Looked in {Path.cwd()}.")
        )


def _of_query(problem: Problem) -> Problem:
    return Problem(
        file="the query", column=problem.column, found=problem.found, expected=problem.expected,
        cure=problem.cure.replace(", or leave the cell empty", ""),
    )  # fmt: skip
