"""A connection to a Ray cluster: an existing one, or one that is started here."""

from __future__ import annotations

import signal
import sys
import threading
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
            with _keeping_sigterm():
                ray.init(log_to_driver=False)
        try:
            yield ray
        finally:
            # Also on Ctrl-C: the workers stop, and another call resumes from what they wrote.
            if ours:
                ray.shutdown()


@contextmanager
def _keeping_sigterm() -> Generator[None]:
    """Set the program's own handler of SIGTERM again after the block, in which Ray starts.

    Ray puts two in its place: one exits with 15, the other, in C++, prints a stack first.
    """
    kept = signal.getsignal(signal.SIGTERM)
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or kept in (None, signal.SIG_DFL):
        yield
        return
    exited = False
    try:
        yield
    except SystemExit as stop:
        exited = stop.code == signal.SIGTERM  # by Ray's handler
        if not exited:
            raise
    finally:
        signal.signal(signal.SIGTERM, kept)
    if exited:
        signal.raise_signal(signal.SIGTERM)
