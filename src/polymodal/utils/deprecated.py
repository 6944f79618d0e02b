"""Old public names, kept as aliases that warn."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def deprecated_alias(old: str, new: Callable[P, R]) -> Callable[P, R]:
    """Keep an old name of a function for one release.

    Args:
        old: The name that was public before.
        new: The function, under its present name.

    Returns:
        A function that calls ``new`` and warns with a ``DeprecationWarning`` that names it.
    """

    @functools.wraps(new)
    def alias(*args: P.args, **kwargs: P.kwargs) -> R:
        warnings.warn(f"{old} is now called {new.__name__}", DeprecationWarning, stacklevel=2)
        return new(*args, **kwargs)

    alias.__name__ = old
    alias.__doc__ = f"Deprecated name of :func:`{new.__name__}`."
    return alias
