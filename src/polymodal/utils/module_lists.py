"""``nn.ModuleList`` whose entries have a type, for type checkers; at run time it is the plain class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from torch import nn

M = TypeVar("M", bound=nn.Module)

if TYPE_CHECKING:

    class ModuleListOf(nn.ModuleList, Generic[M]):
        """A list of modules of one type."""

        def __init__(self, modules: Iterable[M] = ()) -> None: ...

        @overload
        def __getitem__(self, index: slice) -> ModuleListOf[M]: ...

        @overload
        def __getitem__(self, index: int) -> M: ...

        def __getitem__(self, index: int | slice) -> M | ModuleListOf[M]: ...

        def __iter__(self) -> Iterator[M]: ...

else:
    # A class of its own would be no ModuleList to torch.compile.
    ModuleListOf = nn.ModuleList
