"""What a gate is, and what is recorded of one that was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from .conditions import Condition, Held, Verdict

if TYPE_CHECKING:
    from .bench import Bench, Units
    from .picture import Picture

__all__ = ["Gate", "GateRecord", "Reason", "Row", "shown", "shown_mean"]

Row = Mapping[str, Any]
"""What a gate measured of one (world, initialisation): plain values."""


@dataclass(frozen=True)
class Reason:
    """Why a claim may not be seen, as it was thought of beforehand.

    Attributes
    ----------
    says : str
    changes : mapping
        Fields of the gate that put it to the test; empty where that is too dear.
    """

    says: str
    changes: Mapping[str, Any] = field(default_factory=dict)


class Gate(Protocol):
    """A gate: a frozen dataclass whose fields are the size it is run at.

    `pilot` says what was run and changed before the numbers that count: rules and sizes are of
    before, but seldom of before everything. `revised` says whether the rule was changed after
    models that it judges, or had judged, were seen. `units` and `measure` are of one seed, which is
    that of the world and of the initialisation.
    """

    number: ClassVar[int]
    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    pilot: ClassVar[str]
    revised: ClassVar[bool]
    reasons: ClassVar[tuple[Reason, ...]]

    @property
    def seeds(self) -> int:
        """How many (world, initialisation) there are."""
        ...

    @property
    def setting(self) -> str:
        """World, models and methods, in sentences."""
        ...

    def units(self, seed: int, threads: int) -> Units:
        """The models and trials that it needs, under names of its own."""
        ...

    def measure(self, bench: Bench) -> Row:
        """Look at them when they are there."""
        ...

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """The rule: what must hold of what was measured."""
        ...

    def picture(self, rows: Sequence[Row]) -> Picture:
        """The figure."""
        ...


@dataclass(frozen=True)
class GateRecord:
    """A gate that was run.

    Attributes
    ----------
    number : int
    name : str
        Of its page.
    title : str
    verdict : str
        One of `VERDICTS`.
    setting : str
    conditions : tuple of Held
        The rule, and what came of each part of it.
    rows : tuple of mapping
        What was measured, one a (world, initialisation).
    seconds : float
        Of workers, for the models and trials it rests on (those of other gates too), and of
        looking at them.
    threads : int
        CPU threads of a worker.
    source : str
        Where it was published.
    processor : str
    versions : mapping
    reasons : tuple of mapping
        What was made of the reasons why it may have failed: says, and where it was tested the
        verdict and conditions with that changed.
    """

    number: int
    name: str
    title: str
    verdict: Verdict
    setting: str
    conditions: tuple[Held, ...]
    rows: tuple[Row, ...]
    seconds: float
    threads: int
    source: str
    processor: str
    versions: Mapping[str, str]
    reasons: tuple[Mapping[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)


def shown(value: float | None) -> str:
    """Write a number for people.

    Examples
    --------
    >>> shown(0.12345), shown(1234.5), shown(None)
    ('0.123', '1,234', 'none')
    """
    if value is None:
        return "none"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def shown_mean(mean: float | None, low: float | None, high: float | None, models: int) -> str:
    """Write a mean over models with its interval, or why it has none, for people.

    Examples
    --------
    >>> shown_mean(0.5, 0.25, 0.75, 3), shown_mean(1.0, None, None, 3)
    ('0.5 [0.25, 0.75]', '1, the same in all 3 models')
    """
    if low is not None:
        return f"{shown(mean)} [{shown(low)}, {shown(high)}]"
    if mean is None or models < 2:
        return shown(mean)
    return f"{shown(mean)}, the same in all {models} models"
