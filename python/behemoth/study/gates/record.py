"""What a gate says: its verdict, the numbers that it rests on, and what was done for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from .bench import Bench, Units

__all__ = ["VERDICTS", "Gate", "GateRecord", "Judgement", "Seen", "Verdict"]

Verdict = Literal["reproduced", "not reproduced", "not shown at this size"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "not reproduced", "not shown at this size")
"""What a gate may come to."""


@dataclass(frozen=True)
class Judgement:
    """What a rule makes of numbers.

    Attributes
    ----------
    verdict : str
        One of `VERDICTS`.
    summary : str
        What was seen, in a sentence with its numbers.
    expected : str, optional
        The size at which it is expected and why; there exactly where it was not shown.
    """

    verdict: Verdict
    summary: str
    expected: str | None = None

    def __post_init__(self) -> None:
        assert self.verdict in VERDICTS
        assert (self.expected is not None) == (self.verdict == "not shown at this size")


@dataclass(frozen=True)
class Seen:
    """What a gate did and saw.

    Attributes
    ----------
    done : str
        World, models and steps.
    numbers : mapping
        What was measured, as plain values.
    judgement : Judgement
    """

    done: str
    numbers: Mapping[str, Any]
    judgement: Judgement


@dataclass(frozen=True)
class GateRecord:
    """A gate that was run.

    Attributes
    ----------
    number : int
    title : str
    done : str
        World, models and steps.
    seen : mapping
        What was measured, as plain values.
    summary : str
        The same in a sentence.
    rule : str
        How the verdict comes from the numbers.
    verdict : str
        One of `VERDICTS`.
    expected : str, optional
        Where it was not shown: the size at which it is expected, and why.
    source : str
        Where it was published.
    seconds : float
        Of workers, for the models and trials it rests on (those of other gates too), and of
        looking at them.
    """

    number: int
    title: str
    done: str
    seen: Mapping[str, Any]
    summary: str
    rule: str
    verdict: Verdict
    expected: str | None
    source: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)


class Gate(Protocol):
    """A gate: a frozen dataclass whose fields are the size it is run at."""

    number: ClassVar[int]
    title: ClassVar[str]
    rule: ClassVar[str]
    source: ClassVar[str]

    def units(self, threads: int) -> Units:
        """The models and trials that it needs, under names of its own."""
        ...

    def look(self, bench: Bench) -> Seen:
        """Judge them when they are there."""
        ...


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
