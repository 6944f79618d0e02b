"""Execution of chat templates within limits: a template comes with a model, and may be anyone's program.

Jinja's sandbox keeps a template from Python's own objects. It bounds no time and no memory; this module does.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from types import FrameType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MOST_SECONDS = 5.0
"""Of processor time that a template may take."""
MOST_CHARACTERS = 1_000_000
"""That a template may write, and that any text in it may hold."""
MOST_MEMORY = 256 * 2**20
"""Bytes by which the process may grow meanwhile."""
MOST_SOURCE = 200_000
"""Characters of a template."""
PADDING = (
    "center", "encode", "expandtabs", "format", "format_map", "ljust", "rjust", "to_bytes", "translate",
    "zfill",
)  # fmt: skip
"""Methods of texts and numbers that make long texts, or bytes that nothing measures, of short ones."""
LEFT_OUT = ("batch", "center", "format", "indent", "pprint", "slice", "sum", "urlize", "wordwrap", "xmlattr")
"""Filters that do the same, and that no chat template needs."""
TOO_LONG = f"a text or list of more than {MOST_CHARACTERS:,} characters"


def bounded(value: Any) -> Any:
    """``value``, if all that is nested in it is not too large to be written, compared or copied.

    Raises:
        SecurityError: If it is.
    """
    rest, held = MOST_CHARACTERS, [value]
    while held:
        entry = held.pop()
        if isinstance(entry, Namespace):
            entry = entry._Namespace__attrs
        rest -= 1 + (len(entry) if isinstance(entry, str) else 0)
        if rest < 0:
            raise SecurityError(TOO_LONG)
        if isinstance(entry, dict):
            held += [*entry.keys(), *entry.values()]
        elif isinstance(entry, list | tuple | set):
            held += entry
    return value


def joined(parts: Iterable[Any], between: str = "", attribute: Any = None) -> str:
    """The texts of ``parts``, if they are not too long together.

    Raises:
        SecurityError: If they are.
    """
    if attribute is not None:
        raise SecurityError("texts are not joined by an attribute")
    texts, length = [], 0
    for part in parts:
        texts.append(part if isinstance(part, str) else str(bounded(part)))
        length += len(texts[-1]) + len(str(between))
        if length > MOST_CHARACTERS:
            raise SecurityError(TOO_LONG)
    return str(between).join(texts)


def replaced(text: Any, old: str, new: str, count: int = -1) -> str:
    """``text`` with ``new`` in the place of ``old``, if it does not grow too long.

    Raises:
        SecurityError: If it does.
    """
    text = text if isinstance(text, str) else str(bounded(text))
    if text.count(old) * len(new) > MOST_CHARACTERS:
        raise SecurityError(TOO_LONG)
    return text.replace(old, new, -1 if count is None else count)


class LimitedCode(CodeGenerator):
    """Code in which what is joined, or gathered in a list, is measured."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        """``a ~ b``."""
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        """``[a, b]``."""
        self.write("environment.bounded(")
        super().visit_List(node, frame)
        self.write(")")

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        """``(a, b)``; what is assigned to is no value."""
        if node.ctx != "load":
            return super().visit_Tuple(node, frame)
        self.write("environment.bounded(")
        super().visit_Tuple(node, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        """``{a: b}``."""
        self.write("environment.bounded(")
        super().visit_Dict(node, frame)
        self.write(")")


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox in which Transformers renders chat templates, with texts of a bounded length."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})
    code_generator_class = LimitedCode
    bounded = staticmethod(bounded)
    joined = staticmethod(joined)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse methods that pad a text to any length."""
        return not (isinstance(obj, str | int) and attr in PADDING) and super().is_safe_attribute(
            obj, attr, value
        )

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Refuse ``format`` of texts, which Jinja returns before it calls :meth:`is_safe_attribute`.

        Raises:
            SecurityError: If ``value`` is that method: ``'{:>999999999}'.format(1)`` takes a gigabyte.
        """
        if super().wrap_str_format(value) is not None:
            raise SecurityError("texts are not formatted by format")
        return None

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``left operator right``, if the result is not too large.

        Raises:
            SecurityError: If it would be.
        """
        lengths = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
        numbers = [abs(side) for side in (left, right) if isinstance(side, int | float)]
        if operator == "%" and lengths and isinstance(left, str):
            raise SecurityError("texts are not formatted by %")
        if operator == "**" and (max(numbers, default=0) > MOST_CHARACTERS or numbers[-1:] > [64]):
            raise SecurityError("a power that is too large")
        size = lengths[0] * numbers[0] if operator == "*" and lengths and numbers else sum(lengths)
        if size > MOST_CHARACTERS:
            raise SecurityError(TOO_LONG)
        return bounded(super().call_binop(context, operator, left, right))

    def call(self, context: Context, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls, if what it makes is not too large."""
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if isinstance(owner, str) and name in ("join", "replace"):
            return joined(args[0], owner) if name == "join" and args else replaced(owner, *args)
        made = super().call(context, function, *args, **kwargs)
        return made if isinstance(made, range) else bounded(made)


class Generation(Extension):
    """``{% generation %}`` marks the assistant's text; here its content is written unchanged."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements inside."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Dict:
    """``dict`` of a template, without the attributes of the type."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(value: Any, **options: Any) -> str:
    options["indent"] = min(int(options["indent"]), 16) if options.get("indent") is not None else None
    return json.dumps(bounded(value), **({"ensure_ascii": False} | options))


def _now(form: str) -> str:
    return datetime.now().strftime(form)


@lru_cache(maxsize=16)
def compiled(source: str) -> jinja2.Template:
    """The template with this source.

    Raises:
        TemplateError: If it is none, or too long.
    """
    if len(source) > MOST_SOURCE:
        raise SecurityError(f"a template of {len(source):,} characters, expected at most {MOST_SOURCE:,}")
    environment = LimitedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    for name in LEFT_OUT:
        environment.filters.pop(name)
    for name in ("lipsum", "cycler", "joiner"):
        environment.globals.pop(name)
    environment.finalize = bounded
    environment.filters |= {"tojson": _tojson, "join": joined, "replace": replaced}
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _now, "dict": _Dict()}
    try:
        return environment.from_string(source)
    except (RecursionError, MemoryError) as error:
        raise SecurityError("a template that is nested too deeply") from error


def render(source: str, values: Mapping[str, Any]) -> str:
    """Render a chat template with ``values``.

    Raises:
        TemplateError: If it fails, runs too long, grows too large or calls itself too deeply.
    """
    template = compiled(source)
    written: list[str] = []
    length = 0
    try:
        with limited():
            for piece in template.generate(**values):
                length += len(piece)
                if length > MOST_CHARACTERS:
                    raise SecurityError(f"it writes more than {MOST_CHARACTERS:,} characters")
                written.append(piece)
    except (RecursionError, MemoryError) as error:
        raise SecurityError("it calls itself too deeply, or makes too much") from error
    return "".join(written)


@contextmanager
def limited() -> Iterator[None]:
    """Bound the time and the memory of what runs inside, line by line.

    Raises:
        SecurityError: Inside, at the first line beyond a limit.
    """
    deadline, most = time.process_time() + MOST_SECONDS, _peak() + MOST_MEMORY

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if time.process_time() > deadline:
            raise SecurityError(f"it takes more than {MOST_SECONDS:g} seconds")
        if _peak() > most:
            raise SecurityError(f"it takes more than {MOST_MEMORY >> 20} MB")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def _peak() -> int:
    """Peak memory of the process in bytes; 0 where it is unknown."""
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
