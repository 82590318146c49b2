"""The record that makes a directory a plan, without the code that reads its frames."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import polars as pl

from behemoth.store.source import at_hand
from behemoth.support.checks import as_found
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import check_regular
from behemoth.support.parquet import panics_are_errors

__all__ = ["RECORD", "edits_in", "plan_place"]

RECORD = "plan.toml"


def plan_place(directory: str | PathLike[str]) -> Path:
    """Return the directory of a plan; for a URL, that of its local copy. Contents are not read.

    Raises
    ------
    ArgumentError
        When there is no plan.
    """
    place = at_hand("directory", directory, "a plan directory")
    if not (place / RECORD).is_file():
        raise ArgumentError(
            "directory", as_found(directory), f"a plan directory (one that holds {RECORD})"
        )
    return place


def edits_in(place: Path) -> int | None:
    """Return the number of edits of the plan in a directory, without loading and checking it.

    None if there is no plan or its frame is damaged: whoever needs more than a number loads it.
    """
    if not (place / RECORD).is_file():
        return None
    try:
        check_regular(place / "edits.parquet")
        with panics_are_errors():
            scan = pl.scan_parquet(place / "edits.parquet", glob=False)
            return scan.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError, CorpusError):
        return None
