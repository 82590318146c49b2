"""A connection to a Ray cluster: an existing one, or one that is started here."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from .errors import ArgumentError
from .extras import installing

__all__ = ["ray_cluster"]


@contextmanager
def ray_cluster() -> Generator[Any]:
    """Yield the module `ray`, connected; a cluster that was started here is shut down at the end.

    Ray writes messages about nodes and tasks to stdout, where results belong: inside the block,
    everything that is printed goes to stderr.

    Raises
    ------
    ArgumentError
        When Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ArgumentError(
            "engine", "ray", f"local; ray if it is installed: {installing('ray')}"
        ) from None
    ours = not ray.is_initialized()
    with redirect_stdout(sys.stderr):
        if ours:
            ray.init(log_to_driver=False)
        try:
            yield ray
        finally:
            # Also on Ctrl-C: the workers stop, and another call resumes from what they wrote.
            if ours:
                ray.shutdown()
