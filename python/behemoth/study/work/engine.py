"""What an engine is: it has slots, and does one unit at a time in each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from behemoth.study.directory import StudyDirectory
from behemoth.study.file.units import ModelUnit, Unit, unit_from_dict
from behemoth.study.records import Outcome
from behemoth.support.progress import Advance

if TYPE_CHECKING:
    from behemoth.study.trial.laboratory import Laboratory

__all__ = ["Engine", "Event", "Performed", "perform"]


@dataclass(frozen=True)
class Event:
    """What became of a slot's unit.

    Attributes
    ----------
    slot : int
    kind : {'progress', 'done', 'failed'}
    share : float
        How much of the unit is done, 0 to 1.
    status : {'done', 'failed'}
        What the record of a unit that is done says of it.
    reason : str
        Why one failed.
    seconds : float, optional
        That a unit took which is over; where an engine does not know when it began, all since it
        was handed in.
    """

    slot: int
    kind: Literal["progress", "done", "failed"]
    share: float = 0.0
    status: Outcome = "done"
    reason: str = ""
    seconds: float | None = None


class Engine(Protocol):
    """Where units are carried out."""

    @property
    def slots(self) -> int:
        """How many units are under way at once."""
        ...

    def submit(self, slot: int, unit: Unit) -> None:
        """Begin a unit (see `perform`) in a slot that is free."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """Give what has come about, after so many seconds at the latest."""
        ...

    def close(self) -> None:
        """Stop everything, within a second. What was under way goes on with the next run."""
        ...


@dataclass(frozen=True)
class Performed:
    """What `perform` did.

    Attributes
    ----------
    status : {'done', 'failed'}, optional
        What the unit's record says of it; none where there is none.
    reason : str
        Why there is none.
    seconds : float, optional
        That it took.
    """

    status: Outcome | None = None
    reason: str = ""
    seconds: float | None = None

    def event(self, slot: int) -> Event:
        """What an engine tells of it."""
        if self.status is None:
            return Event(slot, "failed", reason=self.reason, seconds=self.seconds)
        return Event(slot, "done", 1.0, self.status, seconds=self.seconds)


def perform(
    path: str,
    unit: Mapping[str, Any],
    step: Advance,
    laboratories: dict[str, Laboratory] | None = None,
) -> Performed:
    """Carry out a unit in this process: what workers of all engines call.

    Parameters
    ----------
    path : str
        The study's directory.
    unit : mapping
        What the unit's `to_dict` gave, as it comes from another process.
    step : callable
        Called with (done, total).
    laboratories : dict, optional
        Where a long-lived worker keeps its `Laboratory`, with the last model in it.
    """
    from behemoth.study.trial.laboratory import Laboratory

    kept = {} if laboratories is None else laboratories
    began = time.monotonic()

    def over(status: Outcome | None = None, reason: str = "") -> Performed:
        return Performed(status, reason, time.monotonic() - began)

    try:
        laboratory = kept.get(path) or Laboratory(StudyDirectory(path))
        kept[path] = laboratory
        own = unit_from_dict(unit)
        if isinstance(own, ModelUnit):
            return over(laboratory.train(own, step).status)
        return over(laboratory.carry_out(own, step).status)
    except Exception as error:
        kept.clear()  # whatever broke may be in there
        return over(reason=" ".join(f"{type(error).__name__}: {error}".split()))
