"""Local directories for paths and URLs: the only part of this package that readers need.

A path is returned as it is, without importing any store.
"""

from __future__ import annotations

from pathlib import Path

from behemoth.support.checks import is_url, path_of
from behemoth.support.progress import ProgressLike

__all__ = ["at_hand"]


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
