"""Means of a trace over facts, with the intervals of a bootstrap."""

from __future__ import annotations

import numpy as np
import polars as pl

from .clusters import interval, proper, resampled_weights
from .trace_memory_budget import RESAMPLES

__all__ = ["summary_of"]

_LEVEL = 0.95


def summary_of(facts: pl.DataFrame) -> pl.DataFrame:
    """Return means over facts, with percentile intervals of a bootstrap over facts."""
    edits = facts["edit"].unique().sort()
    weights = resampled_weights(len(edits), RESAMPLES, 0)
    place = pl.col("edit").replace_strict(edits, pl.Series(range(len(edits))))
    rows = []
    for (kind, layer, role), own in facts.with_columns(place=place).group_by(
        "kind", "layer", "role", maintain_order=True
    ):
        values, mine = own["indirect_effect"].to_numpy(), weights[:, own["place"].to_numpy()]
        with np.errstate(invalid="ignore"):
            means = mine @ values / mine.sum(1)
        low, high = proper(*interval(means, _LEVEL))
        mean = float(values.mean())
        rows.append(
            {"kind": kind, "layer": layer, "role": role, "indirect_effect": mean, "low": low,
             "high": high, "facts": own.height}
        )  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"low": pl.Float64, "high": pl.Float64})
