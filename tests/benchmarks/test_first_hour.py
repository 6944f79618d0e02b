"""The tasks of the first hour are commands and options that exist, and take no more lines than a peer's."""

import shlex

import pytest
import typer

from polymodal.cli.app import app


@pytest.fixture
def script(monkeypatch):
    from tests.benchmarks.test_benchmarks import FOLDER

    monkeypatch.syspath_prepend(str(FOLDER))
    import first_hour

    return first_hour


def test_our_commands_and_their_options_exist(script):
    known = typer.main.get_command(app).commands
    lines = [line for task in script.TASKS for line in task.ours.splitlines()]
    typed = [shlex.split(line)[1:] for line in lines if line.startswith("polymodal ")]
    for name, *words in [*typed, *(list(words) for words in script.COMMANDS if words[0] in known)]:
        options = {option for entry in known[name].params for option in entry.opts}
        assert {word for word in words if word.startswith("-")} <= options, name


def test_a_task_takes_few_lines(script, capsys):
    script.main(["--lines"])
    printed = capsys.readouterr().out.splitlines()
    assert len(script.TASKS) == 10 and len(printed) >= 12
    for task in script.TASKS:
        peers = [script.lines_of(form.code) for form in (task.autogluon, task.sbert) if form]
        assert script.lines_of(task.ours) <= min(peers, default=3), task.name
        assert all(form.link.startswith("https://") for form in (task.autogluon, task.sbert) if form)
