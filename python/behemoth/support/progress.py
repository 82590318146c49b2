"""Progress of long work: one interface for the code that reports it and the code that shows it.

Long-running functions have an argument ``progress``: None for no reports, a callback, which is
called with a `Moment`, or a `Progress` such as the bars that `behemoth.bars` returns. Inside these
functions, `task` turns all three into an `Advance`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from .errors import ArgumentError
from .text import bytes_text, count_text

__all__ = [
    "Advance",
    "Moment",
    "Progress",
    "ProgressLike",
    "amount_text",
    "check_progress",
    "part_of",
    "silent",
    "task",
]


class Advance(Protocol):
    """The function that a task calls to report its progress."""

    def __call__(self, done: int, total: int, details: object = None, /) -> object:
        """Report the amount done and the total; `str` of `details` describes both and more."""
        ...


class Progress(Protocol):
    """An object that shows tasks."""

    def task(self, label: str, unit: str) -> AbstractContextManager[Advance]:
        """Show a task until the end of the block; an error raised by `Advance` stops the work."""
        ...


@dataclass(frozen=True)
class Moment:
    """The progress of a task: the argument of a ``progress`` callback.

    Parameters
    ----------
    label, unit : str
        Name of the task, such as training, and the unit it is counted in, such as steps.
    done, total : int
        Amount done, and total amount; the total may be an estimate.
    details : object
        Further information, as text with `str`: a `behemoth.train.Report` for training; None for
        most tasks.

    Examples
    --------
    >>> print(Moment("writing", "probes", 1_500, 40_000))
    writing: 1.50 k of 40.0 k probes
    """

    label: str
    unit: str
    done: int
    total: int
    details: object = None

    def __str__(self) -> str:
        details = "" if self.details is None else f", {self.details}"
        return f"{self.label}: {amount_text(self.unit, self.done, self.total)}{details}"


ProgressLike: TypeAlias = Progress | Callable[[Moment], object] | None
"""The type of an argument ``progress``."""


def silent(done: int, total: int, details: object = None, /) -> None:
    """Report nothing."""


def part_of(step: Advance, number: int, parts: int) -> Advance:
    """Return the `Advance` of one of several equal parts of a task.

    Examples
    --------
    >>> part_of(print, 1, 3)(5, 10)
    15 30
    """
    if parts == 1:
        return step
    return lambda done, total, _=None, /: step(number * total + done, parts * total)


def check_progress(progress: object) -> None:
    """Refuse an argument ``progress`` that is none of `ProgressLike`, before anything is made.

    Raises
    ------
    ArgumentError
    """
    if progress is not None and not hasattr(progress, "task") and not callable(progress):
        raise ArgumentError(
            "progress", progress, "None, a function of a Moment, or behemoth.bars()"
        )


@contextmanager
def task(progress: ProgressLike, label: str, unit: str) -> Generator[Advance]:
    """Begin a task and yield the function that reports its progress.

    Examples
    --------
    >>> with task(print, "counting", "tokens") as step:
    ...     step(5, 10)
    counting: 5 of 10 tokens
    """
    check_progress(progress)
    if progress is None:
        yield silent
        return
    show = getattr(progress, "task", None)
    if show is not None:
        with show(label, unit) as step:
            yield step
        return
    assert callable(progress)
    tell: Callable[[Moment], object] = progress

    def say(done: int, total: int, details: object = None, /) -> None:
        tell(Moment(label, unit, done, total, details))

    yield say


def amount_text(unit: str, done: float, total: float) -> str:
    """Return the amount done as text: 5 of 10 tokens, 1.20 MB of 2.00 GB."""
    if unit == "bytes":
        return f"{bytes_text(done)} of {bytes_text(total)}"
    return f"{count_text(done)} of {count_text(total)} {unit}"
