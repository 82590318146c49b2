"""What holds for all tests: none is lost that cannot be imported, and none is up against time."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("text", ["import there_is_none", "x = (", "raise RuntimeError"])
def test_what_cannot_be_imported_is_no_skip(tmp_path, text):
    """`--doctest-ignore-import-errors` skipped it, and left nothing of it to collect."""
    file = tmp_path / "test_broken.py"
    file.write_text(f"{text}\n\n\ndef test_it():\n    pass\n")
    words = (
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        tmp_path,
        "-c",
        ROOT / "pyproject.toml",
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *words, file], capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.returncode == 2, ran.stdout
    assert "1 error" in ran.stdout


def test_examples_may_take_as_long_as_they_do():
    assert settings().deadline is None
