"""From a table or a YAML file to everything a fit needs: the declaration is read once, whatever it is of.

What is wrong with the request, the declaration or the table is reported before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, TypeAlias

from polymodal.data.tables.table import Table
from polymodal.errors import ConfigError
from polymodal.training.declaration.completion import Completed, complete_request
from polymodal.training.declaration.source import Declared, read_request
from polymodal.training.language.language_inputs import LanguageInputs, language_inputs
from polymodal.training.output_folder import check_place
from polymodal.training.request import FitRequest
from polymodal.utils import distributed as processes

if TYPE_CHECKING:
    from polymodal.training.language.language_job import LanguageJob
    from polymodal.training.prediction_job import PredictionJob

AnyJob: TypeAlias = "PredictionJob | LanguageJob"
"""A fit of whichever kind."""


Read: TypeAlias = Completed | LanguageInputs
"""The declaration and the table of a fit of heads or objectives; or of answers in words."""


@dataclass(frozen=True, kw_only=True)
class ReadRequest(FitRequest):
    """A request with what was read for it.

    Attributes:
        read: Its declaration and its table.
    """

    read: Read = field(repr=False)


def table_in_memory(request: FitRequest) -> Table | None:
    """The table of a request that was read from memory, not from a file."""
    read = request.read if isinstance(request, ReadRequest) else None
    if read is None or isinstance((read.declared.values.get("data") or {}).get("train"), str):
        return None
    return read.table


def read_job(request: FitRequest) -> Read:
    """Read the declaration and the table of a request, of which nothing needs torch.

    Raises:
        ConfigError: If the declaration has an unknown key, or requests what its kind of fit cannot do.
        DataError: If the table cannot be read or lacks what is declared.
        RunError: If the run to fine-tune from is none.
    """
    declared = read_request(request)
    if declared.answers_in_words(request):
        _refuse_of_words(request, declared)
        return language_inputs(request, declared)
    return complete_request(request, declared)


def reading(request: FitRequest, *, into_folder: bool = False) -> FitRequest:
    """The request with what was read for it; several processes read where an error of one ends them all.

    Args:
        request: Of one fit or several.
        into_folder: Whether its folder becomes that of a run, and so must not hold one.

    Raises:
        PolymodalError: As :func:`read_job`, or if the folder holds a run.
    """
    if processes.count() > 1:
        return request
    read = read_job(request)
    if into_folder and read.declared.values.get("start") is None:  # which may be in the folder
        check_place(request.folder, resume=request.resume, overwrite=request.overwrite)
    return ReadRequest(**{entry.name: getattr(request, entry.name) for entry in fields(request)}, read=read)


def described(read: Read) -> str:
    """What was read, in a line: the size of the table, its targets and its inputs."""
    size = f"{read.table.name}: {len(read.table):,} rows, {len(read.table.columns)} columns"
    if not isinstance(read, Completed):
        return f"{size}; answers in words"
    declaration = read.declaration
    inputs = ", ".join(f"{name} ({config.modality})" for name, config in declaration.inputs.items())
    targets = ", ".join(f"{name} ({config.task})" for name, config in declaration.targets.items())
    return f"{size}; {targets or 'no target'} from {inputs}"


def open_job(request: FitRequest) -> AnyJob:
    """Read a table or a declaration, and fill in what it leaves open.

    Returns:
        A :class:`LanguageJob` where answers in words are requested or declared, else a
        :class:`PredictionJob`.

    Raises:
        ConfigError: If the declaration has an unknown key, or requests what its kind of fit cannot do.
        DataError: If a table cannot be read or lacks what is declared.
        RunError: If the run to fine-tune from is none.
    """
    return open_read(request, request.read if isinstance(request, ReadRequest) else read_job(request))


def open_read(request: FitRequest, read: Read) -> AnyJob:
    """The same, of what was read."""
    if isinstance(read, Completed):
        return _open_prediction(request, read)
    from polymodal.training.language.language_opening import open_language_job  # imports torch

    return open_language_job(request, read)


def open_prediction_job(request: FitRequest) -> PredictionJob:
    """The same, of heads or objectives alone.

    Raises:
        ConfigError: If the declaration is of answers in words too.
    """
    read = request.read if isinstance(request, ReadRequest) else read_job(request)
    if not isinstance(read, Completed):
        raise ConfigError(f"{read.declared.prefix}{ONE_FIT}")
    return _open_prediction(request, read)


def _open_prediction(request: FitRequest, read: Completed) -> PredictionJob:
    from polymodal.training.prediction_opening import open_completed  # imports torch

    return open_completed(request, read)


ONE_FIT = "answers in words ('generation'), which one plain fit alone learns"


def _refuse_of_words(request: FitRequest, declared: Declared) -> None:
    """Refuse what a fit of a language model cannot do.

    Raises:
        ConfigError: At the first request that it cannot fulfil.
    """
    if request.targets:
        raise ConfigError("'target' does not go with answers in words. Leave one of them out")
    if request.pretraining or request.fusions or request.trials is not None:
        raise ConfigError(f"{declared.prefix}{ONE_FIT}")
