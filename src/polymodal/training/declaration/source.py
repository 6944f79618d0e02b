"""Where a fit reads from: a table, or a declaration and the tables that it names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymodal.config import DataConfig, Declaration
from polymodal.config.overrides import apply_settings, read_yaml
from polymodal.config.parsing import located, parse
from polymodal.data.checks.rejected import SKIP
from polymodal.data.tables.table import BLOCK, Table, read_table
from polymodal.data.values.missing import Marks
from polymodal.errors import ConfigError, RunError, option, worded
from polymodal.training.recorded_metrics import FitResults
from polymodal.training.request import FitRequest
from polymodal.utils.expansion import expanded

YAML = (".yaml", ".yml")
MEMORY = "memory"
"""Key of the digest of a table in memory."""
PATHS = ("train", "validation", "test", "root")
"""Keys of the section ``data`` that may hold a path."""


def read_declared(source: Any) -> tuple[dict[str, Any], dict[tuple, int], Path | None]:
    """The sections of a declaration with the lines of their keys and its folder; nothing where it is none."""
    if isinstance(source, (str, Path)) and str(source).lower().endswith(YAML):
        values, lines = read_yaml(Path(source))
        return values, lines, Path(source).parent
    return {}, {}, None


@dataclass
class Declared:
    """The sections of a declaration with the settings of a request over them, before they are completed.

    Attributes:
        values: The sections.
        lines: Line of each key path; none where no file declares anything.
        folder: Of the file, from which its paths start.
        written: What messages call it; empty where no file declares anything.
        named: Inputs that settings alone name.
    """

    values: dict[str, Any]
    lines: dict[tuple, int]
    folder: Path | None
    written: str
    named: list[str]

    @property
    def prefix(self) -> str:
        """The file and a colon, before a message about it; empty where there is none."""
        return f"{self.written}: " if self.written else ""

    @property
    def is_of_run(self) -> bool:
        """Whether it is the ``run.yaml`` of a run folder."""
        return self.folder is not None and is_run_folder(self.folder)

    def answers_in_words(self, request: FitRequest) -> bool:
        """Whether a language model is to be trained."""
        has_templates = request.prompt is not None or request.answer is not None
        return has_templates or self.values.get("generation") is not None

    def table(self, request: FitRequest) -> Table:
        """The training table.

        Raises:
            ConfigError: If the section ``data`` names none.
            DataError: If it cannot be read.
        """
        with located(self.written, self.lines, "data"):
            path = train_source(request.source, self.values, self.folder)
        return read_declared_table(path, self.values.get("data") or {}, self.folder)

    def require_start(self) -> None:
        """Check that the run to start from is there, if one is declared.

        Raises:
            RunError: If it is not.
        """
        name = self.values.get("start")
        if isinstance(name, str):
            with located(self.written, self.lines, "start"):
                require_start_folder(resolve_start(name, self.folder))


def require_start_folder(folder: Path) -> None:
    """Check that there is a folder where a run to start from should be.

    Raises:
        RunError: If there is none.
    """
    if not os.path.isdir(folder):
        raise RunError(f"{folder}: no such run folder to start from")


def read_request(request: FitRequest) -> Declared:
    """The declaration of a request, which is read here and nowhere else, with its settings.

    Raises:
        ConfigError: If it cannot be read, or a setting is none.
    """
    values, lines, folder = read_declared(request.source)
    settings = request.all_settings
    named = [] if request.inputs or values.get("inputs") else list(named_inputs(settings))
    apply_settings(values, settings)
    if request.start is not None:
        values["start"] = str(request.start)
    return Declared(values, lines, folder, str(request.source) if lines else "", named)


def resumed(request: FitRequest) -> Declaration | None:
    """The declaration of the run in the folder of a request, if it is resumed and there is one."""
    written = request.folder / "run.yaml"
    if not (request.resume and written.is_file()):
        return None
    return parse(read_yaml(written)[0], source=str(written))


def named_inputs(settings: Sequence[str]) -> dict[str, None]:
    """The inputs that ``settings`` such as ``inputs.photo.size=32`` are about."""
    paths = [setting.partition("=")[0].split(".") for setting in settings]
    return {path[1]: None for path in paths if path[0] == "inputs" and len(path) > 2}


def train_source(source: Any, values: dict[str, Any], folder: Path | None) -> Any:
    """The training table: what was given, or what the declaration names.

    Variables and ``~`` in the paths of its tables are filled in, unless a run folder holds it.
    """
    section = values.get("data") or {}
    if not isinstance(section, dict):
        raise ConfigError(f"'data' is {section!r}, expected a section, such as data: {{train: houses.csv}}")
    if folder is None or not is_run_folder(folder):
        _fill_in(values)
        section = values.get("data") or {}
    named = section.get("train")
    if folder is not None:
        if not isinstance(named, str):
            reason = f"'data.train' is {named!r}" if named is not None else "'data.train' is missing"
            raise ConfigError(f"{reason}, expected the path of a table")
        return resolve(named, folder)
    if isinstance(source, (str, Path)):
        values["data"] = section | {"train": str(source)}
    return source


def read_declared_table(path: Any, data: DataConfig | Mapping[str, Any], folder: Path | None) -> Table:
    """Read the table at ``path`` with the settings of a declaration's section ``data``.

    Args:
        path: Anything that holds rows, see :func:`polymodal.data.tables.table.read_table`.
        data: The section; before it is parsed, values of a wrong type are ignored here.
        folder: Of the declaration, beside which ``data.root`` is searched first.

    Raises:
        DataError: If the table cannot be read.
    """
    given = data.model_dump() if isinstance(data, DataConfig) else data
    root = given.get("root")
    root = resolve(root, folder) if isinstance(root, str) else None
    texts = {key: text for key in ("sep", "encoding") if isinstance(text := given.get(key), str)}
    skip, anywhere = given.get("on_error") == SKIP, given.get("media_anywhere") is True
    table = read_table(path, skip=skip, root=root, media_anywhere=anywhere, **texts)
    marks = given.get("missing")
    return table.marking(Marks.of(marks if isinstance(marks, list | None) else [marks]))


def is_run_folder(folder: Path) -> bool:
    """Whether ``folder`` is a run folder, so that the paths in its ``run.yaml`` may be untrusted."""
    return (folder / "config.json").is_file()


def table_digests(
    declaration: Declaration, folder: Path | None, memory: Table | None = None
) -> dict[str, str]:
    """SHA-256 of the table files of a declaration, by split; of a table in memory, as :data:`MEMORY`.

    Args:
        declaration: Names the files.
        folder: That their paths are relative to.
        memory: The table of training, which is a file where the declaration names one.
    """
    if memory is not None and declaration.data.train is None:
        return table_digests(declaration, folder) | {MEMORY: memory_digest(memory, declaration)}
    named = {split: getattr(declaration.data, split) for split in ("train", "validation", "test")}
    paths = {split: resolve(path, folder) for split, path in named.items() if isinstance(path, str)}
    return {split: table_digest(path) for split, path in paths.items() if path.exists()}


def memory_digest(table: Table, declaration: Declaration) -> str:
    """SHA-256 of the columns of a table in memory that a declaration names; of media files, their paths.

    A run that answers in words may read any column, so that all count.
    """
    data, whole = declaration.data, hashlib.sha256()
    named = [*declaration.inputs, *declaration.targets, data.split, data.group, data.sample_weight]
    names = [name for name in named if name and table.has(name)]
    names = table.columns if declaration.generation else names
    for name in dict.fromkeys(names):
        whole.update(repr((name, len(table))).encode("utf-8", "surrogatepass"))
        for start in range(0, len(table), BLOCK):
            cells = table.raw(name).slice(start, BLOCK).to_pylist()
            whole.update(repr(cells).encode("utf-8", "surrogatepass"))
    return whole.hexdigest()


def table_digest(path: Path) -> str:
    """SHA-256 of a table's file; of a folder, over the names and digests of its files."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for part in sorted(part for part in path.rglob("*") if part.is_file()):
        whole.update(f"{part.relative_to(path).as_posix()} {table_digest(part)}\n".encode())
    return whole.hexdigest()


