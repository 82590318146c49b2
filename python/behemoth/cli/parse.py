"""Readers of command-line values: they convert text, or raise an error with what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import partial
from math import isfinite, nan
from pathlib import Path
from typing import Any, Literal

from behemoth.support.checks import LARGEST, as_found
from behemoth.support.errors import ArgumentError
from behemoth.support.files import read_json_object

_BETWEEN_DIGITS = re.compile("(?<=[0-9])_(?=[0-9])")


def count(name: str, text: str, minimum: int | None = 0) -> int:
    """Read a whole number: ``1000``, ``1_000`` and ``1e8`` are accepted, ``1.5`` is not.

    Without a minimum, the function that the command calls checks the range.
    """
    least = "" if minimum is None else f" from {minimum}"
    allowed = f"a whole number{least}, such as 1000, 1_000 or 1e8"
    try:
        value = Decimal(_plain(text))
    except InvalidOperation:
        raise ArgumentError(name, text, allowed) from None
    # Compared before it becomes an int: 1e999999999 is a small Decimal and a huge int.
    lowest = -LARGEST if minimum is None else minimum
    if not value.is_finite() or not lowest <= value <= LARGEST or value % 1 != 0:
        if value.is_finite() and value > LARGEST:
            allowed = f"a whole number up to {LARGEST}"
        raise ArgumentError(name, text, allowed)
    return int(value)


def _plain(text: str) -> str:
    """Return a number without single underscores between digits; no number if it has others.

    `Decimal` and `float` also read digits of other scripts.
    """
    plain = _BETWEEN_DIGITS.sub("", text.strip())
    return plain if plain.isascii() and "_" not in plain else ""


def number_or_name(name: str, text: str) -> int | str:
    """Read a whole number, or return other text unchanged."""
    return count(name, text) if text[:1].isdigit() else text


def number(name: str, text: str) -> float:
    """Read a finite number; the function that the command calls checks its range."""
    try:
        value = float(_plain(text))
    except ValueError:
        value = nan
    if not isfinite(value):
        raise ArgumentError(name, text, "a number such as 0.5")
    return value


def counts(name: str, text: str) -> int | list[int]:
    """Read one whole number from 1, or several separated by commas."""
    values = [count(name, part, 1) for part in text.split(",")]
    return values[0] if len(values) == 1 else values


def levels(name: str, text: str) -> tuple[int, ...]:
    """Read whole numbers from 0, separated by commas."""
    return tuple(count(name, part) for part in text.split(","))


def levels_or_all(name: str, text: str) -> tuple[int, ...] | Literal["all"]:
    """Read whole numbers from 0, separated by commas, or ``all``."""
    if text.strip() == "all":
        return "all"
    try:
        return levels(name, text)
    except ArgumentError:
        allowed = "whole numbers separated by commas, or 'all'"
        raise ArgumentError(name, text, allowed) from None


def at_least(minimum: int | None) -> Callable[[str, str], int]:
    """Return a reader of whole numbers from `minimum`, or of all (see `count`)."""
    return partial(count, minimum=minimum)


def settings(name: str, words: list[str]) -> dict[str, str] | str:
    """Read ``key=value`` words, the name of one file of settings, or one ``tuned:WORLD``."""
    from behemoth.edit.tuned import PREFIX

    def is_whole(word: str) -> bool:
        return word.startswith(PREFIX) or (word.endswith(".toml") and "=" not in word)

    if len(words) == 1 and is_whole(words[0]):
        return words[0]
    values: dict[str, str] = {}
    for word in words:
        if is_whole(word):
            raise ArgumentError(name, " ".join(words), f"{word} once, without other settings")
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise ArgumentError(name, word, "key=value, such as rank=4, a file, or tuned:WORLD")
        if key.strip() in values:
            raise ArgumentError(name, word, f"each key once; {key.strip()} was set before")
        values[key.strip()] = value.strip()
    return values


def new_file(name: str, text: str) -> str:
    """Read the name of a Parquet file to write."""
    place = Path(text)
    if place.is_dir():
        raise ArgumentError(
            name, as_found(text, "a directory"), "a file name that ends in .parquet"
        )
    # Checked before the work, not only when its result is written.
    above = next((up for up in place.parents if up.exists()), None)
    if above is not None and not above.is_dir():
        raise ArgumentError(name, text, f"a file name in a folder; {above} is not a folder")
    return text


def pair(text: str) -> tuple[str, str | None]:
    """Split ``a`` or ``a:b`` at the colon."""
    first, colon, second = text.partition(":")
    return first, second if colon else None


def part(name: str, text: str) -> tuple[int, int]:
    """Read ``i/n``, part i of n, i from 0."""
    allowed = "i/n with 0 <= i < n, such as 0/4"
    index, slash, total = text.partition("/")
    if not slash:
        raise ArgumentError(name, text, allowed)
    try:
        values = count(name, index), count(name, total, 1)
    except ArgumentError:
        raise ArgumentError(name, text, allowed) from None
    if values[0] >= values[1]:
        raise ArgumentError(name, text, allowed)
    return values


def span(name: str, text: str) -> tuple[int, int | None]:
    """Read ``a:b``, from a to b, b excluded; either may be omitted."""
    start, colon, stop = text.partition(":")
    if not colon:
        raise ArgumentError(name, text, "a:b, such as 0:1000")
    return count(name, start) if start else 0, count(name, stop) if stop else None


def weights(name: str, text: str, known: tuple[str, ...]) -> dict[str, float]:
    """Read ``default=1,repeats=0.5``; a name without a number has weight 1."""
    values: dict[str, float] = {}
    for item in text.split(","):
        key, equals, value = (piece.strip() for piece in item.partition("="))
        if key not in known:
            raise ArgumentError.unknown(name, key, known)
        if key in values:
            raise ArgumentError(name, item, f"each name once; {key} was given before")
        values[key] = number(f"{name} {key}", value) if equals else 1.0
    return values


def sample(name: str, text: str, minimum: int = 0) -> int | Literal["all"]:
    """Read a number of facts, or ``all``."""
    if text.strip() == "all":
        return "all"
    try:
        return count(name, text, minimum)
    except ArgumentError as error:
        raise ArgumentError(name, text, f"{error.allowed}, or 'all'") from None


def json_object(name: str, text: str) -> dict[str, Any]:
    """Read a file with one JSON object."""
    try:
        return read_json_object(Path(text), "utf-8-sig")
    except (OSError, ValueError):
        allowed = "a file with one JSON object, such as config.json"
        kind = "a directory" if Path(text).is_dir() else ""
        raise ArgumentError(name, as_found(text, kind), allowed) from None


def names(what: str, example: str) -> Callable[[str, str], list[str]]:
    """Return a reader of names separated by commas."""

    def read(name: str, text: str) -> list[str]:
        found = [word.strip() for word in text.split(",")]
        if all(found):
            return found
        raise ArgumentError(name, text, f"names of {what} separated by commas, such as {example}")

    return read


def one_of(*allowed: str) -> Callable[[str, str], str]:
    """Return a reader of one of these words."""

    def read(name: str, text: str) -> str:
        if text not in allowed:
            raise ArgumentError.unknown(name, text, allowed)
        return text

    return read
