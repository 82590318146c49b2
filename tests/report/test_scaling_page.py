"""The ratios on the page of the study of sizes are those of its published edits."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

pytest.importorskip("statsmodels", reason="the report's packages are not installed")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/results/scaling/index.md"
LINES = [line for line in PAGE.read_text().splitlines() if "dose_by_range.py" in line]


@pytest.mark.parametrize("line", LINES)
def test_the_page_shows_what_its_commands_print(line, run_script, monkeypatch):
    prompt, python, *words = shlex.split(line)
    assert (prompt, python) == ("$", "python")
    monkeypatch.chdir(ROOT)
    code, out, err = run_script(*words)
    assert code == 0, err
    for table in out.split("\n\n"):
        assert table in PAGE.read_text()


def test_every_size_and_method_has_its_ratios():
    asked = [shlex.split(line) for line in LINES]
    found = {(words[4], words[-1]) for words in asked}
    assert found == {
        (label, size)
        for label in ("LoRA, rank 1", "fine-tuning")
        for size in ("pico", "nano", "micro")
    }
