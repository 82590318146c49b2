"""A Ray cluster to work on: one that is there, or one that is started here."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from .errors import ArgumentError

__all__ = ["ray_cluster"]


@contextmanager
def ray_cluster() -> Generator[Any]:
    """Give the module `ray`, connected; a cluster that was started here ends here.

    What Ray tells of nodes and tasks it writes to stdout, where results belong: for as long as this
    lasts, all that is printed goes to stderr.

    Raises
    ------
    ArgumentError
        When Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ArgumentError(
            "engine", "ray", "local; ray where it is installed: pip install 'behemoth[ray]'"
        ) from None
    ours = not ray.is_initialized()
    with redirect_stdout(sys.stderr):
        if ours:
            ray.init(log_to_driver=False)
        try:
            yield ray
        finally:
            # Also on Ctrl-C: the workers stop, and another call goes on with what they left.
            if ours:
                ray.shutdown()
