"""A study's file with some of its methods: the tables of these, and no others.

What a study is must be said by its text, which lies in its directory and is gone on with, so what
is given here is the text of another file. It is cut where lines begin tables, comments and all, and
held to what the tables say: of a file that is written in another way nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

from behemoth.support.errors import ArgumentError
from behemoth.support.toml import read_toml

from .method import named_tables

__all__ = ["narrowed"]

_HEADER = re.compile(r"^[ \t]*\[.*\][ \t]*(#.*)?$", re.MULTILINE)
_METHOD = re.compile(r"[ \t]*\[\[[ \t]*method[ \t]*\]\]")
_WITHIN = re.compile(r"[ \t]*\[[ \t]*method[ \t]*\.")  # a table of the method's, such as its grid
_LEFT = re.compile(r"\n[ \t]*(#.*)?$")  # a comment or an empty line at the end: of what follows
_FAMILY = re.compile(r"^[ \t]*(family|without)[ \t]*=.*\n?", re.MULTILINE)


def narrowed(text: str, names: Collection[str]) -> str:
    """Give the text of a study with some of its methods.

    A table of a family becomes one table for each of its methods that is wanted.

    Parameters
    ----------
    text : str
        TOML whose tables of methods are in order (`read_methods`).
    names : collection of str
        Of methods that it has.

    Raises
    ------
    ArgumentError
        When its ``[[method]]`` tables are not each written in lines of their own.
    """
    table = read_toml(text)
    kept: list[dict[str, Any]] = []
    parts: list[str] = []
    tables = iter(table["method"])
    for part in _parts(text):
        own = next(tables, None) if _METHOD.match(part) else None
        if own is None:
            parts.append(part)
            continue
        body, between = _cut(part)
        for name, said in named_tables(own):
            if name in names:
                kept.append(own if "family" not in own else _alone(name, said))
                parts.append(f"{body if 'family' not in own else _rewritten(body, kept[-1])}\n")
        parts.append(between)
    found = "".join(parts)
    try:
        same = read_toml(found) == {**table, "method": kept}
    except ValueError:
        same = False
    if not same:
        allowed = "none of a file whose [[method]] tables are not each in lines of their own"
        raise ArgumentError("methods", ",".join(names), allowed)
    return found


def _parts(text: str) -> list[str]:
    """The text, cut before each table but those within a method's."""
    starts = [found.start() for found in _HEADER.finditer(text) if not _WITHIN.match(found[0])]
    edges = [0, *starts, len(text)]
    return [text[begin:end] for begin, end in pairwise(edges)]


def _cut(part: str) -> tuple[str, str]:
    """A table, and the comments and empty lines behind it."""
    body = part.removesuffix("\n")
    while found := _LEFT.search(body):
        body = body[: found.start()]
    return body, part[len(body) + 1 :]


def _alone(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The table of one method of a family, called as it is among them."""
    own = {key: value for key, value in table.items() if key not in ("family", "without", "label")}
    # By its name alone it would be called after its settings as well.
    label = {"label": name} if isinstance(own.get("settings"), dict) else {}
    return {"name": name, **label, **own}


def _rewritten(body: str, table: Mapping[str, Any]) -> str:
    """The lines of a family's table as those of one of its methods."""
    lines = _FAMILY.sub("", body.partition("\n")[2]).rstrip("\n")
    said = [f'{key} = "{table[key]}"' for key in ("name", "label") if key in table]
    return "\n".join(["[[method]]", *said, *([lines] if lines else [])])
