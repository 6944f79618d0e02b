"""The recommended pretrained encoders of a fit: chosen for the columns of its table."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from polymodal.config import Declaration
from polymodal.data.tables.table import Table, each_cell
from polymodal.pretrained.choosing import choose_encoders
from polymodal.training.declaration.source import resumed
from polymodal.training.request import FitRequest
from polymodal.utils import distributed as processes
from polymodal.utils.progress import note


def settle_encoders(
    declaration: Declaration, table: Table, request: FitRequest, *, known: Collection[str] = ()
) -> list[str]:
    """Give inputs of ``declaration`` a recommended encoder; see :func:`choose_encoders`.

    Args:
        declaration: Its inputs are replaced.
        table: All rows, for the languages of texts.
        request: Of the fit; one that is resumed keeps the encoders of its folder.
        known: Inputs whose encoder comes from an earlier run.

    Returns:
        A note per input.
    """

    def texts(name: str) -> Iterator[str]:
        cells = each_cell(table.values(name)) if name in table.columns else ()
        return (cell for cell in cells if isinstance(cell, str))

    earlier = resumed(request)
    is_quiet = request.quiet or not processes.is_main()
    return choose_encoders(
        declaration, texts, lambda line: note(line, is_quiet), known=known,
        earlier=earlier.inputs if earlier else None,
    )  # fmt: skip
