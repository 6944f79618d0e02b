"""The inputs of a run that become towers: those of the shared space, one per modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polymodal.data.readers import ImageReader, TextReader
from polymodal.errors import RunError, did_you_mean, option, worded
from polymodal.runs.prediction_run import PredictionRun


@dataclass(frozen=True)
class Tower:
    """How sentence-transformers reads one modality.

    Attributes:
        name: Its name on the model card.
        example: An argument of ``encode``, as Python.
        tensors: Names of the tensors of a batch, equal in both libraries; the first holds the content.
    """

    name: str
    example: str
    tensors: tuple[str, ...]


TEXT, IMAGE = TextReader.modality, ImageReader.modality
TOWERS = {
    TEXT: Tower("text tower", '"a text"', ("input_ids", "attention_mask")),
    IMAGE: Tower("picture tower", 'Image.open("a.png")', ("pixel_values",)),
}
"""By modality; inputs of other modalities are not exported."""


def choose_inputs(
    run: PredictionRun, names: Sequence[str], reads: Sequence[str], library: str
) -> dict[str, str]:
    """Inputs of the run by modality, in declared order.

    Args:
        run: A run with a shared space.
        names: Names of inputs; by default all that are possible.
        reads: Modalities of the library.
        library: The library, for messages.

    Raises:
        RunError: If the run has no shared space, a named input does not exist or is not possible, there is
            none, or there are several of one modality.
    """
    within = compared_inputs(run)
    modality_of = {name: reader.modality for name, reader in run.processor.readers.items()}
    for name in names:
        _check_name(run, name, modality_of, within, reads, library)
    chosen = [name for name in within if modality_of[name] in reads and (not names or name in names)]
    if not chosen:
        has = ", ".join(f"{name} ({modality_of[name]})" for name in within)
        raise RunError(f"{run.folder}: {library} reads {_either(reads)}, and the run has neither, only {has}")
    by_modality: dict[str, str] = {}
    for name in chosen:
        if modality_of[name] in by_modality:
            several = ", ".join(other for other in chosen if modality_of[other] == modality_of[name])
            reason = f"{several} are all read as {modality_of[name]}, and {library} identifies inputs by that"
            raise RunError(f"{run.folder}: {reason}. Choose one of them with {option('inputs')}")
        by_modality[modality_of[name]] = name
    return by_modality


def compared_inputs(run: PredictionRun) -> list[str]:
    """The inputs with vectors in the shared space, in declared order.

    Raises:
        RunError: If there is no such space.
    """
    if run.model.config.space is None:
        again = "polymodal pretrain TABLE --objectives contrastive -o RUN"
        python = "pm.pretrain(table, objectives=['contrastive'])"
        fix = f"Pre-train one that is: {worded(again, python)}"
        raise RunError(f"{run.folder}: was not trained to compare its inputs in one space. {fix}")
    spanning = [objective for _, objective in run.model.named_objectives() if objective.spans_space]
    taking = {name for objective in spanning for name in objective.taking}
    return [name for name in run.model.config.input_names if name in taking]


def _check_name(
    run: PredictionRun,
    name: str,
    modality_of: Mapping[str, str],
    within: Sequence[str],
    reads: Sequence[str],
    library: str,
) -> None:
    if name not in modality_of:
        raise RunError(f"{run.folder}: there is no input '{name}'. {did_you_mean(name, modality_of)}")
    if modality_of[name] not in reads:
        reason = f"'{name}' is read as {modality_of[name]}, and {library} is given {_either(reads)} here"
        raise RunError(f"{run.folder}: {reason}. Leave it out of {option('inputs')}")
    if name not in within:
        reason = f"'{name}' was compared with no other input"
        raise RunError(f"{run.folder}: {reason}. There are in the space: {', '.join(within)}")


def _either(modalities: Sequence[str]) -> str:
    return " or ".join(modalities)
