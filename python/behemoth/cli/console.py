"""Output of commands: messages on stderr, results on stdout."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import isfinite
from os import PathLike, fspath
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from behemoth.support.checks import is_url
from behemoth.support.signals import stop_behind

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


_LEAST_WIDTH = 40


class Stopped(Exception):  # noqa: N818 - not an error
    """Ctrl-C or SIGTERM, with a hint on how to resume."""


def keep_interrupts() -> None:
    """Restore Python's handler of Ctrl-C, which polars replaces, for the rest of this process.

    Polars hooks SIGINT when it is imported; a query that writes a file then ends with a panic in
    one of its threads and a backtrace on stderr. Python's handler stops queries at their source.
    """
    import signal
    from importlib import import_module

    import_module("polars")  # so that its hook exists and can be replaced
    handler = signal.getsignal(signal.SIGINT)
    if handler is not None:
        signal.signal(signal.SIGINT, handler)


def console(*, stderr: bool = False) -> Console:
    """Return a console for results or messages, which prints brackets and colons unchanged."""
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)
    # In a narrower one the columns of a table have no room, and their numbers are not printed.
    made.width = max(made.width, _LEAST_WIDTH)
    return made


def values_table() -> Table:
    """Return an empty table of names and values, whose long paths continue in the next line."""
    from rich.table import Table

    made = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    made.add_column()
    made.add_column(overflow="fold")
    return made


def word(path: str | PathLike[str]) -> str:
    """Return a path as one word of a command that is advised, to be pasted into a shell.

    Examples
    --------
    >>> word("runs/one"), word("my run"), word("-run")
    ('runs/one', "'my run'", './-run')
    """
    text = fspath(path)
    # An option otherwise.
    return quote(f"./{text}" if text.startswith("-") else text)


def warn(message: str) -> None:
    """Print a warning to stderr."""
    console(stderr=True).print(f"behemoth: warning: {message}")


class _Lines(logging.Handler):
    """Writes what is logged as lines in the form of `warn`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line to the stderr of the moment, which a bar replaces to stay below it."""
        try:
            text = " ".join(record.getMessage().split())
            sys.stderr.write(f"behemoth: {record.levelname.lower()}: {text}\n")
        except (OSError, TypeError, ValueError):
            self.handleError(record)


@contextmanager
def logging_lines() -> Generator[None]:
    """Write what the package logs, warnings and worse, to stderr as lines of the command.

    Python would write the message alone. What a library adds to the root logger would write it a
    second time, so nothing is passed on to it.
    """
    logger, lines = logging.getLogger("behemoth"), _Lines(logging.WARNING)
    passed_on, logger.propagate = logger.propagate, False
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.propagate = passed_on


@contextmanager
def collecting(category: type[Warning]) -> Generator[list[str]]:
    """Collect the messages of warnings of a category; others are shown at once, as by Python."""
    told: list[str] = []
    show = warnings.showwarning

    def keep(message: Warning | str, of: type[Warning], *where: Any) -> None:
        if issubclass(of, category):
            told.append(str(message))
        else:
            show(message, of, *where)

    with warnings.catch_warnings():
        warnings.simplefilter("always", category)
        warnings.showwarning = keep
        yield told


@contextmanager
def saying(category: type[Warning]) -> Generator[None]:
    """Print warnings of a category with `warn` when the work has ended.

    Work that is refused ends with one line, its error.
    """
    with collecting(category) as told:
        yield
    for message in told:
        warn(message)


def write_json(value: object) -> None:
    """Write one JSON object on stdout; numbers that are not finite become null."""
    import typer

    typer.echo(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False))


def _finite(value: object) -> object:
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def write_columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> None:
    """Write rows in columns on stdout, within the terminal's width; the first is the header."""
    from shutil import get_terminal_size

    import typer

    from behemoth.support.text import columns_text

    typer.echo(columns_text(rows, get_terminal_size().columns, right))


@contextmanager
def resumable(out: str, begun: Callable[[], bool] | None = None) -> Generator[None]:
    """Report on Ctrl-C and SIGTERM how to resume unfinished work.

    Parameters
    ----------
    out : str
        Directory or URL of the work.
    begun : callable, optional
        Returns whether something is saved there; by default, whether a directory is not empty.
        Otherwise the stop is passed on, and reported as one of work that starts over.
    """
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        stop = stop_behind(error)
        if stop is None:
            raise
        if not str(stop) and not (begun or partial(_is_begun, out))():
            raise
        what = f"{stop}; " if str(stop) else ""
        raise Stopped(f"{what}run the same command again to resume {out}") from stop


@contextmanager
def complete(out: str) -> Generator[None]:
    """Report on Ctrl-C and SIGTERM that a result is written, and only what is said of it is not.

    The same command would refuse to write it again.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Stopped(f"{out} is complete") from stop


def _is_begun(out: str) -> bool:
    """Return whether anything is in a directory; of one in a store, nothing is known here."""
    return is_url(out) or (Path(out).is_dir() and any(Path(out).iterdir()))
