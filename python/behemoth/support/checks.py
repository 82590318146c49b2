"""Checks of single arguments: paths and whole numbers; the error names the argument."""

from __future__ import annotations

import errno
import os
import re
import stat
from numbers import Integral
from os import PathLike, fspath
from pathlib import Path

from .errors import ArgumentError

__all__ = ["as_found", "in_the_way", "integral", "is_url", "path_of", "url_or_none", "whole_number"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def in_the_way(path: Path) -> bool:
    """Return whether a path exists and is not a directory.

    This calls `stat` once. With separate calls of ``exists`` and ``is_dir``, a directory that
    another process creates or removes in between could be taken for a file.
    """
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise


def as_found(path: str | PathLike[str]) -> str:
    """Return the text of a path or URL for an error; a path that does not exist is said to be so.

    A reader that refuses a path says what it should hold. Without this, a misspelled path looks
    like a directory of the wrong kind.
    """
    text = fspath(path)
    # Path.exists raises for some paths, such as too long ones: that error would hide the refusal.
    there = is_url(text) or os.path.exists(text)  # noqa: PTH110
    return text if there or not text else f"{text}, which does not exist"


def is_url(value: object) -> bool:
    """Return whether a value is a text with a URL scheme, such as ``s3://bucket/corpus``."""
    return url_or_none(value) is not None


def url_or_none(value: object) -> str | None:
    """Return the value if `is_url` holds for it, else None."""
    return value if isinstance(value, str) and _URL.match(value) else None


def path_of(name: str, value: object, allowed: str = "a path") -> Path:
    """Return an argument as a path; an empty text is refused, not taken for this directory.

    So is a text with a NUL character, which no system has in a path.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(value, str | PathLike) or value == "":
        raise ArgumentError(name, value, allowed)
    if is_url(value):
        here = "a local path (`behemoth pull` fetches from a store, `push` sends to it)"
        raise ArgumentError(name, value, here)
    if "\0" in str(value):
        raise ArgumentError(name, str(value), "a path without a NUL character")
    return Path(value)


def whole_number(name: str, value: object, least: int = 0) -> int:
    """Return an argument as an int of at least `least`; numpy's integers pass, booleans do not.

    Raises
    ------
    ArgumentError
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ArgumentError(name, value, f"a whole number from {least}")
    return int(value)


def integral(name: str, value: object, least: int = 0) -> int:
    """Return an argument as `whole_number` does; whole floats such as 1e6 pass too.

    A command line accepts ``1e6`` as a number of facts or a position, and so do the functions of
    the same names.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> integral("facts", 1e6)
    1000000
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return whole_number(name, value, least)
