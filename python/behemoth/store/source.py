"""Local directories for paths and URLs: the only part of this package that readers need.

A path is returned as it is, without importing any store.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from behemoth.support.checks import is_url, path_of
from behemoth.support.progress import ProgressLike

__all__ = ["COPIES", "at_hand", "cache_directory", "in_copy", "name_of"]

COPIES = "copies"
"""Name of the folder of the cache with copies of directories in stores."""

_OF_COPY = re.compile(r"(.+)-[0-9a-f]{12}-[0-9a-f]{12}")


def cache_directory() -> Path:
    """Return ``$BEHEMOTH_CACHE``, or ``~/.cache/behemoth`` if it is not set."""
    configured = os.environ.get("BEHEMOTH_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "behemoth"


def in_copy(path: Path) -> bool:
    """Return whether a path is, or is in, a copy in the cache, which holds only files of a store.

    What is written there is lost with the copy, and removed when it is made complete again.
    """
    return _copies() in path.resolve().parents


def _copies() -> Path:
    return (cache_directory() / COPIES).resolve()


def name_of(directory: Path) -> str:
    """Return the name of a directory; of a copy in the cache the one that its URL ends with."""
    place = directory.resolve()
    is_copy = place.parent == _copies()
    match = _OF_COPY.fullmatch(place.name) if is_copy else None
    return match[1] if match else place.name


def at_hand(
    argument: str, value: object, allowed: str = "a path", progress: ProgressLike = None
) -> Path:
    """Return the local path of a directory; for a URL, the path of its updated copy.

    Copies are in ``$BEHEMOTH_CACHE`` (default ``~/.cache/behemoth``), one for each URL and what it
    holds. A copy stays for as long as this process lives, even if the URL then holds another
    directory.

    Parameters
    ----------
    argument : str
        Name of the argument, for error messages.
    value : path or str
    allowed : str
        Allowed values, for the error message if it is not a path.
    progress : callable or Progress, optional
        Called with the progress of the transfer.

    Raises
    ------
    ArgumentError
        If it is neither, or nothing written by Behemoth is at the URL.
    CorpusError
        If the directory there is unfinished or damaged.
    StoreError
    MissingExtraError
    """
    if not is_url(value):
        return path_of(argument, value, allowed)
    from .cache import copy_of

    return copy_of(argument, str(value), progress)
