"""The reference's options of a graph, which it records in ``args.json`` beside the graph."""

from __future__ import annotations

import json
from dataclasses import dataclass
from os import fspath
from pathlib import Path
from typing import Any

from behemoth.support.errors import ArgumentError

__all__ = ["GraphNotes", "read_notes"]

_NAMES = ("args.json", "metadata/args.json", "viscera/args.json")
"""Relative to the folder of a graph: beside the graph, or where it was before the graph moved up.
"""


@dataclass(frozen=True)
class GraphNotes:
    """The true sizes of a graph, which its largest ids may not reach, and how it was drawn.

    Parameters
    ----------
    file : str
        Path of the file with these notes.
    subjects, relations, objects, nested : int, optional
        Number of each; objects and nested objects per relation. None if the file does not state
        it.
    correlated : bool
        Whether relation 1 was correlated with relation 0.
    binarised : bool
        Whether relation 0 has only objects 0 and 1.
    """

    file: str
    subjects: int | None
    relations: int | None
    objects: int | None
    nested: int | None
    correlated: bool
    binarised: bool

    def count(self, name: str, seen: int) -> int:
        """Return the number of subjects, relations, objects or nested objects.

        Parameters
        ----------
        name : {'subjects', 'relations', 'objects', 'nested'}
        seen : int
            Number that the largest id of the graph implies.

        Raises
        ------
        ArgumentError
            When the graph has more than the file states.
        """
        noted: int | None = getattr(self, name)
        if noted is None:
            return seen
        if noted < seen:
            raise ArgumentError(
                "table",
                f"a graph with {seen:,} {name}",
                f"up to {noted:,}, as {self.file} states; without it the largest id determines it",
            )
        return noted


def read_notes(graph: Path) -> GraphNotes | None:
    """Read the ``args.json`` of a graph; return None if it has none.

    Raises
    ------
    ArgumentError
        When the file is not one that the reference wrote.
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
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ArgumentError(
            "table", f"{fspath(file)}, which is damaged", "the file as the reference wrote it"
        ) from None


def _count(values: dict[str, Any], name: str) -> int | None:
    """Return a count, or None if it is absent or 0."""
    value = values.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise TypeError
    return value or None
