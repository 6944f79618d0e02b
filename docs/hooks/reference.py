"""The reference pages, made from the code: every command, every setting, every public name."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import polymodal
from polymodal.cli.app import app
from polymodal.config.declaration import Declaration
from polymodal.config.inputs import READ_MODALITIES

NAMED = {"inputs": "COLUMN", "targets": "COLUMN", "objectives": "OBJECTIVE", "stages": "STAGE"}
"""Sections that hold one entry per name, and how the page writes that name."""
MEANINGS = {
    "inputs.COLUMN.modality": f"What it holds: {', '.join(READ_MODALITIES)}, or one of another package.",
    "fusion.name": "The fusion, see below.",
}
"""Of settings whose field has no description."""
NOTE = re.compile(r" *\[([^\]]+)\]")
RANGE = re.compile(r"x[<>]=?|[<>]=?x")
SHARED = {"width", "dropout", "inputs", "weight"}
"""Arguments of fusions and objectives that are settings of the section itself."""
API = {
    "runs": (
        "Training, runs and search",
        ("polymodal.api", "polymodal.run", "polymodal.pipelines", "polymodal.search", "adapters"),
    ),
    "models": ("Models and their parts", ("polymodal.models",)),
    "data": ("Data, tasks, metrics and errors", ("polymodal.",)),
}
"""Pages of the Python reference: title, and the modules whose names they hold; the first that fits."""


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown; cells may hold vertical bars."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def escaped(text: str) -> str:
    """``text`` without what Markdown would read as HTML or as a link."""
    return text.replace("<", "&lt;").replace("[", "\\[")


def code(text: str) -> str:
    """``text`` as code; nothing for an empty one."""
    return f"`{text}`" if text else ""


def commands_page() -> str:
    """Every command of the command line, in its sections, with examples, arguments and options."""
    group = typer.main.get_command(app)
    context = group.make_context("polymodal", [], resilient_parsing=True)
    parts, before = ["# Commands", "Also printed by `polymodal COMMAND --help`."], ""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        section = getattr(command, "rich_help_panel", None) or "Commands"
        parts += [f"## {section}"] * (section != before) + list(command_parts(name, command, context))
        before = section
    return "\n\n".join(parts) + "\n"


def command_parts(name: str, command: Any, context: Any) -> Iterator[str]:
    """The part of a command: what it does, examples, and a table for each section of its options."""
    inner = command.make_context(f"polymodal {name}", [], parent=context, resilient_parsing=True)
    yield f"### {name}"
    yield escaped(inspect.cleandoc(command.help or ""))
    usage = f"polymodal {name} {' '.join(command.collect_usage_pieces(inner))}"
    yield "\n".join(["```text", usage, *(["", command.epilog] if command.epilog else []), "```"])
    sections: dict[str, list[tuple[str, ...]]] = {}
    for option in command.params:
        record = option.get_help_record(inner)  # a hidden option has none
        if record and option.name != "help":
            title = getattr(option, "rich_help_panel", None) or "Arguments and options"
            sections.setdefault(title, []).append(option_row(*record))
    for title, rows in sections.items():
        yield table((title, "default", "meaning"), rows)


def option_row(names: str, help_text: str) -> tuple[str, ...]:
    """A line of the table of a command, from what ``--help`` prints; in brackets are defaults and ranges."""
    text = " ".join(help_text.split())
    notes = [note.removeprefix("default: ") for note in NOTE.findall(text)]
    limits = [note for note in notes if RANGE.search(note)]
    defaults = [note for note in notes if note not in limits]
    meaning = " ".join([NOTE.sub("", text).strip(), *(f"({limit.removeprefix('x')})" for limit in limits)])
    name = re.sub(r" <(?:str|path)>$", "", " ".join(names.split()))
    return code(name), "; ".join(defaults), escaped(meaning)


def settings_page() -> str:
    """Every setting of a declaration, and the options of every fusion and objective."""
    parts = [
        "# Settings",
        "The sections of a declaration (`run.yaml`). Each setting can be given on the command line, as "
        '`--set train.epochs=3`, and in Python, as `settings={"train.epochs": 3}`. '
        "[Declaration](../guide.md) shows one with all sections.",
    ]
    top = [row for row in section_rows(Declaration, "") if row]
    parts += ["## At the top", table(HEAD, top)]
    for name, field in Declaration.model_fields.items():
        prefix = f"{name}.{NAMED[name]}" if name in NAMED else name
        for section in sections(field.annotation):
            parts += list(section_parts(section, prefix, 2))
    return "\n\n".join([*parts, *option_parts()]) + "\n"


HEAD = ("setting", "type", "default", "meaning")


def sections(annotation: Any) -> list[type[BaseModel]]:
    """The section classes that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in typing.get_args(annotation) for found in sections(part)]


