"""The README's Python runs, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_python_block(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block, str(README), "exec"), names)
    # The comment beside the line says what comes out.
    assert repr(names["text"]) in block


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`behemoth ([a-z]+)[ `]", TEXT))))
def test_command_exists(command, run):
    assert run(command, "--help").code == 0
