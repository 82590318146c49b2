"""The README's Python runs, and its commands exist."""

from __future__ import annotations

import re
import runpy
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
