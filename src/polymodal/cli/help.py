"""Help of the command and its subcommands: in sections, with examples, and no sentence cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from polymodal.cli.logs import logged

MODEL, WORDS, SEVERAL = "Model", "Answers in words", "Several fits"
ROWS, MACHINE, VECTORS, ACCESS = "Rows and files", "Machine", "Vectors", "Access"
"""Sections of options; those without one are under ``Options``."""


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


class Commands(TyperGroup):
    """The command: its subcommands in sections, each with the whole first sentence of its help."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """The subcommands of each section, in the order of their registration."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            section = getattr(command, "rich_help_panel", None) or "Commands"
            sections.setdefault(section, []).append((name, _summary(command.help or "")))
        for name, records in sections.items():
            _write_section(formatter, name, records)
        formatter.write_paragraph()
        formatter.write("Examples and options of each: polymodal COMMAND --help\n")


def register(app: typer.Typer, sections: dict[str, list[tuple[Callable[..., None], list[str]]]]) -> None:
    """Register the subcommands.

    Args:
        app: Gets them.
        sections: By title of a section, the functions of its subcommands, each with examples of its use.
    """
    for title, commands in sections.items():
        for command, examples in commands:
            app.command(cls=Command, rich_help_panel=title, epilog="\n".join(examples))(logged(command))


def _summary(text: str) -> str:
    """The first paragraph of a help text, in one line."""
    return " ".join(text.strip().split("\n\n")[0].split())


def _write_section(formatter: Any, name: str, records: list[tuple[str, str]]) -> None:
    if records:
        with formatter.section(name):
            formatter.write_dl(records)
