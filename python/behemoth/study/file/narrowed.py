"""The text of a study file restricted to some of its methods.

A study is defined by its text, which is stored in its directory and read on resuming, so the result
is the text of another study file. The text is cut, comments included, at lines that begin tables,
and the result is compared with the parsed tables: files written in another way are refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

from behemoth.support.errors import ArgumentError
from behemoth.support.toml import read_toml

from .method import named_tables

__all__ = ["alone", "cut", "is_method", "narrowed", "parts_of", "reads_as"]

_HEADER = re.compile(r"^[ \t]*\[.*\][ \t]*(#.*)?$", re.MULTILINE)
_METHOD = re.compile(r"[ \t]*\[\[[ \t]*method[ \t]*\]\]")
_WITHIN = re.compile(r"[ \t]*\[[ \t]*method[ \t]*\.")  # a subtable of a method, such as its grid
_LEFT = re.compile(
    r"\n[ \t]*(#.*)?$"
)  # a last comment or empty line, which belongs to the next table
_FAMILY = re.compile(r"^[ \t]*(family|without)[ \t]*=.*\n?", re.MULTILINE)


def narrowed(text: str, names: Collection[str]) -> str:
    """Return the text of a study with some of its methods.

    A table of a family becomes one table for each of its methods in `names`.

    Parameters
    ----------
    text : str
        TOML whose ``[[method]]`` tables are valid (`read_methods`).
    names : collection of str
        Names of the methods to keep.

    Raises
    ------
    ArgumentError
        If its ``[[method]]`` tables are not each in lines of their own.
    """
    table = read_toml(text)
    kept: list[dict[str, Any]] = []
    parts: list[str] = []
    tables = iter(table["method"])
    for part in parts_of(text):
        own = next(tables, None) if is_method(part) else None
        if own is None:
            parts.append(part)
            continue
        body, between = cut(part)
        for name, said in named_tables(own, names):
            kept.append(own if "family" not in own else alone(name, said))
            parts.append(f"{body if 'family' not in own else _rewritten(body, kept[-1])}\n")
        parts.append(between)
    found = "".join(parts)
    if not reads_as(found, {**table, "method": kept}):
        allowed = "none, as the [[method]] tables of the file are not each in lines of their own"
        raise ArgumentError("methods", ",".join(names), allowed)
    return found


def parts_of(text: str) -> list[str]:
    """Return the text, cut before each table except subtables of methods."""
    starts = [found.start() for found in _HEADER.finditer(text) if not _WITHIN.match(found[0])]
    edges = [0, *starts, len(text)]
    return [text[begin:end] for begin, end in pairwise(edges)]


def reads_as(text: str, table: Mapping[str, Any]) -> bool:
    """Return whether a text is TOML of a table: whether cutting and pasting it went well."""
    try:
        return read_toml(text) == table
    except ValueError:
        return False


def is_method(part: str) -> bool:
    """Return whether a part of a text is a ``[[method]]`` table."""
    return _METHOD.match(part) is not None


def cut(part: str) -> tuple[str, str]:
    """Return a table, and the comments and empty lines after it."""
    body = part.removesuffix("\n")
    while found := _LEFT.search(body):
        body = body[: found.start()]
    return body, part[len(body) + 1 :]


def alone(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of one method of a family, with the label that it has in the family."""
    own = {key: value for key, value in table.items() if key not in ("family", "without", "label")}
    # Without a label the settings would become part of it.
    label = {"label": name} if isinstance(own.get("settings"), dict) else {}
    return {"name": name, **label, **own}


def _rewritten(body: str, table: Mapping[str, Any]) -> str:
    """Return the lines of a family's table, rewritten for one of its methods."""
    lines = _FAMILY.sub("", body.partition("\n")[2]).rstrip("\n")
    said = [f'{key} = "{table[key]}"' for key in ("name", "label") if key in table]
    return "\n".join(["[[method]]", *said, *([lines] if lines else [])])