def name_it() -> str:
    """What to do where the table of a run is not known."""
    return worded("Name a table: polymodal report RUN TABLE", "Give a table: run.report(table)")


def require_own_tables(run: Path, declaration: Declaration, results: FitResults, cure: str = "") -> None:
    """Check that the tables which a run folder names are those that it was fitted to.

    An untrusted run may name any file of this machine; none is opened for it.

    Raises:
        RunError: If a table differs, or the run does not record its digest.
    """
    known, cure = results.data, cure or name_it()
    if "train" not in known:
        raise RunError(f"{run}: does not say which file it was fitted to, so that none is opened. {cure}")
    digests = table_digests(declaration, run)
    for split, digest in digests.items():
        if digest != known.get(split):
            named = getattr(declaration.data, split)
            raise RunError(f"{named}: is not the file that {run} was fitted to (its SHA-256 differs). {cure}")


def same_table(run: Path, declaration: Declaration, results: FitResults, given: Any) -> Table:
    """The table that a run was fitted to, given again.

    Args:
        run: Its folder.
        declaration: Of the run.
        results: Content of its ``metrics.json``.
        given: A table in memory, or the path of a file that may have been moved.

    Raises:
        RunError: If it is another table, or the run does not record the digest of its own.
        DataError: If it cannot be read.
    """
    table = read_declared_table(given, declaration.data, None)
    is_file = isinstance(given, (str, Path))
    digest = table_digest(Path(given)) if is_file else memory_digest(table, declaration)
    known = results.data.get("train" if is_file else MEMORY)
    if known is None:
        fitted = "a file" if "train" in results.data else "a table that it does not record"
        raise RunError(f"{run}: was fitted to {fitted}, which cannot be compared with {table.name}")
    if digest != known:
        raise RunError(f"{table.name}: is not the table that {run} was fitted to (its SHA-256 differs)")
    return table


