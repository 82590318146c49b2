"""Messages of commands on stderr."""

import warnings
from contextlib import suppress

import pytest

from behemoth.cli.console import saying


class Own(UserWarning):
    pass


def speak(refused):
    with saying(Own):
        warnings.warn("one thing", Own, stacklevel=1)
        warnings.warn("of a library", DeprecationWarning, stacklevel=1)
        if refused:
            raise ValueError


@pytest.mark.parametrize("refused", [False, True])
def test_own_warnings_are_lines_and_others_stay_warnings(capsys, refused):
    with pytest.warns(DeprecationWarning, match="of a library"), suppress(ValueError):
        speak(refused)
    said = capsys.readouterr().err
    assert said == ("" if refused else "behemoth: warning: one thing\n")
