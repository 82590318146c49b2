"""Checks of single arguments: paths and whole numbers; the error names the argument."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection
from numbers import Integral
from os import PathLike, fspath
from pathlib import Path

from .errors import ArgumentError
from .kinds import kind_of

__all__ = [
    "LARGEST", "as_found", "check_directory", "check_permission", "flag", "in_the_way", "integral",
    "is_url", "part_of", "path_of", "url_or_none", "whole_number",
]  # fmt: skip

LARGEST = 2**63 - 1
"""Largest whole number that records, the engine and the command line can hold."""
_NAME = 255
"""Largest number of bytes that the usual file systems allow in a name."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def in_the_way(path: Path) -> str | None:
    """Return what is at a path that can become no directory; None for a directory or nothing.

    A link to nothing is in the way too: no directory can be made through it. The path is not asked
    for `exists` and `is_dir` in turn: a directory that another process creates or removes in
    between could be taken for a file.
    """
    try:
        return None if stat.S_ISDIR(path.stat().st_mode) else "a file"
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
    return "a link to nothing" if path.is_symlink() else None


def check_directory(name: str, path: Path, allowed: str = "a new or empty directory") -> None:
    """Refuse a path at which no directory can be made because something else is there.

    Raises
    ------
    ArgumentError
    """
    if (found := in_the_way(path)) is not None:
        raise ArgumentError(name, f"{path}, {found}", allowed)


def check_permission(path: Path) -> None:
    """Refuse a place in which a result could not be written, before the work for it.

    Raises
    ------
    PermissionError
        For `path`; as for a disk that fails, no other value of the argument is said to be allowed.
    """
    folder = next((place for place in (path, *path.parents) if place.is_dir()), None)
    if folder is not None and not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def as_found(path: str | PathLike[str], unknown: str = "") -> str:
    """Return the text of a path or URL for an error, with what is there: nothing, or ``a run``.

    A reader that refuses a path says what it should hold. Without this, a misspelled path looks
    like a directory of the wrong kind, and a directory of the wrong kind like a damaged one.

    Parameters
    ----------
    path : path
    unknown : str
        What is said of a path of no known kind that is not empty, such as ``none of these``.
    """
    text = fspath(path)
    if is_url(text) or not text:
        return text
    # Quoted here if need be: the error would quote what follows as well.
    shown = text if text.isprintable() else repr(text)
    # Path.exists raises for some paths, such as too long ones: that error would hide the refusal.
    if not os.path.exists(text):  # noqa: PTH110
        return f"{shown}, which does not exist"
    kind = kind_of(Path(text)) or ("empty" if _is_empty(Path(text)) else unknown)
    return f"{shown}, which is {kind}" if kind else text


def check_unclaimed(argument: str, place: Path, allowed: str, *, but: Collection[str] = ()) -> None:
    """Refuse to write into a directory of a known kind, except those of `but`, such as ``a spec``.

    Raises
    ------
    ArgumentError
    """
    kind = kind_of(place)
    if kind is not None and kind not in but:
        raise ArgumentError(argument, f"{place}, which is {kind}", allowed)


def _is_empty(place: Path) -> bool:
    """Return whether a path is a file without bytes, or a directory without entries."""
    try:
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            return next(place.iterdir(), None) is None
        return stat.S_ISREG(status.st_mode) and status.st_size == 0
    except OSError:  # not to be read: the refusal says enough
        return False


def is_url(value: object) -> bool:
    """Return whether a value is a text with a URL scheme, such as ``s3://bucket/corpus``."""
    return url_or_none(value) is not None


def url_or_none(value: object) -> str | None:
    """Return the value if `is_url` holds for it, else None."""
    return value if isinstance(value, str) and _URL.match(value) else None


def path_of(name: str, value: object, allowed: str = "a path", *, beside: Path = Path()) -> Path:
    """Return an argument as a path; an empty text is refused, not taken for this directory.

    So is a text with a NUL character, which no system has in a path, and one with a longer name
    than file systems have: the system would refuse it somewhere later, in words of its own. A name
    whose bytes are not UTF-8 is refused because the engine and the records hold text alone. So is
    ``DIR/new/..`` where ``DIR/new`` does not exist: to look for it finds nothing, to make it, DIR.
    Relative paths are looked for from `beside`, and returned as they are.

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
    path = Path(value)
    try:
        longest = max(map(len, map(os.fsencode, path.parts)), default=0)
    except UnicodeEncodeError:  # half of a surrogate pair
        raise ArgumentError(name, str(value), "a path that this system can encode") from None
    try:
        str(path).encode()
    except UnicodeEncodeError:  # bytes that Python has decoded to halves of surrogate pairs
        raise ArgumentError(name, str(value), "a path whose names are UTF-8") from None
    if longest > _NAME:
        raise ArgumentError(name, fspath(value), f"a path with names of up to {_NAME} bytes")
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ArgumentError(name, fspath(value), "a shorter path") from None
    for at, part in enumerate(path.parts):
        # Path.is_dir raises for directories that may not be read.
        if part == ".." and not os.path.isdir(beside.joinpath(*path.parts[:at])):  # noqa: PTH112
            raise ArgumentError(name, fspath(value), "a path with '..' only after directories")
    return path


def flag(name: str, value: object) -> bool:
    """Return an argument as a bool; numpy's pass, and all else is refused.

    Numbers and texts have truth values too, but records have none for them, and that of ``"no"``
    is true.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> flag("force", False)
    False
    """
    if isinstance(value, bool):
        return value
    # By name: this module is imported by commands that need no numpy.
    if (type(value).__module__, type(value).__name__) in (("numpy", "bool"), ("numpy", "bool_")):
        return bool(value)
    raise ArgumentError(name, value, "True or False")


def part_of(value: object) -> tuple[int, int]:
    """Return the argument `part`, which is (i, n) for part i of n.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> part_of((0, 4))
    (0, 4)
    """
    allowed = "(i, n), part i of n, with i from 0 to n - 1"
    if not isinstance(value, tuple) or len(value) != 2:
        raise ArgumentError("part", value, allowed)
    try:
        number, parts = whole_number("part", value[0]), whole_number("part", value[1], 1)
    except ArgumentError:
        raise ArgumentError("part", value, allowed) from None
    if number >= parts:
        raise ArgumentError("part", value, allowed)
    return number, parts


def whole_number(name: str, value: object, least: int = 0) -> int:
    """Return an argument as an int of at least `least`; numpy's integers pass, booleans do not.

    The result is an int, which records can hold and arithmetic does not overflow; use it in place
    of the argument.

    Raises
    ------
    ArgumentError
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ArgumentError(name, value, f"a whole number from {least}")
    if int(value) > LARGEST:
        raise ArgumentError(name, value, f"a whole number up to {LARGEST}")
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
