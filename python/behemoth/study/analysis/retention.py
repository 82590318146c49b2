"""Durability: which edits last when training on the corpus continues."""

from __future__ import annotations

import polars as pl

from .estimate import means
from .ranges import SHARE

__all__ = ["half_lives", "retention_curves"]


def retention_curves(retention: pl.DataFrame) -> pl.DataFrame:
    """Return the share of edits that are kept, among those kept right after editing.

    Returns
    -------
    polars.DataFrame
        Columns label, size, exposures, step (of continued training), mean, low, high, rows (edits),
        clusters.
    """
    held = retention.filter((pl.col("step") == 0) & pl.col("kept")).select("trial", "edit")
    rows = retention.join(held.unique(), on=["trial", "edit"]).with_columns(
        pl.col("kept").cast(pl.Float64)
    )
    return means(rows, "kept", ("label", "size", "exposures", "step"), within=SHARE)


def half_lives(curves: pl.DataFrame) -> pl.DataFrame:
    """Return the steps after which half of the edits are lost, interpolated between evaluations.

    Returns
    -------
    polars.DataFrame
        Columns label, size, exposures, half_life (Float64; null if the share never falls from above
        a half to a half), looked (the last step), rows.
    """
    found = []
    keys = ["label", "size", "exposures"]
    for key, part in curves.sort("step").group_by(keys, maintain_order=True):
        steps, shares = part["step"].to_list(), part["mean"].to_list()
        half = None
        for place in range(1, len(steps)):
            before, after = shares[place - 1], shares[place]
            if after <= 0.5 < before:
                share = (before - 0.5) / (before - after)
                half = steps[place - 1] + share * (steps[place] - steps[place - 1])
                break
        found.append(
            {**dict(zip(keys, key, strict=True)), "half_life": half, "looked": steps[-1],
             "rows": part["rows"].max()}
        )  # fmt: skip
    schema = {**{name: curves.schema[name] for name in keys}, "half_life": pl.Float64,
              "looked": curves.schema["step"], "rows": pl.UInt32}  # fmt: skip
    return pl.DataFrame(found, schema=schema).sort(keys)
