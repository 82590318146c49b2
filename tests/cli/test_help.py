"""What `--help` shows of every command, at 80 columns."""

import re

import pytest

from behemoth.cli.main import click_command


def _commands(command, words=()):
    """Yield every command with its words, groups before what they hold."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*words, name))


COMMANDS = dict(_commands(click_command()))
GROUPS = [words for words, command in COMMANDS.items() if hasattr(command, "commands")]


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_the_descriptions_in_a_list_of_commands_are_whole(words, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, _, listed = run(*words, "--help").out.partition("Commands:\n")
    lines = listed.splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS[words].commands)
    assert [line for line in lines if not line.endswith(".")] == []
    assert [line for line in lines if "..." in line] == []


def _named(words):
    """Return the positional arguments of a command, each as a path that does not exist."""
    kinds = COMMANDS[words].params
    return ["nowhere" for item in kinds if item.param_type_name == "argument" and item.required]


def _options(words):
    """Return the options of a command by their names, with their help."""
    return {
        name: item.help or ""
        for item in COMMANDS[words].params
        for name in item.opts
        if item.param_type_name == "option"
    }


def _missing(ran):
    """Return the option that a command misses, or None."""
    found = re.search(r"argument '(--[\w-]+)': got nothing, allowed: (?!a value)", ran.err)
    return found and found[1]


LEAVES = [words for words in COMMANDS if words not in GROUPS]


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_required_options_are_marked(words, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    marked = [name for name, text in _options(words).items() if "[required" in text]
    for absent in marked:
        given = [word for name in marked if name != absent for word in (name, "nowhere")]
        assert _missing(run(*words, *_named(words), *given)) == absent
    # Other commands refuse nothing here: they would do their work.
    if _named(words):
        given = [word for name in marked for word in (name, "nowhere")]
        assert _missing(run(*words, *_named(words), *given)) is None


def test_what_is_refused_as_absent_is_marked(run):
    """Also the options that are required only without another one."""
    marks = {
        ("gen", "--out"): "[required unless --dry-run or --finish]",
        ("study run", "--out"): "[required unless --dry-run]",
        ("evaluate", "--plan"): "[required unless --suite recall]",
        ("edit", "--plan"): "[required]",
        ("edit", "--method"): "[required]",
        ("edit", "--out"): "[required]",
        ("export", "--to"): "[required]",
    }
    for (words, name), mark in marks.items():
        assert _options(tuple(words.split()))[name].endswith(mark)
    assert _missing(run("gen", "--finish", "nowhere")) is None
    assert run("evaluate", "nowhere", "--out", "f").refused(2).startswith("argument '--plan': got")
    assert _missing(run("evaluate", "nowhere", "--suite", "recall", "--out", "f")) is None
