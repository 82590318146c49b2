"""The text of a study file whose methods take tuned settings, those for the kind of each world.

The text is changed, and not only the parsed study, since a study is defined by its text; see
`narrowed`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from behemoth.edit.settings import tuned_settings
from behemoth.edit.tuned import OWN, PREFIX, tuned_worlds
from behemoth.support.errors import ArgumentError
from behemoth.support.toml import read_toml

from .method import named_tables
from .narrowed import is_method, parts_of, reads_as

__all__ = ["with_tuned"]

_NAMED = re.compile(r"^[ \t]*(name|family)[ \t]*=.*(\n|\Z)", re.MULTILINE)
_VALUE = f"{PREFIX}{OWN}"


def with_tuned(text: str) -> str:
    """Return the text of a study with ``settings = "tuned:world"`` for all that was tuned.

    Tables without a tuned method stay as they are.

    Parameters
    ----------
    text : str
        TOML whose ``[[method]]`` tables are valid (`read_methods`).

    Raises
    ------
    ArgumentError
        If no method has tuned settings, the table of one that has sets settings itself, or varies
        a tuned one in a grid, or the tables are not each in lines of their own.
    """
    table = read_toml(text)
    given: list[dict[str, Any]] = table["method"]
    wanted = [
        {**own, "settings": _VALUE} if _takes(own, number) else own
        for number, own in enumerate(given)
    ]
    if all(own.get("settings") != _VALUE for own in wanted):
        names = dict.fromkeys(name for own in given for name, _ in named_tables(own))
        allowed = "a method that was tuned (`behemoth methods NAME` shows its tuned settings)"
        raise ArgumentError("tuned", ", ".join(names), allowed)
    parts = parts_of(text)
    places = [place for place, part in enumerate(parts) if is_method(part)]
    for place, own, new in zip(places, given, wanted, strict=False):  # compared with `wanted` below
        if own != new:
            parts[place] = _inserted(parts[place])
    found = "".join(parts)
    if not reads_as(found, {**table, "method": wanted}):
        allowed = "a file with each [[method]] table, and its name or family, in lines of their own"
        raise ArgumentError("tuned", f"study {table['name']}", allowed)
    return found


def _takes(table: Mapping[str, Any], number: int) -> bool:
    """Return whether a table has a tuned method, and refuse one with settings of its own."""
    tuned = [name for name, _ in named_tables(table) if tuned_worlds(name)]
    if not tuned or table.get("settings") == _VALUE:
        return bool(tuned)
    varied = table.get("grid", {})
    among = {key for name in tuned for world in tuned_worlds(name)
             for key in tuned_settings(name, world).settings}  # fmt: skip
    # A grid lies on top of tuned settings: of one that was tuned it would undo them.
    for key, refused in (("settings", "settings" in table), ("grid", not among.isdisjoint(varied))):
        if refused:
            got = f"{key} of method[{number}] ({tuned[0]})"
            allowed = "a study whose methods have none of their own, such as leaderboard"
            raise ArgumentError("tuned", got, allowed)
    return True


def _inserted(part: str) -> str:
    """Return the lines of a table with the settings after its name or family."""
    found = _NAMED.search(part)
    if found is None:
        return part
    end = "" if found[0].endswith("\n") else "\n"
    return f'{part[: found.end()]}{end}settings = "{_VALUE}"\n{part[found.end() :]}'
