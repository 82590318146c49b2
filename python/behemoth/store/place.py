"""A directory in a store, and the operations it has to support.

Only three properties of a store are assumed: an object is either complete or absent, objects are
listed with their sizes, and any range of an object can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from .url import Url, read_url

__all__ = ["Moved", "Place", "open_place"]

Moved = Callable[[int], object]
"""Called with each number of bytes transferred, first with 0; raising in it stops the work."""

RANGE = 16 << 20
"""Bytes requested at a time."""


class Place(Protocol):
    """A directory in a store.

    Attributes
    ----------
    url : str
    """

    url: str

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of every file below it, by name relative to it."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the contents of a small file, or None if it does not exist."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a small file, completely or not at all."""
        ...

    def send(self, name: str, file: Path, moved: Moved) -> None:
        """Write a local file, completely or not at all, replacing any existing one."""
        ...

    def fetch(self, name: str, file: Path, size: int, moved: Moved) -> None:
        """Append the missing bytes of a file of `size` bytes to a local file."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Remove those of the files that exist."""
        ...


def open_place(argument: str, url: str | Url) -> Place:
    """Open a directory in a store, which need not exist.

    Parameters
    ----------
    argument : str
        Name of the argument, for error messages.
    url : str or Url

    Raises
    ------
    ArgumentError
        If it is not the URL of a store.
    MissingExtraError
        If the package for the protocol is not installed.
    """
    parsed = url if isinstance(url, Url) else read_url(argument, url)
    if parsed.protocol == "file":
        from .folder import Folder

        return Folder(parsed)
    from .objects import Objects

    return Objects(parsed)
