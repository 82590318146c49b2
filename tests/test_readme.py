"""The README's Python runs, and its commands exist."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from behemoth.cli.main import click_command

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
LINES = sorted(set(re.findall(r"(?:`|\$ |&& )behemoth ([a-z][^`\n#&]*[^`\n#& ])", TEXT)))
ANYWHERE = {"--help", "--debug", "--no-verify"}
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_python_block(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block, str(README), "exec"), names)
    # The comment beside the line says what comes out.
    assert repr(names["text"]) in block


@pytest.mark.parametrize("line", LINES)
def test_command_and_options_exist(line):
    command, words = click_command(), shlex.split(line)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options | ANYWHERE


def test_every_mention_of_a_command_is_tried():
    mentioned = set(re.findall(r"(?:`|\$ |&& )behemoth ([a-z]+)", TEXT))
    assert len(mentioned) > 10
    assert {line.split()[0] for line in LINES} == mentioned


def test_for_pypi_every_link_is_absolute():
    """Images too, which PyPI shows only from an address that gives the file itself."""
    absolute = runpy.run_path(str(README.parent / ".ci" / "readme.py"))["absolute"]
    made = absolute(TEXT, "v1.2.3")
    targets = re.findall(r"\]\(([^)\s]+)\)", made)
    assert len(targets) == len(re.findall(r"\]\(([^)\s]+)\)", TEXT))
    assert all(target.startswith(("https://", "#")) for target in targets)
    images = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", made)
    raw = "https://raw.githubusercontent.com/behemoth-lab/behemoth/v1.2.3/docs/images/"
    assert images and all(image.startswith(raw) for image in images)
    assert absolute("[a](#b) [c](https://d.e)", "x") == "[a](#b) [c](https://d.e)"
