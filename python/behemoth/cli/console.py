"""What a person sees: messages on stderr, results on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


class Stopped(Exception):  # noqa: N818 - it is no error
    """Ctrl-C, with a word on how to go on; exit code 130."""


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
    """Make a console for results, or for messages."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def write_json(value: object) -> None:
    """Write one JSON object on stdout."""
    import typer

    typer.echo(json.dumps(value, ensure_ascii=False))


def bytes_text(size: float) -> str:
    """Write a number of bytes for people, in powers of ten as disks are sold."""
    return f"{size:,.0f} bytes" if size < 1000 else f"{count_text(size)}B"


def count_text(number: float) -> str:
    """Write a number in little room: 950, 48.0 k, 1.30 G."""
    for unit in ("", " k", " M", " G", " T"):
        if number < 1000 or unit == " T":
            break
        number /= 1000
    return f"{number:,.0f}" if not unit else f"{number:,.{1 if number >= 10 else 2}f}{unit}"


def rate_text(per_second: float) -> str:
    """Write a rate of tokens for people."""
    return (
        f"{per_second / 1e6:,.0f} million tokens/s"
        if per_second >= 1e7
        else f"{per_second:,.0f} tokens/s"
    )
