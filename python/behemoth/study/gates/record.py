"""The interface of gates, and the record of a gate that was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from .conditions import Condition, Held, Verdict

if TYPE_CHECKING:
    from .picture import Picture
    from .units import GateResults, Units

__all__ = ["Gate", "GateRecord", "Reason", "Row", "shown", "shown_mean"]

Row = Mapping[str, Any]
"""Measurements of a gate for one (world, initialisation): plain values."""


@dataclass(frozen=True)
class Reason:
    """A possible reason why a claim is not reproduced, specified in advance.

    Attributes
    ----------
    says : str
        The reason in words.
    changes : mapping
        Fields of the gate to change for a test of the reason, ``world.subjects`` for a field of
        its world; empty if no field states the reason.
    cost : str
        Why the published run did not test the reason, if a test is expensive: a clause.

    Examples
    --------
    >>> from behemoth.study.gates.registry import get_gates
    >>> [gate] = get_gates([1])
    >>> Reason("a larger world", {"world.subjects": 400}).changed(gate).world.subjects
    400
    """

    says: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    cost: str = ""

    def changed(self, gate: Gate) -> Gate:
        """Return the gate with the fields changed."""
        other: Any = gate
        for name, value in self.changes.items():
            other = _with(other, name.split("."), value)
        return other


class Gate(Protocol):
    """A gate: a frozen dataclass whose fields are the size it is run at.

    `pilot` states what was run and changed before the reported numbers: rules and sizes were fixed
    before these, but seldom before any run. `revised` is true if the rule was changed after results
    of models that it judges, or judged before, were seen. `smaller` states, in sentences, where the
    setting is smaller than the design of the gate, and why; empty if it is not. `units` and
    `measure` are called with one seed, which is that of the world and of the initialisation.
    """

    number: ClassVar[int]
    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    pilot: ClassVar[str]
    revised: ClassVar[bool]
    smaller: ClassVar[str]
    reasons: ClassVar[tuple[Reason, ...]]

    @property
    def seeds(self) -> int:
        """Number of (world, initialisation) pairs."""
        ...

    @property
    def setting(self) -> str:
        """World, models and methods, in sentences."""
        ...

    def units(self, seed: int, threads: int) -> Units:
        """Return the models and trials that the gate needs, by names that it chooses."""
        ...

    def measure(self, results: GateResults) -> Row:
        """Measure the finished models and trials of one seed."""
        ...

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Return the rule: the conditions that the measurements must meet."""
        ...

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Return the figure."""
        ...


@dataclass(frozen=True)
class GateRecord:
    """A gate that was run.

    Attributes
    ----------
    number : int
    name : str
        Name of the gate's page.
    title : str
    verdict : str
        One of `VERDICTS`.
    setting : str
    conditions : tuple of Held
        Conditions of the rule, with their outcomes.
    rows : tuple of mapping
        Measurements, one per (world, initialisation).
    seconds : float
        Worker seconds of its models and trials (including those shared with other gates), and of
        its measurements.
    threads : int
        CPU threads per worker.
    source : str
        Publications of the claim.
    processor : str
    versions : mapping
    reasons : tuple of mapping
        Possible reasons for not being reproduced: says, changes and cost; if tested, also the
        verdict and conditions after the changes, or why the test failed.
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
        """Return the record as plain values."""
        return asdict(self)


def _with(own: Any, path: Sequence[str], value: Any) -> Any:
    first, *rest = path
    return replace(own, **{first: _with(getattr(own, first), rest, value) if rest else value})


def shown(value: float | None) -> str:
    """Format a number for display.

    Examples
    --------
    >>> shown(0.12345), shown(1234.5), shown(None)
    ('0.123', '1,234', 'none')
    """
    if value is None:
        return "none"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def shown_mean(mean: float | None, low: float | None, high: float | None, models: int) -> str:
    """Format a mean over models with its interval, or with the reason why it has none.

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
