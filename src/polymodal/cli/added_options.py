"""Options that are added to commands from outside: one function for all that do."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any


def with_options(
    command: Callable[..., None],
    options: Mapping[str, Any],
    defaults: Mapping[str, Any],
    run: Callable[[dict[str, Any], dict[str, Any]], None],
) -> Callable[..., None]:
    """A command that takes more options.

    Args:
        command: Of Typer.
        options: By parameter its annotation.
        defaults: By parameter its default.
        run: Gets the arguments of the command and those of the added options, and calls the command.
    """
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def extended(**given: Any) -> None:
        added = {name: given.pop(name) for name in options}
        run(given, added)

    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=kind)
        for name, kind in options.items()
    ]
    extended.__signature__ = own.replace(parameters=[*own.parameters.values(), *more])  # type: ignore[attr-defined]
    extended.__annotations__ = {**command.__annotations__, **options}
    return extended
