"""Levels of exposures that a suite reports separately."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

__all__ = ["MOST", "Level", "levels_of"]

MOST = 16
"""Maximum number of levels that are reported one by one."""


class Level(NamedTuple):
    """A number of exposures, or a range of them; both ends are included."""

    low: int
    high: int

    @property
    def single(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high

    @property
    def name(self) -> str:
        """Its part of a measure's name: ``4``, or ``4_to_7``."""
        return f"{self.low}" if self.single else f"{self.low}_to_{self.high}"

    @property
    def text(self) -> str:
        """Its part of a measure's meaning."""
        return f"{self.low}" if self.single else f"{self.low} to {self.high}"

    @property
    def condition(self) -> pl.Expr:
        """Condition for the rows of this level, on the column ``exposures``."""
        return pl.col("exposures").is_between(self.low, self.high)


def levels_of(exposures: Iterable[int]) -> list[Level]:
    """Return the levels of some numbers of exposures, in order.

    Each number is a level if there are at most `MOST` different ones. Otherwise a level is 0, 1, or
    a range from a power of two to below the next one; ranges without numbers are omitted.

    Examples
    --------
    >>> [level.name for level in levels_of([4, 0, 4])]
    ['0', '4']
    >>> [level.name for level in levels_of(range(20))]
    ['0', '1', '2_to_3', '4_to_7', '8_to_15', '16_to_31']
    """
    numbers = sorted(set(exposures))
    if len(numbers) <= MOST:
        return [Level(number, number) for number in numbers]
    lengths = sorted({number.bit_length() for number in numbers})
    return [Level(1 << (n - 1), (1 << n) - 1) if n else Level(0, 0) for n in lengths]
