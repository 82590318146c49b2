"""What the settings of a method may be, beyond their types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from behemoth.support.errors import ArgumentError
from behemoth.support.fields import check_type

__all__ = ["ABOVE_0", "FROM_0", "SHARE", "Bound", "Bounds", "at_least", "check_values"]


@dataclass(frozen=True)
class Bound:
    """The least and the largest value of a number.

    Parameters
    ----------
    allowed : str
        The numbers that are allowed, as an error states them.
    low, high : float
    included : tuple of bool
        Whether `low` and `high` themselves are allowed.
    """

    allowed: str
    low: float
    high: float = math.inf
    included: tuple[bool, bool] = (True, True)

    def holds(self, value: float) -> bool:
        """Return whether a number is within the bounds; NaN never is."""
        low, high = self.included
        above = value >= self.low if low else value > self.low
        return above and (value <= self.high if high else value < self.high)


Bounds = Mapping[str, Bound]
"""The bounds of settings by name."""

ABOVE_0 = Bound("above 0", 0.0, included=(False, True))
FROM_0 = Bound("from 0", 0.0)
SHARE = Bound("above 0, to 1", 0.0, 1.0, included=(False, True))
"""A share of something, which is not none of it."""


def at_least(low: int) -> Bound:
    """Return the bound of a number of steps, rows or ranks."""
    return Bound(f"at least {low}", low)


def check_values(settings: Any) -> None:
    """Refuse values of a method that its fields do not allow, for its ``__post_init__``.

    Parameters
    ----------
    settings : dataclass
        A method. Each field has a value of its type, `layers` has one layer or more, and the fields
        that its class variable ``bounds`` names, if it has one, are within these unless they are
        None.

    Raises
    ------
    ArgumentError
    """
    hints = _hints(type(settings))
    for name in (field.name for field in fields(settings)):
        if name in hints:
            check_type(name, getattr(settings, name), hints[name])
    layers = getattr(settings, "layers", None)
    if layers is not None and not len(layers):
        raise ArgumentError("layers", "none", "at least one layer")
    for name, bound in getattr(settings, "bounds", {}).items():
        value = getattr(settings, name, None)
        if value is not None and not bound.holds(value):
            raise ArgumentError(name, value, bound.allowed)


def _hints(kind: type) -> dict[str, object]:
    """Return the types of a class's fields, as far as they can be read."""
    for base in kind.__mro__:
        # A class of another package may name types that only a type checker imports.
        with suppress(NameError):
            return get_type_hints(base)
    return {}
