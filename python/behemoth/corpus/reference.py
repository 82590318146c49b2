"""What the reference notes beside a graph: ``args.json``, the options that it was made with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from os import fspath
from pathlib import Path
from typing import Any

from behemoth.support.errors import ArgumentError

__all__ = ["GraphNotes", "read_notes"]

_NAMES = ("args.json", "metadata/args.json", "viscera/args.json")
"""From the folder of a graph on: it lies beside it, or the graph was taken out of its folder."""


@dataclass(frozen=True)
class GraphNotes:
    """The true sizes of a graph, which its ids need not reach, and how it was drawn.

    Parameters
    ----------
    file : str
        Where this is written.
    subjects, relations, objects, nested : int, optional
        How many there are; objects and nested objects of each relation. None where it is not said.
    correlated : bool
        Whether relation 1 was correlated with relation 0.
    binarised : bool
        Whether relation 0 has objects 0 and 1 alone.
    """

    file: str
    subjects: int | None
    relations: int | None
    objects: int | None
    nested: int | None
    correlated: bool
    binarised: bool

    def count(self, name: str, seen: int) -> int:
        """Give how many there are of a kind of thing.

        Parameters
        ----------
        name : {'subjects', 'relations', 'objects', 'nested'}
        seen : int
            How many the ids of the graph come to.

        Raises
        ------
        ArgumentError
            When the graph has more.
        """
        noted: int | None = getattr(self, name)
        if noted is None:
            return seen
        if noted < seen:
            raise ArgumentError(
                "table",
                f"a graph with {seen:,} {name}",
                f"up to {noted:,}, as {self.file} says; without that file the largest id counts",
            )
        return noted


def read_notes(graph: Path) -> GraphNotes | None:
    """Read what lies beside a graph; none where there is nothing.

    Raises
    ------
    ArgumentError
        When the file is none of the reference's.
    """
    file = next((place for name in _NAMES if (place := graph.parent / name).is_file()), None)
    if file is None:
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return GraphNotes(
            file=fspath(file),
            subjects=_count(values, "subjects"),
            relations=_count(values, "relationships"),
            objects=_count(values, "objects"),
            nested=_count(values, "num_nested_objects"),
            correlated=bool(values.get("correlated_pair", False)),
            binarised=bool(values.get("binarize_first_correlated", False)),
        )
    except (ValueError, TypeError, AttributeError):
        raise ArgumentError(
            "table", f"{fspath(file)}, which is damaged", "the file as the reference wrote it"
        ) from None


def _count(values: dict[str, Any], name: str) -> int | None:
    """Give a count that is there and above 0."""
    value = values.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise TypeError
    return value or None
