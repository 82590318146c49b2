"""A directory in a store, and the few things that are asked of one.

Three are all there is to a store: objects are whole or not there, they are listed with their sizes,
and any range of one can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from .url import Url, read_url

__all__ = ["Moved", "Place", "open_place"]

Moved = Callable[[int], object]
"""Is told of bytes as they are moved, 0 before the first; what it raises stops the work."""

RANGE = 16 << 20
"""Bytes that are asked for at once."""


class Place(Protocol):
    """A directory in a store.

    Attributes
    ----------
    url : str
    """

    url: str

    def sizes(self) -> dict[str, int]:
        """Bytes of all files below it, by their names from it on."""
        ...

    def read(self, name: str) -> bytes | None:
        """What a small file holds; None where there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a small file, whole or not at all."""
        ...

    def send(self, name: str, file: Path, moved: Moved) -> None:
        """Write a file of this machine, whole or not at all; what is there is replaced."""
        ...

    def fetch(self, name: str, file: Path, size: int, moved: Moved) -> None:
        """Add to a file of this machine what it has not yet of one of `size` bytes."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, as far as they are there."""
        ...


def open_place(argument: str, url: str | Url) -> Place:
    """Open a directory in a store, which need not be there.

    Parameters
    ----------
    argument : str
        What the URL is called where it was given.
    url : str or Url

    Raises
    ------
    ArgumentError
        When it is no URL of a store.
    MissingExtraError
        When the package that knows the protocol is not installed.
    """
    parsed = url if isinstance(url, Url) else read_url(argument, url)
    if parsed.protocol == "file":
        from .folder import Folder

        return Folder(parsed)
    from .objects import Objects

    return Objects(parsed)