def require_same_tables(
    run: Path, declaration: Declaration, folder: Path | None, results: FitResults, memory: Table
) -> None:
    """Check that the tables have not changed since a finished run was fitted to them.

    Args:
        run: Its folder.
        declaration: The current one, which equals the run's.
        folder: That the paths of its tables are relative to.
        results: Content of the run's ``metrics.json``.
        memory: The current table of training.

    Raises:
        RunError: If a table has changed.
    """
    known = results.data
    if not known:
        return
    now = table_digests(declaration, folder, memory)
    changed = [split for split in now if split in known and now[split] != known[split]]
    if changed:
        named = getattr(declaration.data, changed[0], None)
        fix = f"Fit anew with {option('overwrite', True)}, or give another folder with {option('output')}"
        if named is None:
            raise RunError(f"{run}: was finished with another table than this one. {fix}")
        raise RunError(f"{run}: was finished with another {named}: the file has changed since. {fix}")


def _fill_in(values: dict[str, Any]) -> None:
    """Expand environment variables and ``~`` in the paths of a declaration's tables, in place.

    The run's own ``run.yaml`` then has paths that do not depend on the environment.

    Raises:
        ConfigError: If a variable is not set.
    """
    data, stages = values.get("data"), values.get("stages")
    named: list[tuple[dict[str, Any], str, str]] = []
    if isinstance(data, dict):
        named += [(data, key, "data") for key in PATHS]
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        if isinstance(stage, dict):
            named.append((stage, "data", f"stages.{name}.data"))
    for section, key, where in named:
        if isinstance(section.get(key), str):
            section[key] = filled_in(section[key], where)


def filled_in(path: str, section: str) -> str:
    """``path`` with environment variables and ``~`` expanded.

    Raises:
        ConfigError: If a variable is not set.
    """
    name = expanded(path)
    if "$" in name and not os.path.exists(name):
        raise ConfigError(f"{section}: '{path}' names an environment variable that is not set")
    return name


def resolve_start(path: str, folder: Path | None) -> Path:
    """The run that a declaration goes on from; variables are filled in as in :func:`train_source`."""
    is_own = folder is None or not is_run_folder(folder)
    return resolve(filled_in(path, "start") if is_own else path, folder)


def resolve(path: str, folder: Path | None) -> Path:
    """``path`` in ``folder`` if it lies there, else from the current one; no variable is filled in."""
    beside = (folder or Path()) / path
    return beside if os.path.exists(beside) else Path(path)  # False where a name is too long, too
