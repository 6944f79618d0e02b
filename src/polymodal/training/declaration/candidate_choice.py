"""The models and encoders that a fit tries where its declaration names none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from polymodal.answers import DECODERS
from polymodal.config import Declaration
from polymodal.data.tables.table import Table
from polymodal.errors import setting
from polymodal.training.declaration.encoder_choice import settle_encoders
from polymodal.training.declaration.source import resumed
from polymodal.training.request import THOROUGH, FitRequest

NEURAL = ("fused",)
PLAIN = ("plain",)
PLAIN_AND_NEURAL = (*PLAIN, *NEURAL)
SEVERAL = (*PLAIN, "frozen", *NEURAL, "tuned")
"""Names of :data:`polymodal.candidates.CANDIDATES`, a package above: those that a fit tries by default."""
READ_BY_ENCODERS = ("frozen", "tabicl", "fused", "tuned")
"""Those that use the encoders of the inputs."""
ENCODERS: Literal["scratch", "auto"] = "auto"
"""``train.encoders`` of a fit by default."""
TABULAR = ("number", "category", "categories", "date")
"""Modalities whose values plain models take as they are."""
FEWEST = 2000
"""Rows below which the neural model is not tried on tabular modalities alone: it takes most of the time, and
gained nothing beyond chance on eleven such tables (150 to 1,797 rows), but at times from 2,700 rows on."""
OF_ALL = ("candidates", "encoders", "seed", "workers", "threads", "device", "time_limit")
"""Settings of the section ``train`` that do not concern the neural model alone."""


def settle_models(
    declaration: Declaration,
    table: Table,
    request: FitRequest,
    *,
    of_run: bool,
    known: Collection[str] = (),
) -> list[str]:
    """Fill in the encoders of the inputs, then ``train.candidates``: the preset ``good`` where it can be.

    Args:
        declaration: Its sections ``train`` and ``inputs`` are completed.
        table: All rows.
        request: Of the fit; one that is resumed keeps the choice of its folder.
        of_run: It is the ``run.yaml`` of a run: what that does not name was not tried.
        known: Inputs whose encoder comes from the run that the fit starts from.

    Returns:
        A note per input whose encoder was chosen, and one if the neural model is not tried.
    """
    notes = settle_its_encoders(declaration, table, request, of_run=of_run, known=known)
    return [*notes, *settle_candidates(declaration, table, request, of_run=of_run, known=known)]


def settle_its_encoders(
    declaration: Declaration,
    table: Table,
    request: FitRequest,
    *,
    of_run: bool,
    known: Collection[str] = (),
) -> list[str]:
    """Fill in ``train.encoders`` and the encoders of the inputs; see :func:`settle_models`."""
    train, earlier = declaration.train, resumed(request)
    if train.encoders is None:
        uses = train.candidates is None or bool({*READ_BY_ENCODERS} & {*train.candidates})
        begun = earlier.train.encoders if earlier else "scratch"
        train.encoders = ENCODERS if _is_fresh(declaration, request, earlier, of_run) and uses else begun
    return settle_encoders(declaration, table, request, known=known)


def settle_candidates(
    declaration: Declaration,
    table: Table,
    request: FitRequest,
    *,
    of_run: bool,
    known: Collection[str] = (),
) -> list[str]:
    """Fill in ``train.candidates``; see :func:`settle_models`.

    Plain models and the neural model are tried where they can be blended; otherwise the neural model alone.
    Comparisons of fusions and searches are of the neural model. Small tables of numbers and categories get
    plain models alone, unless something is set that only the neural model has.

    Returns:
        A note if the neural model is not tried.
    """
    train, earlier = declaration.train, resumed(request)
    if train.candidates is not None:
        return []
    if not _is_fresh(declaration, request, earlier, of_run):
        train.candidates = earlier.train.candidates if earlier else list(NEURAL)
        return []
    train.candidates = _tried(declaration, request, known)
    if train.candidates != list(PLAIN_AND_NEURAL) or not _is_small(declaration, table, request):
        return []
    train.candidates = list(PLAIN)
    return [
        f"the neural model is not tried: tables of numbers and categories with fewer than {FEWEST:,} rows "
        f"gain nothing from it ({setting('train.candidates', PLAIN_AND_NEURAL)} tries it)"
    ]


def _is_small(declaration: Declaration, table: Table, request: FitRequest) -> bool:
    """Whether the table is small and tabular, and nothing set is of the neural model."""
    if len(table) >= FEWEST or request.preset == THOROUGH or declaration.start or declaration.objectives:
        return False
    if "fusion" in declaration.model_fields_set or declaration.train.model_fields_set - {*OF_ALL}:
        return False
    return all(
        config.modality in TABULAR and config.encoder is None for config in declaration.inputs.values()
    )


def _is_fresh(
    declaration: Declaration, request: FitRequest, earlier: Declaration | None, of_run: bool
) -> bool:
    """Whether the fit makes its own choice, and does not go on with that of an earlier run."""
    return earlier is None and bool(declaration.targets) and (request.preset is not None or not of_run)


def pretrained_inputs(declaration: Declaration) -> list[str]:
    """Inputs that are read by a pretrained encoder."""
    inputs = declaration.inputs.items()
    return [name for name, config in inputs if config.encoder is not None and config.encoder.checkpoint]


def tuned_inputs(declaration: Declaration) -> list[str]:
    """Inputs that are read by a pretrained encoder that the neural model trains, whole or in part."""
    return [name for name in pretrained_inputs(declaration) if not declaration.inputs[name].freeze]


def _tried(declaration: Declaration, request: FitRequest, known: Collection[str]) -> list[str]:
    compares = bool(request.fusions) or request.trials is not None
    if compares or not _can_blend(declaration):
        return list(NEURAL)
    of_encoders = {"frozen": pretrained_inputs(declaration), "tuned": tuned_inputs(declaration)}
    needless = {name for name, read in of_encoders.items() if known or not read}
    return [name for name in SEVERAL if name not in needless]


def is_plain(declaration: Declaration) -> bool:
    """Whether all candidates of a fit are plain models, which need no torch."""
    return {*(declaration.train.candidates or NEURAL)} <= {*PLAIN}


def _can_blend(declaration: Declaration) -> bool:
    """Whether plain models can be fitted, and the answers of all heads be averaged as probabilities."""
    tasks = [target.task for target in declaration.targets.values()]
    if not declaration.data.private and all(task in DECODERS for task in tasks):
        return True
    from polymodal.models.heads import HEADS, Head  # of other packages, which need torch

    if declaration.data.private or not all(task in HEADS for task in tasks):  # which is refused later
        return False
    return all(HEADS[task].as_logits is not Head.as_logits for task in tasks)
