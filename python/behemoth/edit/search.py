"""Search spaces of methods' settings, for tuning.

A method has ``searched``, a mapping from its fields to the values that may be tried; fields that it
does not name keep their defaults. Methods that share an optimisation loop share its search space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from behemoth.support.errors import ArgumentError

__all__ = ["Choice", "Range", "Searched"]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Parameters
    ----------
    low, high : int or float
        If both are integers, the range has integers only.
    log : bool
        Whether the logarithm is sampled uniformly.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ArgumentError("low", self.low, f"below {self.high}, and above 0 with log")

    def text(self) -> str:
        """Return the values in words."""
        return f"{self.low:g} to {self.high:g}"

    @property
    def whole(self) -> bool:
        """Whether the range has integers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Choice:
    """Two or more values without an order.

    Parameters
    ----------
    values : tuple
        Strings, numbers, booleans or None.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise ArgumentError("values", self.values, "two or more")

    def text(self) -> str:
        """Return the values in words."""
        return ", ".join("none" if value is None else str(value) for value in self.values)


Searched = Mapping[str, Range | Choice]
