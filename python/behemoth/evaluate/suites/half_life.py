"""How many further edits it takes until half of those that were seen to hold are lost."""

from __future__ import annotations

import numpy as np
import polars as pl

__all__ = ["half_life", "seen_again"]


def half_life(held: pl.DataFrame) -> float | None:
    """Return the number of further edits after which half of the edits no longer hold.

    Only edits that held at their first checkpoint count, and only at later checkpoints: at the
    first one they hold by selection, which would make any retention look good.

    Parameters
    ----------
    held : polars.DataFrame
        place (of an edit, from 0), after (edits made) and exact_match (whether it holds).

    Returns
    -------
    float or None
        Number of edits made since an edit was seen to hold, interpolated on the logarithm of the
        number + 1 between the first two numbers between which the share passes a half; None if it
        does not.
    """
    aged = (
        seen_again(held)
        # There are few edits for each number: numbers are pooled by power of two.
        .with_columns((pl.col("since") + 1).log(2).floor().alias("bin"))
        .group_by("bin", maintain_order=True)
        .agg(pl.col("since").cast(pl.Float64).mean(), pl.col("exact_match").cast(pl.Float64).mean())
        .sort("bin")
    )
    before = (0.0, 1.0)
    for since, share in aged.select("since", "exact_match").iter_rows():
        if share <= 0.5:
            low, high = np.log1p(before[0]), np.log1p(since)
            part = (before[1] - 0.5) / (before[1] - share)
            return float(np.expm1(low + part * (high - low)))
        before = (since, share)
    return None


def seen_again(held: pl.DataFrame) -> pl.DataFrame:
    """Return later checkpoints of edits that held at their first one, with edits made since."""
    first = pl.col("after") == pl.col("after").min().over("place")
    held_first = held.filter(first & pl.col("exact_match")).select(
        "place", pl.col("after").alias("seen")
    )
    return (
        held.join(held_first, on="place")
        .filter(pl.col("after") > pl.col("seen"))
        .with_columns((pl.col("after") - pl.col("seen")).alias("since"))
    )
