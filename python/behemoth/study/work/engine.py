"""The interface of engines: each has slots and carries out one unit at a time in each slot."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from behemoth.study.directory import StudyDirectory
from behemoth.study.file.units import ModelUnit, Unit, unit_from_dict
from behemoth.study.records import Outcome
from behemoth.support.checks import whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import Advance
from behemoth.support.text import error_text

if TYPE_CHECKING:
    from behemoth.study.trial.laboratory import Laboratory

__all__ = ["Engine", "Event", "Performed", "check_sizes", "perform"]

_WORKERS = 1 << 16  # of a cluster
_THREADS = 1024  # of a worker, as in training


def check_sizes(workers: int | None, threads: int | None) -> None:
    """Refuse numbers of workers and of their threads that no machine or cluster has.

    Raises
    ------
    ArgumentError
    """
    for name, value, most in (("workers", workers, _WORKERS), ("threads", threads, _THREADS)):
        if value is not None and whole_number(name, value, 1) > most:
            raise ArgumentError(name, value, f"a whole number from 1 to {most:,}")


@dataclass(frozen=True)
class Event:
    """Progress or end of the unit of a slot.

    Attributes
    ----------
    slot : int
    kind : {'progress', 'done', 'failed'}
    share : float
        Finished share of the unit, 0 to 1.
    status : {'done', 'failed'}
        Status in the record of a unit whose event is 'done'.
    reason : str
        Why the unit of a 'failed' event has no record.
    seconds : float, optional
        Seconds that a finished unit took; None if the engine did not measure them (the time since
        `submit` is then used).
    """

    slot: int
    kind: Literal["progress", "done", "failed"]
    share: float = 0.0
    status: Outcome = "done"
    reason: str = ""
    seconds: float | None = None


class Engine(Protocol):
    """Carries out units in slots."""

    @property
    def slots(self) -> int:
        """Number of units carried out at a time."""
        ...

    def submit(self, slot: int, unit: Unit) -> None:
        """Start a unit (see `perform`) in a free slot."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """Return new events, waiting for at most this many seconds."""
        ...

    def close(self) -> None:
        """Stop all units, within a second; the next run takes up those under way."""
        ...


@dataclass(frozen=True)
class Performed:
    """Outcome of `perform`.

    Attributes
    ----------
    status : {'done', 'failed'}, optional
        Status in the unit's record; None if no record was written.
    reason : str
        Why no record was written.
    seconds : float, optional
        Seconds that the unit took.
    """

    status: Outcome | None = None
    reason: str = ""
    seconds: float | None = None

    def event(self, slot: int) -> Event:
        """Return the event that an engine reports of it."""
        if self.status is None:
            return Event(slot, "failed", reason=self.reason, seconds=self.seconds)
        return Event(slot, "done", 1.0, self.status, seconds=self.seconds)


def perform(
    path: str,
    unit: Mapping[str, Any],
    step: Advance,
    laboratories: dict[str, Laboratory] | None = None,
    memory: int | None = None,
) -> Performed:
    """Carry out a unit in this process; the workers of all engines call this.

    Parameters
    ----------
    path : str
        The study's directory.
    unit : mapping
        The unit as returned by its `to_dict`.
    step : callable
        Called with (done, total).
    laboratories : dict, optional
        Cache in which a long-lived worker keeps its `Laboratory`, with the last model, by path.
    memory : int, optional
        See `Laboratory`.

    Returns
    -------
    Performed
        An exception becomes the reason; it is not raised.
    """
    from behemoth.study.trial.laboratory import Laboratory

    kept = {} if laboratories is None else laboratories
    began = time.monotonic()

    def over(status: Outcome | None = None, reason: str = "") -> Performed:
        return Performed(status, reason, time.monotonic() - began)

    try:
        laboratory = kept.get(path) or Laboratory(StudyDirectory(path), memory)
        kept[path] = laboratory
        own = unit_from_dict(unit)
        if isinstance(own, ModelUnit):
            return over(laboratory.train(own, step).status)
        return over(laboratory.carry_out(own, step).status)
    except Exception as error:
        kept.clear()  # the laboratory may be in a broken state
        return over(reason=error_text(error))
