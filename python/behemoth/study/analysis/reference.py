"""The unedited model on a board: what a method would score that changes nothing."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from behemoth.evaluate.damage import BYSTANDERS
from behemoth.evaluate.suites.score import OBJECTIVES, Reading

from .board_measures import derived, estimated

__all__ = ["REFERENCE", "reference"]

REFERENCE: dict[str, pl.DataType | type[pl.DataType]] = {
    "measure": pl.String,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rows": pl.UInt32,
    "clusters": pl.UInt32,
}
"""Columns of `reference`."""
_NOTHING_LOST = ("kl", *(f"damage_{group}" for group in BYSTANDERS))
"""Measures of the difference to the unedited model, which are 0 for it by their meaning."""
_OF_MODEL = ("model", "world_seed", "seed", "grammar", "edits")


def reference(suite: str, suites: pl.DataFrame) -> pl.DataFrame:
    """Return the unedited models' measures of a suite, columns as in `REFERENCE`.

    A model counts once for each number of edits, whatever methods there are: usually all edit it by
    the same plan, else its value is the mean over their trials. Measures that would need an edit,
    or training, are missing; so are all of them in trials of versions that did not take the
    unedited model's values.

    Parameters
    ----------
    suite : str
    suites : polars.DataFrame
        `Results.suites`, collected.
    """
    own = suites.filter(pl.col("suite") == suite, pl.col("missing").is_null())
    known = own.filter(pl.col("before").is_not_null())
    made: list[dict[str, Any]] = []
    taken = own.filter(pl.col("value").is_not_null(), pl.col("measure").is_in(_NOTHING_LOST))
    legs = {leg.name for leg in OBJECTIVES[suite].legs}
    for key, rows in known.group_by(_OF_MODEL, maintain_order=True):
        found = rows.group_by("measure", maintain_order=True).agg(pl.col("before", "twin").mean())
        # The suite's own score of editing, without the rule of legs, is computed again.
        readings = {
            name: Reading(value, twin) for name, value, twin in found.iter_rows() if name != "score"
        }
        same = (pl.col(name).eq_missing(value) for name, value in zip(_OF_MODEL, key, strict=True))
        readings |= {name: Reading(0.0) for name in taken.filter(*same)["measure"].unique()}
        inferred = readings.get("membership_loss")
        if inferred is not None and inferred.value is not None and inferred.twin is not None:
            readings["privacy_loss"] = Reading(abs(inferred.value - inferred.twin))
        values = {name: reading.value for name, reading in readings.items()}
        values |= {
            name: value for name, value in derived(suite, readings).items() if name not in values
        }
        made += [
            {
                **dict(zip(_OF_MODEL, key, strict=True)),
                "measure": name,
                "value": 0.0 if name in legs and not math.isfinite(value) else value,
            }
            for name, value in values.items()
            if value is not None
        ]
    if not made:
        return pl.DataFrame(schema=REFERENCE)
    types = {name: known.schema[name] for name in _OF_MODEL}
    table = pl.DataFrame(made, schema={**types, "measure": pl.String, "value": pl.Float64})
    parts = [estimated(table, name, ("measure",)) for name in table["measure"].unique().sort()]
    return pl.concat(parts).select(pl.col(name).cast(dtype) for name, dtype in REFERENCE.items())
