"""What there is to choose of a method's settings: a table beside its fields, for whoever tunes it.

A method says ``searched``, a mapping from fields to what may be tried of them; what it does not
name stays as it is by default. Those that share their loop share what is searched of it.
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
        Whole numbers where both are.
    log : bool
        Whether their logarithm is drawn evenly.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ArgumentError("low", self.low, f"below {self.high}, and above 0 with log")

    @property
    def whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Choice:
    """Some values without an order.

    Parameters
    ----------
    values : tuple
        Texts, numbers, booleans or None.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise ArgumentError("values", self.values, "two or more")


Searched = Mapping[str, Range | Choice]
