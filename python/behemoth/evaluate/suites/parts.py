"""Rows of an evaluation of many models, kept model by model, so that a killed one goes on.

A part is ``NUMBER.parquet`` with a record, ``NUMBER.json``, which states what its rows depend on
and its digest. They are in a folder of the directory of the suite, until that is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from behemoth.evaluate.output import begin
from behemoth.support.digests import FILES, check, digests, read_sealed, sealed
from behemoth.support.errors import CorpusError
from behemoth.support.files import as_json, replacing, write_bytes

from .suite import PARTS, RECORD

__all__ = ["Parts"]


@dataclass(frozen=True)
class Parts:
    """The parts of a suite that are there.

    Attributes
    ----------
    out : Path
        Directory of the suite.
    of : mapping of str
        What the rows depend on, as JSON types. Parts of anything else are not found.
    """

    out: Path
    of: Mapping[str, object]

    def find(self, number: int) -> pl.DataFrame | None:
        """Return the rows of a part; None if it is missing, damaged, or of something else."""
        place, name = self.out / PARTS, f"{number:08}"
        if not (place / f"{name}.json").is_file():
            return None
        try:
            record = read_sealed(place / f"{name}.json", "rows of a suite", always=True)
            if record.get("of") != dict(self.of):
                return None
            check(place, record.get(FILES), f"{name}.parquet")
            return pl.read_parquet(place / f"{name}.parquet", glob=False)
        except (OSError, CorpusError, pl.exceptions.PolarsError):
            return None

    def remove(self) -> None:
        """Remove the parts, and their folder if nothing else is in it."""
        place = self.out / PARTS
        for record in place.glob("[0-9]*.json"):
            record.with_suffix(".parquet").unlink(missing_ok=True)
            record.unlink()
        with suppress(OSError):
            place.rmdir()

    def keep(self, number: int, rows: pl.DataFrame) -> None:
        """Write a part, its record last."""
        begin(self.out, RECORD)
        place, name = self.out / PARTS, f"{number:08}"
        place.mkdir(exist_ok=True)
        with replacing(place / f"{name}.parquet") as temporary:
            rows.write_parquet(temporary)
        record = {"of": dict(self.of), FILES: digests(place, [f"{name}.parquet"])}
        write_bytes(place / f"{name}.json", as_json(sealed(record)))
