"""A study's grid: lists of values by dotted name, and the points of their product.

Two names belong to studies alone. ``corpus.swap`` exchanges the exposures of some facts
(`behemoth.study.file.swap`). ``corpus.rotation`` rotates the list of levels of exposures: levels
are assigned to facts in the order in which they are listed, so rotating the list by k places gives
a *rotated world*, in which the same facts have other exposures and nothing else differs. A complete
rotation is a Latin square: each fact has each level once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from behemoth.support.checks import whole_number
from behemoth.support.errors import ArgumentError, Key, nearest, within

__all__ = [
    "ROTATION",
    "SECTIONS",
    "check_size",
    "grid_axes",
    "grid_points",
    "laid_over",
    "rotated",
    "table_of",
    "turned",
    "value_at",
]

ROTATION = ("corpus", "rotation")
SECTIONS = ("world", "corpus", "train", "plan", "measure")
# The size of a model is tried by these names, which are not similar to its own.
_MEANT: dict[str, str] = dict.fromkeys(("model", "size", "model.size"), "train.model")
_GROUPED = ("groups:", "latin:")
_POINTS = 100_000  # maximum of a grid; each point is compared with all before it


def table_of(key: Key | tuple[Key, ...], value: object) -> dict[str, Any]:
    """Return the value at a key of a file as a table.

    Raises
    ------
    ArgumentError
        If it is not a table.
    """
    if not isinstance(value, dict):
        raise ArgumentError(key, value, "a table")
    return value


def grid_points(grid: object) -> list[dict[str, Any]]:
    """Expand a grid to its points.

    Parameters
    ----------
    grid : mapping or list of mappings
        Lists by name (``"world.seed" = [0, 1]``, or ``seed`` in a table ``[grid.world]``).
        Several tables are separate grids, whose points follow each other.

    Returns
    -------
    list of dict
        Points as values by dotted name, in the order of the names, the last one varying fastest;
        a point that several tables have is there once. One empty point for an empty grid.

    Raises
    ------
    ArgumentError
        If a name is outside of `SECTIONS` or occurs twice, or a value is not a list of values, or
        has one twice.
    """
    several = isinstance(grid, list)
    tables: Sequence[object] = grid if several else [grid]
    found: list[dict[str, Any]] = []
    for number, table in enumerate(tables):
        place: tuple[Key, ...] = ("grid", number) if several else ("grid",)
        if not isinstance(table, Mapping):
            raise ArgumentError(place, table, "a table of lists")
        axes: dict[str, list[Any]] = {}
        with within(*place):
            for name, values in _axes(table, ()):
                if name in axes:
                    got = f"two lists ({axes[name]} and {values})"
                    raise ArgumentError(tuple(name.split(".")), got, "one list for a name")
                axes[name] = values
        check_size(place, axes)
        with within(*place):
            for name, values in axes.items():
                if any(value in values[:at] for at, value in enumerate(values)):
                    raise ArgumentError(tuple(name.split(".")), values, "each value once")
        # The points of one table differ, since no list has a value twice.
        points = (dict(zip(axes, chosen, strict=True)) for chosen in product(*axes.values()))
        earlier = tuple(found)
        found += [point for point in points if point not in earlier]
    return found or [{}]


def grid_axes(points: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the values that each name has in the points of a grid, in order of appearance."""
    axes: dict[str, list[Any]] = {}
    for point in points:
        for name, value in point.items():
            if value not in (values := axes.setdefault(name, [])):
                values.append(value)
    return axes


def check_size(name: str | tuple[Key, ...], axes: Mapping[str, list[Any]]) -> None:
    """Refuse a product of lists with too many points, before computing it.

    Raises
    ------
    ArgumentError
        If there are more than 100,000 points.
    """
    points = prod(map(len, axes.values()))
    if points > _POINTS:
        raise ArgumentError(name, f"{points:,} points", f"up to {_POINTS:,}")


def _axes(table: Mapping[str, Any], before: tuple[str, ...]) -> Iterator[tuple[str, list[Any]]]:
    for key, value in table.items():
        path = (*before, *key.split("."))
        if path[0] not in SECTIONS:
            allowed = f"names such as world.seed, in {', '.join(SECTIONS)}"
            hint = _MEANT.get(".".join(path)) or nearest(path[0], SECTIONS)
            raise ArgumentError(path, "an unknown name", allowed, hint)
        if isinstance(value, Mapping):
            yield from _axes(value, path)
        elif len(path) < 2:
            allowed = "lists of values by names in it, such as world.seed = [0, 1]"
            raise ArgumentError(path, value, allowed)
        elif not isinstance(value, list) or not value:
            raise ArgumentError(path, value, "a list of values, such as [0, 1, 2]")
        else:
            yield ".".join(path), value


def laid_over(
    tables: Mapping[str, Mapping[str, Any]], point: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return copies of the sections with the values of a point inserted.

    Parameters
    ----------
    tables : mapping of section to table
    point : mapping of dotted name to value
    """
    result = {name: _copied(tables.get(name, {})) for name in SECTIONS}
    for name, value in point.items():
        section, *keys = name.split(".")
        table = result[section]
        for key in keys[:-1]:
            inner = table.get(key)
            table[key] = inner if isinstance(inner, dict) else {}
            table = table[key]
        table[keys[-1]] = value
    return result


def value_at(tables: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """Return the value at a dotted name; the default if a table lacks it."""
    value: Any = tables
    for key in name.split("."):
        value = value.get(key, default) if isinstance(value, Mapping) else default
    return value


def turned(corpus: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Remove the key ``rotation`` from a corpus table and rotate its exposures.

    Parameters
    ----------
    corpus : mapping
        A ``[corpus]`` table, with or without the key ``rotation``.

    Returns
    -------
    dict, int
        The table in the form the engine accepts, and the number of places it was rotated by.

    Raises
    ------
    ArgumentError
        If the rotation is invalid, or not 0 for exposures without levels.
    """
    table = dict(corpus)
    with within("corpus"):
        turns = whole_number("rotation", table.pop("rotation", 0))
    if turns:
        table["exposures"] = rotated(table.get("exposures"), turns)
    return table, turns


def _copied(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copied(value) if isinstance(value, Mapping) else value for key, value in table.items()
    }


def rotated(exposures: object, turns: int) -> object:
    """Rotate the levels of exposures to the left.

    Parameters
    ----------
    exposures : str or mapping
        ``groups:1,4,16``, ``latin:1,4,16``, or the same as a table with ``levels``.
    turns : int
        Number of places, taken modulo the number of levels.

    Raises
    ------
    ArgumentError
        If there are no levels.

    Examples
    --------
    >>> rotated("latin:1,4,16", 1)
    'latin:4,16,1'
    """
    if isinstance(exposures, str) and exposures.startswith(_GROUPED):
        head, _, text = exposures.partition(":")
        levels = text.split(",")
        at = turns % len(levels)
        return f"{head}:{','.join(levels[at:] + levels[:at])}"
    if isinstance(exposures, Mapping) and isinstance(exposures.get("levels"), list):
        listed: list[Any] = exposures["levels"]
        at = turns % max(1, len(listed))
        return {**exposures, "levels": listed[at:] + listed[:at]}
    raise ArgumentError(ROTATION, turns, "0 unless exposures are 'groups:...' or 'latin:...'")
