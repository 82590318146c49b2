"""Messages of commands on stderr."""

import logging
import sys
import warnings
from contextlib import suppress

import pytest

from behemoth.cli.console import saying


class Own(UserWarning):
    pass


def speak(refused, seen):
    with saying(Own):
        warnings.warn("one thing", Own, stacklevel=1)
        warnings.warn("of a library", DeprecationWarning, stacklevel=1)
        assert len(seen) == 1  # at once: the work may take hours, and be killed
        if refused:
            raise ValueError


@pytest.mark.parametrize("refused", [False, True])
def test_own_warnings_are_lines_and_others_stay_warnings(capsys, refused):
    with pytest.warns(DeprecationWarning, match="of a library") as seen, suppress(ValueError):
        speak(refused, seen)
    said = capsys.readouterr().err
    assert said == ("" if refused else "behemoth: warning: one thing\n")


def test_what_the_package_logs_is_a_line_of_the_command(run, monkeypatch):
    """Once, also if a library has configured logging; and what libraries log stays as it is."""
    root, own = logging.getLogger(), logging.getLogger("behemoth.support.locks")

    def presets():
        library = logging.StreamHandler(sys.stderr)
        root.addHandler(library)
        own.warning("%s\n is %s", "a folder", "taken")
        own.info("of no interest")
        logging.getLogger("another").warning("of a library")
        root.removeHandler(library)
        return ()

    monkeypatch.setattr("behemoth.study.file.presets.preset_names", presets)
    ran = run("study", "presets", "--json")
    assert ran.err == "behemoth: warning: a folder is taken\nof a library\n"
    assert ran.json() == {"presets": []}
    logger = logging.getLogger("behemoth")
    assert logger.propagate and not logger.handlers
