"""A study's grid: lists of values by dotted names, and the points that their products are.

Two names are ours. With ``corpus.swap`` some facts stand at each other's exposures
(`behemoth.study.file.swap`). ``corpus.rotation``: levels of exposures are dealt out to facts in the
order in which they are listed, so turning the list by k places gives a *twin world*, in which the
same facts stand at other exposures and nothing else differs. A whole turn is a Latin square: each
fact at each level once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from behemoth.support.errors import ArgumentError, Key, nearest, within

__all__ = [
    "ROTATION",
    "SECTIONS",
    "check_size",
    "grid_points",
    "laid_over",
    "rotated",
    "table_of",
    "turned",
]

ROTATION = ("corpus", "rotation")
SECTIONS = ("world", "corpus", "train", "plan", "measure")
_GROUPED = ("groups:", "latin:")
_POINTS = 100_000  # of a grid; equal ones are looked for among all before


def table_of(key: Key | tuple[Key, ...], value: object) -> dict[str, Any]:
    """Give what stands at a key of a file, which must be a table.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(value, dict):
        raise ArgumentError(key, value, "a table")
    return value


def grid_points(grid: object) -> list[dict[str, Any]]:
    """Expand a grid to its points, each a value by dotted name.

    Parameters
    ----------
    grid : mapping or list of mappings
        Lists by name (``"world.seed" = [0, 1]``, or ``seed`` in a table ``[grid.world]``).
        Several tables are as many grids, one after the other.

    Returns
    -------
    list of dict
        In the order of the names, the last one turning fastest; points that are there
        already are left out. One empty point for an empty grid.

    Raises
    ------
    ArgumentError
        On a name outside of `SECTIONS`, or what is no list of values.
    """
    several = isinstance(grid, list)
    tables: Sequence[object] = grid if several else [grid]
    found: list[dict[str, Any]] = []
    for number, table in enumerate(tables):
        place: tuple[Key, ...] = ("grid", number) if several else ("grid",)
        if not isinstance(table, Mapping):
            raise ArgumentError(place, table, "a table of lists")
        with within(*place):
            axes = dict(_axes(table, ()))
        check_size(place, axes)
        for values in product(*axes.values()):
            point = dict(zip(axes, values, strict=True))
            if point not in found:
                found.append(point)
    return found or [{}]


def check_size(name: str | tuple[Key, ...], axes: Mapping[str, list[Any]]) -> None:
    """Refuse a product of lists that no study could carry out, before it is made.

    Raises
    ------
    ArgumentError
    """
    points = prod(map(len, axes.values()))
    if points > _POINTS:
        raise ArgumentError(name, f"{points:,} points", f"up to {_POINTS:,}")


def _axes(table: Mapping[str, Any], before: tuple[str, ...]) -> Iterator[tuple[str, list[Any]]]:
    for key, value in table.items():
        path = (*before, *key.split("."))
        if path[0] not in SECTIONS:
            allowed = f"names such as world.seed, in {', '.join(SECTIONS)}"
            raise ArgumentError(path, "an unknown name", allowed, nearest(path[0], SECTIONS))
        if isinstance(value, Mapping):
            yield from _axes(value, path)
        elif len(path) < 2 or not isinstance(value, list) or not value:
            raise ArgumentError(path, value, "a list of values, such as [0, 1, 2]")
        else:
            yield ".".join(path), value


def laid_over(
    tables: Mapping[str, Mapping[str, Any]], point: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Give the sections with the values of a point in them, as copies.

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


def turned(corpus: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Take the rotation out of a corpus table, with its exposures turned.

    Parameters
    ----------
    corpus : mapping
        A ``[corpus]`` table, perhaps with our own key ``rotation``.

    Returns
    -------
    dict, int
        The table as the engine takes it, and by how many places it was turned.

    Raises
    ------
    ArgumentError
        When a rotation is asked for of exposures without levels.
    """
    table = dict(corpus)
    turns = table.pop("rotation", 0)
    if not isinstance(turns, int) or isinstance(turns, bool) or turns < 0:
        raise ArgumentError(ROTATION, turns, "a whole number from 0")
    if turns:
        table["exposures"] = rotated(table.get("exposures"), turns)
    return table, turns


def _copied(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copied(value) if isinstance(value, Mapping) else value for key, value in table.items()
    }


def rotated(exposures: object, turns: int) -> object:
    """Turn the levels of exposures by so many places to the left.

    Parameters
    ----------
    exposures : str or mapping
        ``groups:1,4,16``, ``latin:1,4,16``, or the same as a table with ``levels``.
    turns : int
        Any number; a whole turn gives the same again.

    Raises
    ------
    ArgumentError
        When there are no levels.

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
    raise ArgumentError(
        ROTATION, turns, "0 where exposures are neither 'groups:...' nor 'latin:...'"
    )
