"""TOML from people or unknown sources, restricted to the values that JSON also has."""

from __future__ import annotations

import json
import re
import tomllib
from codecs import getincrementaldecoder
from collections.abc import Mapping
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any

from .errors import ArgumentError, within

__all__ = ["check_utf8", "no_toml", "not_utf8", "read_toml", "written_toml"]

# tomllib takes quadratic time for the names of one key: 16 s for 16,000 of them.
_KEY_NAMES = 100
_NAME = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
# A search begins only where a key can, and not within a name, so that its time is linear.
_LONG_KEY = re.compile(
    rf"(?:^|[\[{{,])[ \t]*+(?:{_NAME}[ \t]*+\.[ \t]*+){{{_KEY_NAMES}}}", re.MULTILINE
)


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


def check_utf8(argument: str, file: str, data: bytes) -> None:
    """Refuse bytes of a file that are not UTF-8; the last character may be cut off.

    Raises
    ------
    ArgumentError
    """
    try:
        getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError as error:
        raise not_utf8(argument, file, error) from None


def read_toml(text: str) -> dict[str, Any]:
    """Read TOML that consists of tables, lists, texts, numbers and booleans.

    Raises
    ------
    ValueError
        When it is not TOML, contains a date or a time, which no table here uses, is nested deeper
        than Python's recursion limit, or has a key of more than 100 names (``a.b.c`` has three).

    Examples
    --------
    >>> read_toml("a = 2020-01-01")
    Traceback (most recent call last):
    ValueError: a is a date, which is not allowed here
    """
    if (long := _LONG_KEY.search(text)) is not None:
        line = text.count("\n", 0, long.start()) + 1
        raise ValueError(f"A key has more than {_KEY_NAMES} names (at line {line})")
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


def written_toml(table: Mapping[str, Any]) -> str:
    """Write tables, lists, texts, numbers and booleans as TOML, which `read_toml` reads.

    Tables and lists of tables at the top have headings; what they contain is written in lines.
    Numbers may be numpy's, lists tuples, and texts paths.

    Raises
    ------
    ArgumentError
        For a value of another type, or a key that is not a text.

    Examples
    --------
    >>> print(written_toml({"name": "a", "world": {"subjects": 9}, "method": [{"name": "lora"}]}))
    name = "a"
    <BLANKLINE>
    [world]
    subjects = 9
    <BLANKLINE>
    [[method]]
    name = "lora"
    <BLANKLINE>
    """
    heads = {key: value for key, value in table.items() if _parts(value) is None}
    lines = _lines(heads)
    for key, value in table.items():
        parts = _parts(value)
        if parts is None:
            continue
        name = _key(key)
        head = f"[{name}]" if isinstance(value, Mapping) else f"[[{name}]]"
        for part in parts:
            with within(key):
                lines += ["", head, *_lines(part)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _parts(value: object) -> list[Mapping[str, Any]] | None:
    """Return the tables that a value at the top is written as; None for one in a line."""
    if isinstance(value, Mapping):
        return [value]
    tables = isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value)
    return list(value) if tables and value else None  # type: ignore[call-overload]


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_inline(key, value)}" for key, value in table.items()]


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ArgumentError("key", key, "a text")
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _inline(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | PathLike):
        return _text(fspath(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(_inline(name, item) for item in value)}]"
    if isinstance(value, Mapping):
        with within(name):
            return f"{{ {', '.join(_lines(value))} }}" if value else "{}"
    raise ArgumentError(name, value, "a table, a list, a text, a number, or True or False")


def _text(value: str) -> str:
    # TOML's texts are JSON's but for one more character that must not stand by itself.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
