"""What the settings of a method may be, beyond their types."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from behemoth.support.errors import ArgumentError

__all__ = ["ABOVE_0", "FROM_0", "Bound", "Bounds", "at_least", "check_values"]


@dataclass(frozen=True)
class Bound:
    """The least value of a number.

    Parameters
    ----------
    allowed : str
        The numbers that are allowed, as an error states them.
    low : float
    included : bool
        Whether `low` itself is allowed.
    """

    allowed: str
    low: float
    included: bool = True

    def holds(self, value: float) -> bool:
        """Return whether a number is within the bound; NaN never is."""
        return value >= self.low if self.included else value > self.low


Bounds = Mapping[str, Bound]
"""The bounds of settings by name."""

ABOVE_0 = Bound("above 0", 0.0, included=False)
FROM_0 = Bound("from 0", 0.0)


def at_least(low: int) -> Bound:
    """Return the bound of a number of steps, rows or ranks."""
    return Bound(f"at least {low}", low)


def check_values(settings: Any, bounds: Bounds | None = None) -> None:
    """Refuse values of a method that its fields do not allow, for its ``__post_init__``.

    A value from a file or a command line is checked by its type before; one from Python is not.

    Parameters
    ----------
    settings : dataclass
        A method. Fields of type `Literal` have one of its values, `layers` has one layer or more.
    bounds : mapping of str to Bound, optional
        Bounds of some fields; by default those of its class variable ``bounds``. Fields that it
        lacks, and those of None, are skipped.

    Raises
    ------
    ArgumentError
    """
    hints = _hints(type(settings))
    for name in (field.name for field in fields(settings)):
        hint, value = hints.get(name), getattr(settings, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise ArgumentError.unknown(name, value, get_args(hint))
    layers = getattr(settings, "layers", None)
    if layers is not None and not len(layers):
        raise ArgumentError("layers", "none", "at least one layer")
    for name, bound in (settings.bounds if bounds is None else bounds).items():
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
