"""What single arguments may be: paths, and whole numbers; anything else is refused by its name."""

from __future__ import annotations

import errno
import re
import stat
from numbers import Integral
from os import PathLike
from pathlib import Path

from .errors import ArgumentError

__all__ = ["in_the_way", "is_url", "path_of", "url_or_none", "whole_number"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def in_the_way(path: Path) -> bool:
    """Whether something is at a path that is no directory.

    Looked at once: of two looks, one whether it is there and one what it is, the second may find
    nothing where several processes make a directory at a time, and would call it a file.
    """
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise


def is_url(value: object) -> bool:
    """Whether a value is text that names a place by a protocol, such as ``s3://bucket/corpus``."""
    return url_or_none(value) is not None


def url_or_none(value: object) -> str | None:
    """Give a value that is such text, and nothing of any other."""
    return value if isinstance(value, str) and _URL.match(value) else None


def path_of(name: str, value: object, allowed: str = "a path") -> Path:
    """Give an argument as a path; an empty text is none, and does not stand for this directory.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(value, str | PathLike) or value == "":
        raise ArgumentError(name, value, allowed)
    if is_url(value):
        here = "a local path (`behemoth pull` fetches from a store, `push` sends to it)"
        raise ArgumentError(name, value, here)
    return Path(value)


def whole_number(name: str, value: object, least: int = 0) -> int:
    """Give an argument as a whole number from `least` on; truth values are none, numpy's are.

    Raises
    ------
    ArgumentError
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ArgumentError(name, value, f"a whole number from {least}")
    return int(value)
