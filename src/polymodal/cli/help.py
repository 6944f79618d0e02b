"""Help of the command and its subcommands: in sections, with examples, and no sentence cut off."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from importlib import import_module
from typing import Any, ClassVar, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from polymodal import api
from polymodal.cli.logs import logged

_NO_CHOICE = re.compile(r"(?:Value error, )?((['\"]).*\2) is not one of .*", re.DOTALL)
"""Typer's message, whose words vary with the library that it checks values with."""
MODEL, WORDS, SEVERAL = "Model", "Answers in words", "Several fits"
ROWS, MACHINE, VECTORS, ACCESS = "Rows and files", "Machine", "Vectors", "Access"
"""Sections of options; those without one are under ``Options``."""
USAGE: Any = typer.BadParameter.__base__
"""The error of a line that cannot be parsed: Typer names only its subclass."""
OPTIONS_ELSEWHERE = {
    "--label": "--target", "--label-column": "--target", "--presets": "--preset", "--output-dir": "--output",
    "--num-train-epochs": "--epochs", "--num-epochs": "--epochs", "--lr": "--learning-rate",
    "--row": "--rows", "--top-k": "-k",
}  # fmt: skip
COMMANDS_ELSEWHERE = {
    "train": "fit", "finetune": "fit", "fine-tune": "fit", "eval": "evaluate", "test": "evaluate",
    "score": "evaluate", "infer": "predict", "inference": "predict", "encode": "embed",
    "leaderboard": "compare",
}  # fmt: skip
"""Options and commands of other tools, and those that do the same here."""


class Command(TyperCommand):
    """A subcommand: options in sections (``rich_help_panel``), examples (``epilog``) a line each."""

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Arguments, then the options of each section, in the order of their first one."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            name = "Arguments" if param.param_type_name == "argument" else ""
            name = name or getattr(param, "rich_help_panel", None) or "Options"
            if record is not None and name == "Arguments":
                record = record[0].split(" <")[0], record[1]  # without the type in Python
            if record is not None:
                sections.setdefault(name, []).append(record)
        for name, records in sections.items():
            _write_section(formatter, name, records)

    def format_epilog(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """The examples."""
        examples = (self.epilog or "").splitlines()
        if examples:
            formatter.write_paragraph()
            formatter.write(f"{'Examples' if len(examples) > 1 else 'Example'}:\n")
            for line in examples:
                formatter.write(f"  {line}\n")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; a wrong choice is refused with the nearest one.

        Raises:
            BadParameter: If a value is none that its option takes.
        """
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = _of_choice(error)
            raise
        except USAGE as error:
            self._explain(error, {name for param in self.get_params(ctx) for name in param.opts})
            raise

    def _explain(self, error: Any, options: set[str]) -> None:
        """Add what was probably meant to the error of an unknown option, or of an argument too many."""
        own = OPTIONS_ELSEWHERE.get(getattr(error, "option_name", "").replace("_", "-"))
        if own in options:
            error.possibilities = [own]
        if "extra argument" in error.message:
            such = ", such as --target COLUMN" if "--target" in options else ""
            error.message += f". Name a value by its option{such}; several of one option have commas between"


def _of_choice(error: typer.BadParameter) -> str:
    """The message of a wrong choice with the nearest one; that of another error as it is."""
    choices = _choices(getattr(getattr(error.param, "type_descriptor", None), "annotation", None))
    wrong = _NO_CHOICE.fullmatch(error.message)
    if wrong is None or not choices:
        return error.message
    return f"there is no {wrong[1]}. {api.did_you_mean(wrong[1][1:-1], choices)}"


def _choices(annotation: object) -> list[str]:
    """The words that an option takes: those of an enumeration or of ``Literal``; none of another type."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [each.value for each in annotation]
    return [each for each in get_args(annotation) if isinstance(each, str)]


class Interrupted(SystemExit):
    """Ctrl-C during a subcommand; exit status 130."""

    def __init__(self) -> None:
        super().__init__(130)


class Commands(TyperGroup):
    """The command: its subcommands in sections, each with the whole first sentence of its help.

    Attributes:
        sections: By title of a section, by ``module:function`` of a subcommand in this package, examples.
    """

    sections: ClassVar[dict[str, dict[str, list[str]]]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Made(self.sections)  # type: ignore[assignment]  # it is only read

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Their names, in the order of the sections."""
        return list(self.commands)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse the options before the name of the subcommand."""
        for param in self.get_params(ctx):
            if getattr(param, "is_flag", False) and param.default is None:
                param.default = False  # the same; for None, Typer loads Pydantic
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The subcommand that the arguments name; one that other tools have is refused with ours."""
        try:
            return super().resolve_command(ctx, args)
        except USAGE as error:
            if own := COMMANDS_ELSEWHERE.get(args[0].replace("_", "-")):
                error.message = f"No such command '{args[0]}'. Did you mean '{own}'?"
            raise

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the subcommand.

        Raises:
            Interrupted: On Ctrl-C, for which Typer would end the process without a line.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """The subcommands of each section, in the order of their registration."""
        for title, homes in self.sections.items():
            records = [(_name(home), _summary(inspect.getdoc(_function(home)) or "")) for home in homes]
            _write_section(formatter, title, records)
        formatter.write_paragraph()
        formatter.write("Examples and options of each: polymodal COMMAND --help\n")


class _Made(Mapping[str, TyperCommand]):
    """Subcommands by name, each imported and made when it is first looked up: help needs one or none."""

    def __init__(self, sections: dict[str, dict[str, list[str]]]) -> None:
        self._homes = {
            _name(home): (home, title, examples)
            for title, homes in sections.items()
            for home, examples in homes.items()
        }
        self._made: dict[str, TyperCommand] = {}

    def __getitem__(self, name: str) -> TyperCommand:
        if name not in self._made:
            self._made[name] = _make(*self._homes[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


def _make(home: str, title: str, examples: list[str]) -> TyperCommand:
    """The subcommand of a function."""
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    register = alone.command(_name(home), cls=Command, rich_help_panel=title, epilog="\n".join(examples))
    register(logged(_function(home)))
    command = typer.main.get_command(alone)
    assert isinstance(command, TyperCommand)  # a group only where there are several
    return command


def _name(home: str) -> str:
    """The subcommand's name."""
    return home.partition(":")[2].replace("_", "-")


def _function(home: str) -> Callable[..., None]:
    """The function of a subcommand."""
    module, _, name = home.partition(":")
    function: Callable[..., None] = getattr(import_module(f"polymodal.cli.{module}"), name)
    return function


def _summary(text: str) -> str:
    """The first paragraph of a help text, in one line."""
    return " ".join(text.strip().split("\n\n")[0].split())


def _write_section(formatter: Any, name: str, records: list[tuple[str, str]]) -> None:
    if records:
        with formatter.section(name):
            formatter.write_dl(records)
