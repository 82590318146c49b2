"""What `--help` shows of every command, at 80 columns."""

import pytest
import typer

from behemoth.cli.main import app


def _commands(command, words=()):
    """Yield every command with its words, groups before what they hold."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*words, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))
GROUPS = [words for words, command in COMMANDS.items() if hasattr(command, "commands")]


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_the_descriptions_in_a_list_of_commands_are_whole(words, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, _, listed = run(*words, "--help").out.partition("Commands:\n")
    lines = listed.splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS[words].commands)
    assert [line for line in lines if not line.endswith(".")] == []
    assert [line for line in lines if "..." in line] == []
