"""The command that talks to a run that answers in words: chat."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from glob import glob
from typing import Annotated

import typer

from polymodal import api
from polymodal.cli.options import Device, PrecisionOption, RunArg, Threads, load_any_run

COMMANDS = {
    "/reset": "begin a new conversation",
    "/help": "list the commands",
    "/quit": "end; Ctrl-D does too",
}
"""What may be typed besides messages and ``/image PATH``, with what it does."""
KEYS = {
    "Ctrl-C": "stop an answer; at the prompt, end",
    "arrows": "edit the line, or go back to earlier ones, which no file keeps",
    "Tab": "complete commands and paths",
}


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
    """Talk to a run that answers in words; /help lists what can be typed, such as /image PATH."""

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
    typer.echo(banner(opened, talk), err=True)
    edit_lines(talk.kinds)
    while (line := next_line()) is not None:
        if line in ("/quit", "/exit"):
            return
        _answer(talk, line)


def banner(run: api.LanguageRun, talk: api.Talk) -> str:
    """What answers, what can be attached, and how to get help: one line."""
    model = f"{run.model.config.get_text_config().model_type}, {run.model.num_parameters():,} parameters"
    attach = "".join(f", /{kind} PATH attaches a file" for kind in talk.kinds[:1])
    return f"{run.folder}: {model}{attach}, /help lists all commands, /quit ends."


def help_lines(kinds: Sequence[str]) -> list[str]:
    """The commands and keys, one a line."""
    attach = {f"/{kind} PATH": f"attach a file of {kind} to the next message" for kind in kinds}
    every = attach | COMMANDS | KEYS
    width = max(map(len, every))
    return [f"{name:<{width}}  {what}" for name, what in every.items()]


def edit_lines(kinds: Sequence[str]) -> None:
    """Let a terminal edit lines, go back to earlier ones and complete; by readline, where Python has it."""
    if not sys.stdin.isatty():
        return
    try:
        import readline
    except ImportError:  # on Windows, whose console edits lines itself
        return
    readline.set_completer_delims(" ")
    readline.set_completer(lambda text, state: dict(enumerate(completions(text, kinds))).get(state))
    readline.parse_and_bind("tab: complete")


def completions(text: str, kinds: Sequence[str]) -> list[str]:
    """The commands or the paths that begin with the last word of a line."""
    commands = [*(f"/{kind}" for kind in kinds), *COMMANDS]
    return [name for name in commands if name.startswith(text)] or sorted(glob(f"{text}*"))


def next_line() -> str | None:
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
        elif command == "/help":
            typer.echo("\n".join(help_lines(talk.kinds)), err=True)
        elif command.startswith("/") and command[1:] in api.KINDS:
            path = rest.strip().strip("'\"")  # as terminals write what is dropped on them
            talk.attach(command[1:], path)
            typer.echo(f"{path} goes with your next message", err=True)
        elif command.startswith("/"):
            known = [*(f"/{kind}" for kind in talk.kinds), *COMMANDS]
            typer.echo(f"error: there is no {command}. {api.did_you_mean(command, known)}", err=True)
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
