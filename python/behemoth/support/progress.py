"""How far long work is: one form for whatever takes long, and for whoever looks on.

What takes long has an argument ``progress``: None for nothing, a function of the caller's, which is
called with a `Moment`, or a `Progress` such as the bars that `behemoth.bars` gives. Inside, `task`
makes one thing of the three.
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
    "part_of",
    "silent",
    "task",
]


class Advance(Protocol):
    """What a task calls as it goes on."""

    def __call__(self, done: int, total: int, details: object = None, /) -> object:
        """Say what is done, of how much; `details` say that and more, as text with `str`."""
        ...


class Progress(Protocol):
    """Something that shows tasks."""

    def task(self, label: str, unit: str) -> AbstractContextManager[Advance]:
        """Show a task from here to the end of the block; what `Advance` raises stops the work."""
        ...


@dataclass(frozen=True)
class Moment:
    """Where a task is: what a callback of the caller's is called with.

    Parameters
    ----------
    label, unit : str
        What is done, such as training, and in what it is counted, such as steps.
    done, total : int
        How much of it is done, and how much there is; the total may be an estimate.
    details : object
        What the task has to say beside that, text with `str`: a `behemoth.train.Report` of
        training; none of most tasks.

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
"""Who looks on: what an argument ``progress`` takes."""


def silent(done: int, total: int, details: object = None, /) -> None:
    """Say nothing of a step."""


def part_of(step: Advance, number: int, parts: int) -> Advance:
    """One of some equal parts of a task, as a task of its own.

    Examples
    --------
    >>> part_of(print, 1, 3)(5, 10)
    15 30
    """
    if parts == 1:
        return step
    return lambda done, total, _=None, /: step(number * total + done, parts * total)


@contextmanager
def task(progress: ProgressLike, label: str, unit: str) -> Generator[Advance]:
    """Begin a task, for whoever looks on.

    Examples
    --------
    >>> with task(print, "counting", "tokens") as step:
    ...     step(5, 10)
    counting: 5 of 10 tokens
    """
    if progress is None:
        yield silent
        return
    show = getattr(progress, "task", None)
    if show is not None:
        with show(label, unit) as step:
            yield step
        return
    if not callable(progress):
        raise ArgumentError(
            "progress", progress, "None, a function of a Moment, or behemoth.bars()"
        )
    tell: Callable[[Moment], object] = progress

    def say(done: int, total: int, details: object = None, /) -> None:
        tell(Moment(label, unit, done, total, details))

    yield say


def amount_text(unit: str, done: float, total: float) -> str:
    """Say how much is done: 5 of 10 tokens, 1.20 MB of 2.00 GB."""
    if unit == "bytes":
        return f"{bytes_text(done)} of {bytes_text(total)}"
    return f"{count_text(done)} of {count_text(total)} {unit}"
