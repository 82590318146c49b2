"""TOML from people or unknown sources, restricted to the values that JSON also has."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from .errors import ArgumentError

__all__ = ["no_toml", "not_utf8", "read_toml"]


def no_toml(argument: str, file: str, error: ValueError) -> ArgumentError:
    """Return the refusal of a file that `read_toml` cannot read, with the place of the mistake.

    Parameters
    ----------
    argument, file : str
        Names of the argument and of the file.
    error : ValueError
        The error of `read_toml`, or that of decoding the file.

    Examples
    --------
    >>> print(no_toml("spec", "a.toml", ValueError("Invalid value (at line 1, column 5)")))
    argument 'spec': got a.toml (line 1, column 5: invalid value), allowed: valid TOML
    """
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(argument, file, error)
    reason, _, place = str(error).partition(" (at ")
    if place:
        reason = f"{place.removesuffix(')')}: {reason[0].lower()}{reason[1:]}"
    return ArgumentError(argument, f"{file} ({reason})", "valid TOML")


def not_utf8(argument: str, file: str, error: UnicodeDecodeError) -> ArgumentError:
    """Return the refusal of a file that is not text, with the first byte that is not UTF-8."""
    return ArgumentError(argument, f"{file} (not UTF-8 at byte {error.start})", "UTF-8 text")


def read_toml(text: str) -> dict[str, Any]:
    """Read TOML that consists of tables, lists, texts, numbers and booleans.

    Raises
    ------
    ValueError
        When it is not TOML, contains a date or a time, which no table here uses, or is nested
        deeper than Python's recursion limit.

    Examples
    --------
    >>> read_toml("a = 2020-01-01")
    Traceback (most recent call last):
    ValueError: a is a date, which is not allowed here
    """
    try:
        table = tomllib.loads(text)
        _check(table, "")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return table


def _check(value: object, name: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check(item, f"{name}[{number}]")
    elif not isinstance(value, str | int | float):
        raise ValueError(f"{name} is a {type(value).__name__}, which is not allowed here")
