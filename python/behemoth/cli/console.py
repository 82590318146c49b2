"""What a person sees: messages on stderr, results on stdout."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


class Stopped(Exception):  # noqa: N818 - it is no error
    """Ctrl-C or SIGTERM, with a hint on how to resume."""


def keep_interrupts() -> None:
    """Take Ctrl-C back from polars, for the rest of this process.

    Polars hooks SIGINT when it is imported, and a query that writes a file then dies of a
    panic in one of its threads, with a backtrace on stderr. Python's own handler stops our
    queries at their source.
    """
    import signal
    from importlib import import_module

    import_module("polars")  # so that its hook is there to be replaced
    handler = signal.getsignal(signal.SIGINT)
    if handler is not None:
        signal.signal(signal.SIGINT, handler)


def console(*, stderr: bool = False) -> Console:
    """Make a console for results, or for messages; paths and names may have brackets and colons."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


def write_json(value: object) -> None:
    """Write one JSON object on stdout."""
    import typer

    typer.echo(json.dumps(value, ensure_ascii=False))


def write_columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> None:
    """Write rows in columns on stdout, as wide as the terminal at most; the first is the header."""
    from shutil import get_terminal_size

    import typer

    from behemoth.support.text import columns_text

    typer.echo(columns_text(rows, get_terminal_size().columns, right))


@contextmanager
def resumable(out: str) -> Generator[None]:
    """Report on Ctrl-C and SIGTERM how to resume unfinished work."""
    try:
        yield
    except KeyboardInterrupt as stop:
        what = f"{stop}; " if str(stop) else ""
        raise Stopped(f"{what}run the same command again to resume {out}") from stop
