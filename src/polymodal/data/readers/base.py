"""What every reader is: a cell becomes what is kept (``read``), what is kept becomes tensors (``collate``).

What ``read`` returns is small, the same in every epoch, and may be cached; ``collate`` pads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from polymodal.data import media
from polymodal.registry import Registry


class Reader:
    """Base of all readers.

    Attributes:
        modality: The name it is registered under.
        cached: Whether reading costs enough to keep the result.
        part: A Transformers processor that is saved beside the settings, if there is one.
    """

    modality: ClassVar[str]
    cached: ClassVar[bool] = True
    part: Any = None

    def read(self, cell: Any, root: Path | None) -> Any:
        """The content of a cell that is not empty.

        Raises:
            MediaError: If the cell does not hold what the modality needs.
        """
        raise TypeError(f"{type(self).__name__} has no read of its own")

    def collate(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """Tensors of several items, by the names the encoder's ``forward`` takes."""
        raise TypeError(f"{type(self).__name__} has no collate of its own")

    def blank(self) -> Any:
        """What :meth:`read` might return of an item that says nothing.

        It stands where there has to be an item and is none; what a model makes of it is never used.
        """
        raise TypeError(f"{type(self).__name__} has no blank of its own")

    def settings(self) -> dict[str, Any]:
        """The keyword arguments, JSON values all, that build this reader again beside its ``part``."""
        return {}

    def is_empty(self, cell: Any) -> bool:
        """Whether the row lacks this input; pandas' words for nothing count too."""
        return media.is_empty(cell) or type(cell).__name__ in ("NAType", "NaTType")


READERS: Registry[type[Reader]] = Registry("modality")
