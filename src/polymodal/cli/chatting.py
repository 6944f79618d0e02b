"""The command that talks to a run that answers in words: chat."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from polymodal import api
from polymodal.cli.options import Device, PrecisionOption, RunArg, Threads, load_any_run

HELP = "{attach}/reset begins anew, /quit ends, Ctrl-C stops an answer."


def chat(
    run: RunArg,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="What stands before the talk.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, metavar="N", help="Most tokens of an answer.")
    ] = None,
    beams: Annotated[
        int | None, typer.Option("--beams", min=1, metavar="N", help="Beams of a beam search.")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Draw words instead of the likeliest.")] = False,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0.01, metavar="NUMBER", help="With --sample: how freely."),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            "--top-p", min=0.01, max=1.0, metavar="NUMBER", help="With --sample: the likeliest share."
        ),
    ] = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
) -> None:
    """Talk to a run that answers in words; /image, /audio and /video attach files, /reset starts again."""

    opened = load_any_run(run, device, precision, threads)
    if not isinstance(opened, api.LanguageRun):
        opened.chat([])  # raises with the reason
    if not (sample or opened.generation.decoding.sample):
        for name, value in {"--temperature": temperature, "--top-p": top_p}.items():
            if value is not None:
                raise typer.BadParameter("it goes with --sample", param_hint=name)
    talk = api.Talk(
        opened, system=system, max_new_tokens=max_new_tokens, beams=beams, sample=sample or None,
        temperature=temperature, top_p=top_p,
    )  # fmt: skip
    attach = "".join(f"/{kind} PATH, " for kind in talk.kinds)
    typer.echo(HELP.format(attach=f"{attach[:-2]} attach a file, " if attach else ""), err=True)
    while (line := _next_line()) is not None:
        if line in ("/quit", "/exit"):
            return
        _answer(talk, line)


def _next_line() -> str | None:
    """The next line of input; None at its end."""
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except (EOFError, KeyboardInterrupt):
        return None


def _answer(talk: api.Talk, line: str) -> None:
    """Execute a command or answer a message; errors are printed and the conversation goes on."""

    command, _, rest = line.partition(" ")
    try:
        if command == "/reset":
            talk.reset()
        elif command.startswith("/") and command[1:] in api.KINDS:
            path = rest.strip().strip("'\"")  # as terminals write what is dropped on them
            talk.attach(command[1:], path)
            typer.echo(f"{path} goes with your next message", err=True)
        elif command.startswith("/"):
            typer.echo(f"error: there is no {command}", err=True)
        elif line or talk.attached:
            _speak(talk, line)
    except api.PolymodalError as error:
        typer.echo(f"error: {error}", err=True)


def _speak(talk: api.Talk, line: str) -> None:

    pieces = talk.say(line)
    try:
        for piece in pieces:
            typer.echo(api.terminal_text(piece), nl=False)
            sys.stdout.flush()
    except KeyboardInterrupt:
        typer.echo(" (stopped)", err=True, nl=False)
    finally:
        pieces.close()  # type: ignore[attr-defined]
    typer.echo()
