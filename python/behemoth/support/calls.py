"""Classes that functions make and `behemoth.load` reads: other calls of them are told so."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from reprlib import repr as brief  # a frame or a tensor would fill a screen
from typing import Any, TypeVar

from .errors import ArgumentError

__all__ = ["made_by"]

T = TypeVar("T")


def made_by(what: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator for a class whose constructor is not for users.

    A call that does not fit the constructor, such as ``Run("run")``, raises an `ArgumentError` with
    `what` as the allowed value, in place of a TypeError that lists the class's fields.

    Parameters
    ----------
    what : str
        Calls that return such an object.
    """

    def decorate(kind: type[T]) -> type[T]:
        make: Callable[..., None] = kind.__init__

        @wraps(make)
        def checked(self: T, *values: object, **named: object) -> None:
            try:
                make(self, *values, **named)
            except TypeError:
                if _fits(make, self, *values, **named):
                    raise
                told = [brief(value) for value in values]
                told += [f"{name}={brief(value)}" for name, value in named.items()]
                name = type(self).__name__
                raise ArgumentError(name, f"{name}({', '.join(told)})", what) from None

        setattr(kind, "__init__", checked)  # noqa: B010  # typed as a method of the class itself
        return kind

    return decorate


def _fits(function: Callable[..., Any], *values: object, **named: object) -> bool:
    """Return whether a function can be called with these arguments."""
    from inspect import signature  # needs a third as long as `import behemoth`

    try:
        signature(function).bind(*values, **named)
    except TypeError:
        return False
    return True
