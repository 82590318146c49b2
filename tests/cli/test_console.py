"""Messages of commands on stderr."""

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
