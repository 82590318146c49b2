"""What an engine is: it has slots, and does one unit at a time in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from behemoth.study.directory import StudyDirectory
from behemoth.study.file.units import ModelUnit, TrialUnit

__all__ = ["Engine", "Event", "perform"]


@dataclass(frozen=True)
class Event:
    """What became of a slot's unit.

    Attributes
    ----------
    slot : int
    kind : {'progress', 'done', 'failed'}
    share : float
        How much of the unit is done, 0 to 1.
    record : dict, optional
        Of a unit that is done.
    reason : str
        Why one failed.
    """

    slot: int
    kind: Literal["progress", "done", "failed"]
    share: float = 0.0
    record: dict[str, Any] | None = None
    reason: str = ""


class Engine(Protocol):
    """Where units are carried out."""

    @property
    def slots(self) -> int:
        """How many units are under way at once."""
        ...

    def submit(self, slot: int, unit: Mapping[str, Any]) -> None:
        """Begin a unit (see `perform`) in a slot that is free."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """Give what has come about, after so many seconds at the latest."""
        ...

    def close(self) -> None:
        """Stop everything, within a second. What was under way goes on with the next run."""
        ...


def perform(
    path: str,
    unit: Mapping[str, Any],
    progress: Callable[[int, int], object],
    laboratories: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Carry out a unit in this process: what workers of all engines call.

    Parameters
    ----------
    path : str
        The study's directory.
    unit : mapping
        ``{"train": ModelUnit}`` or ``{"trial": TrialUnit}``, as plain values.
    progress : callable
        Called with (done, total).
    laboratories : dict, optional
        Where a long-lived worker keeps its `Laboratory`, with the last model in it.

    Returns
    -------
    dict
        ``{"record": ...}``, or ``{"reason": ...}`` where it failed.
    """
    from behemoth.study.trial.trial import Laboratory

    kept = {} if laboratories is None else laboratories
    try:
        laboratory = kept.get(path) or Laboratory(StudyDirectory(path))
        kept[path] = laboratory
        if "train" in unit:
            return {"record": laboratory.train(ModelUnit.from_dict(unit["train"]), progress)}
        return {"record": laboratory.carry_out(TrialUnit.from_dict(unit["trial"]), progress)}
    except Exception as error:
        kept.clear()  # whatever broke may be in there
        return {"reason": " ".join(f"{type(error).__name__}: {error}".split())}
