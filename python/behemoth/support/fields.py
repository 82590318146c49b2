"""Dataclasses made from the values of a file or a command line, with checks of field types."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields
from functools import cache
from math import isfinite
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .checks import LARGEST
from .errors import ArgumentError, check_keys, nearest

__all__ = ["check_type", "made", "read_text", "wanted"]

T = TypeVar("T")

_PLAIN: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "none",
}
_MANY: dict[object, str] = {int: "whole numbers", float: "numbers", str: "texts"}


class _UnfitError(Exception):
    """A value does not have the type of its field."""


def made(kind: type[T], table: Mapping[str, object], *, text: bool = False) -> T:
    """Make a dataclass from a table.

    Parameters
    ----------
    kind : type
        A dataclass; lists are accepted for fields that are tuples.
    table : mapping of str to value
        Values of some of its fields.
    text : bool
        Whether to parse texts as values of other types, as on a command line.

    Raises
    ------
    ArgumentError
        For an unknown key, a missing field without a default, a value of another type, or a
        value that the class does not allow.
    """
    own: Any = kind
    if not isinstance(table, Mapping):  # an entry of a record
        raise ArgumentError(kind.__name__, table, "a table")
    known = {field.name: field for field in fields(own) if field.init}
    check_keys(table, known)
    hints = _hints(kind)
    for name, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if required and name not in table:
            raise ArgumentError(name, None, wanted(hints[name]))
    return kind(**{name: _value(name, value, hints[name], text) for name, value in table.items()})


@cache
def _hints(kind: type) -> dict[str, Any]:
    # Each annotation is a text that Python compiles, and a study makes thousands of objects.
    return get_type_hints(kind)


def read_text(name: str, text: str, hint: object) -> object:
    """Read a text as a value of a type: lists as ``2,3`` or ``[2,3]``, none as ``none``.

    Raises
    ------
    ArgumentError
        When the text is not a valid value of the type.

    Examples
    --------
    >>> read_text("layers", "2,3", tuple[int, ...] | None)
    (2, 3)
    """
    return _value(name, text, hint, True)


def wanted(hint: object) -> str:
    """Return a description of the values of a type.

    Examples
    --------
    >>> wanted(tuple[int, ...] | None)
    'a list of whole numbers or none'
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(wanted(argument) for argument in arguments)
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if origin is tuple:
        return f"a list of {_MANY.get(arguments[0], wanted(arguments[0]))}"
    if _is_table(hint):
        return "a table"
    return _PLAIN.get(hint, getattr(hint, "__name__", str(hint)))


def check_type(name: str, value: object, hint: object) -> None:
    """Refuse a value that a field of this type cannot have.

    Raises
    ------
    ArgumentError
        With `name` as the argument.
    """
    _value(name, value, hint, text=False)


def _value(name: str, value: object, hint: object, text: bool) -> object:
    try:
        return _read(value, hint) if text and isinstance(value, str) else _fit(value, hint)
    except _UnfitError as unfit:
        words = [word for word in _words(hint) if isinstance(value, str)]
        allowed = str(unfit) or wanted(hint)
        # Without quotation marks "1e-3", as some readers of YAML return it, would look right.
        shown = repr(value) if isinstance(value, str) and not (text or words) else value
        raise ArgumentError(name, shown, allowed, nearest(str(value), words)) from None


def _fit(value: object, hint: object) -> object:
    """Return a value as an instance of a type, or refuse it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _first(_fit, value, arguments)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _UnfitError
        return tuple(_fit(item, arguments[0]) for item in value)
    if origin is Literal:
        fits = value in arguments
    elif hint is bool:
        fits = isinstance(value, bool)
    elif hint is str:
        fits = isinstance(value, str)
    elif hint is type(None):
        fits = value is None
    elif hint is int or hint is float:
        return _number(value, int if hint is int else float)
    else:
        fits = not _is_table(hint) or isinstance(value, Mapping)
    if not fits:
        raise _UnfitError
    return value


def _first(
    as_one: Callable[[Any, object], object], value: object, hints: Iterable[object]
) -> object:
    """Return a value as the first of some types that it fits, or refuse it."""
    refused = _UnfitError()
    for hint in hints:
        try:
            return as_one(value, hint)
        except _UnfitError as unfit:
            refused = unfit if str(unfit) else refused
    raise refused


def _number(value: object, kind: type[int] | type[float]) -> object:
    # For a float field, 1 stays an int: hashes of settings differ between 1 and 1.0.
    given: Any = value
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
        raise _UnfitError
    return _within(given if isinstance(given, int | float) else kind(given))  # numpy's


def _read(text: str, hint: object) -> object:
    """Parse a text as a value of a type, or refuse it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if text.lower() == "none" and type(None) in arguments:
            return None
        return _first(_read, text, [own for own in arguments if own is not type(None)])
    if origin is tuple:
        inner = text.strip()
        if inner.startswith("[") and inner.endswith("]"):  # as YAML, TOML and Python write a list
            inner = inner[1:-1]
        return tuple(_read(part.strip(), arguments[0]) for part in inner.split(","))
    if hint is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if hint is int or hint is float:
        return _read_number(text, whole=hint is int)
    return _fit(text, hint)


def _read_number(text: str, *, whole: bool) -> int | float:
    if whole:
        with suppress(ValueError):  # a float has 53 bits; 1e6 is whole, too
            return _within(int(text.replace("_", "")))
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        raise _UnfitError from None
    if not isfinite(number):
        raise _UnfitError
    if not whole:
        return _within(number)
    if not number.is_integer():
        raise _UnfitError
    return _within(int(number))


def _within(number: int | float) -> int | float:
    """Refuse numbers outside the range of any setting, which could lead to a loss of NaN."""
    if isinstance(number, int) and abs(number) > LARGEST:
        raise _UnfitError(f"a whole number below {LARGEST + 1:,}")
    if not isfinite(number):
        raise _UnfitError("a finite number")
    return number


def _words(hint: object) -> list[str]:
    """Return the texts among the values of a type."""
    if get_origin(hint) is Literal:
        return [word for word in get_args(hint) if isinstance(word, str)]
    return [word for argument in get_args(hint) for word in _words(argument)]


def _is_table(hint: object) -> bool:
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, Mapping)