def section_parts(section: type[BaseModel], prefix: str, level: int) -> Iterator[str]:
    """Heading, first line and table of a section, then those of the sections inside it."""
    yield f"{'#' * level} {prefix}"
    yield inspect.cleandoc(section.__doc__ or "").splitlines()[0]
    yield table(HEAD, section_rows(section, f"{prefix}."))
    for name, field in section.model_fields.items():
        for inner in sections(field.annotation):
            yield from section_parts(inner, f"{prefix}.{name}", level + 1)


def section_rows(section: type[BaseModel], prefix: str) -> list[tuple[str, ...]]:
    """A line of the table per setting of a section that holds no section of its own."""
    rows = []
    for name, field in section.model_fields.items():
        meaning = field.description or MEANINGS.get(prefix + name, "")
        if meaning or not sections(field.annotation):
            rows.append(
                (code(prefix + name), type_name(field.annotation), default_of(field), escaped(meaning))
            )
    return rows


def type_name(annotation: Any) -> str:
    """A type in the words of YAML."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(parts[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_name(part) for part in parts if part is not type(None)))
    if origin is typing.Literal:
        return " or ".join(code(str(part)) for part in parts)
    if origin is list:
        return f"list of {type_name(parts[0])}"
    if origin is dict:
        return "section"
    if sections(annotation):
        return "section, or name"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "any")


def default_of(field: FieldInfo) -> str:
    """The default of a setting as YAML writes it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    return yaml_text(value)


def yaml_text(value: Any) -> str:
    """A value as YAML writes it, as code."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True)
    return code(text.removesuffix("...\n").strip())


def option_parts() -> Iterator[str]:
    """The options of each fusion and objective: the keyword arguments of its class."""
    for title, registry in (("fusion", polymodal.FUSIONS), ("objectives.OBJECTIVE", polymodal.OBJECTIVES)):
        rows = []
        for name in registry:
            options = inspect.signature(registry[name]).parameters.values()
            for option in options:
                if option.name in SHARED or option.kind is option.VAR_KEYWORD:
                    continue
                default = "required" if option.default is option.empty else yaml_text(option.default)
                rows.append((code(name), code(option.name), default))
        yield f"## Options in `{title}`"
        yield table(("name", "option", "default"), rows)


def api_pages() -> dict[str, str]:
    """The pages of the Python reference: file name to text."""
    names = {page: [] for page in API}
    for name in polymodal.__all__:
        if name.startswith("__"):
            continue
        home = polymodal._HOME_OF[name]
        page = next(page for page, (_, homes) in API.items() if any(part in home for part in homes))
        names[page].append((name, home))
    return {f"{page}.md": api_page(API[page][0], entries) for page, entries in names.items()}


def api_page(title: str, entries: list[tuple[str, str]]) -> str:
    """One page of the Python reference."""
    parts = [f"# {title}", "`import polymodal as pm`"]
    for name, home in entries:
        options = {"heading": f"pm.{name}", "toc_label": f"pm.{name}"}
        if home == "polymodal.run":  # what runs can do is inherited from the classes that do it
            options["inherited_members"] = "true"
        lines = [
            f"::: {home}.{name}",
            "    options:",
            *(f"      {key}: {text}" for key, text in options.items()),
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
