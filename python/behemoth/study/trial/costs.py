"""Costs of edits, counted once per kind of trial.

Without early stopping the cost is the same for all plans of one shape (`Trial.kind`), and a study
counts it once; with `stop_loss` it depends on the edit, and is counted in every trial of the first
world and initialisation at each other value of the grid (`TrialUnit.counted`). Counting repeats an
edit, in about twice its time, or a few of its steps (`behemoth.edit.cost`); the workers of a study
share the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from behemoth._gen import digest
from behemoth.edit.cost import EditCost
from behemoth.support.digests import read_sealed, sealed
from behemoth.support.errors import CorpusError
from behemoth.support.files import as_json, write_bytes

__all__ = ["COUNTING", "cost_of"]

COUNTING = 1
"""Increased when the same edit comes to have another cost; cached counts are of one number."""


def cost_of(folder: Path, kind: Hashable, count: Callable[[], EditCost | None]) -> EditCost | None:
    """Return the cost of a kind of trial, counting it if the folder does not have it yet.

    Only counts are kept: if the first edit of one trial breaks down, that of another may not.

    Parameters
    ----------
    folder : Path
    kind : hashable
        Identified by its `repr`.
    count : callable
        Counts the cost; returns None if there is nothing to count.
    """
    file = folder / f"{digest(repr(kind).encode())[:24]}.json"
    if file.is_file():
        with suppress(CorpusError, TypeError):  # if the record is invalid, count again
            return EditCost(**read_sealed(file, "counted costs", always=True))
    cost = count()
    if cost is not None:
        write_bytes(file, as_json(sealed(asdict(cost))))
    return cost
