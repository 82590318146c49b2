"""What a path or a URL leads to on this machine: all that readers need to know of stores.

A path is what it is, and nothing of a store is loaded.
"""

from __future__ import annotations

from pathlib import Path

from behemoth.support.checks import is_url, path_of
from behemoth.support.progress import ProgressLike

__all__ = ["at_hand"]


def at_hand(
    argument: str, value: object, allowed: str = "a path", progress: ProgressLike = None
) -> Path:
    """Give a directory as a path: of a URL that of its copy, which is brought up to date.

    Copies are in ``$BEHEMOTH_CACHE`` (``~/.cache/behemoth``), one for each URL.

    Parameters
    ----------
    argument : str
        What the value is called where it was given.
    value : path or str
    allowed : str
        What it may be, for the refusal of what is no path.
    progress : callable or Progress, optional
        Who looks on while it is brought.

    Raises
    ------
    ArgumentError
        When it is neither, or nothing of ours is at the URL.
    CorpusError
        When what is there is not finished, or damaged.
    StoreError
    MissingExtraError
    """
    if not is_url(value):
        return path_of(argument, value, allowed)
    from .cache import copy_of

    return copy_of(argument, str(value), progress)
