"""``--help``: sections, an example of each subcommand that the command line accepts, whole sentences."""

import shlex

import pytest
import typer

from polymodal.cli import app
from tests.support.command import polymodal

COMMANDS = typer.main.get_command(app).commands


def examples(name):
    return [line.split(" > ")[0] for line in COMMANDS[name].epilog.splitlines()]


def test_the_help_lists_every_command_in_a_section_without_cutting_a_sentence():
    text = polymodal("--help").out.partition("\n")[2]  # after the line of its use
    assert text.index("First steps:") < text.index("Train:") < text.index("Use:") and "..." not in text
    listed = " ".join(text.split())
    for name, command in COMMANDS.items():
        sentence = " ".join(command.help.split())
        assert f" {name} {sentence}" in listed and sentence.endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples_that_parse(name):
    text = polymodal(name, "--help").out
    assert any(line.startswith(f"polymodal {name}") for line in examples(name))
    for line in examples(name):
        program, command, *arguments = shlex.split(line)
        assert program == "polymodal" and f"  {line}" in text
        assert COMMANDS[command].make_context(command, arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_shows_a_type_of_python(name):
    text = polymodal(name, "--help").out
    assert not any(sign in text for sign in ("<str>", "<path>", "list[", "<int", "<float"))


@pytest.mark.parametrize(
    "line, said",
    [
        (
            "predict run t.csv -o x.csv --engine rai",
            "'--engine': there is no 'rai'. Did you mean 'ray'? There are: processes, ray",
        ),
        (
            "demo --data house",
            "'--data': there is no 'house'. Did you mean 'houses'? There are: digits, houses",
        ),
        (
            "report run --amount ful",
            "'--amount': there is no 'ful'. Did you mean 'full'? There are: short, full",
        ),
        (
            "predict run t.csv -o x.csv --batch-size 0",
            "'--batch-size': Input should be greater than or equal to 1",
        ),
    ],
)
def test_a_wrong_choice_is_refused_with_the_nearest_one(line, said):
    result = polymodal(*line.split())
    assert result.status == 2 and result.err.splitlines()[-1] == f"Error: Invalid value for {said}"
