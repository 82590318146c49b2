"""ED50 by method and exposures: of all facts, and of those that were known before the edit."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from behemoth.evaluate.dose import ed50

__all__ = ["FILTERS", "dose_table", "dosed", "filtered"]

FILTERS = ("all", "known")
"""All facts, and those that the unedited model gave back: the analyses stand side by side, since
being known is itself a matter of exposures."""


def filtered(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Give the rows of a filter, by the column ``known`` (null counts as not known)."""
    return frame if name == "all" else frame.filter(pl.col("known").fill_null(False))


def dosed(edits: pl.DataFrame) -> pl.DataFrame:
    """Give the edits that have a dose: those of methods that go step by step, not broken down."""
    return edits.filter(pl.col("dose").is_not_null() & pl.col("reached").is_not_null())


def dose_table(
    edits: pl.DataFrame,
    *,
    by: Sequence[str] = ("label", "size", "exposures"),
    resamples: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """The dose that half of the edits need, in steps, right-censored where it is not reached.

    Parameters
    ----------
    edits : polars.DataFrame
        The study's frame of edits.
    by : sequence of str
        Columns to keep apart.
    resamples, seed
        Of the cluster bootstrap.

    Returns
    -------
    polars.DataFrame
        The columns of `by`, filter (String: all or known), and those of
        `behemoth.evaluate.ed50`: edits, reached, ed50, censored, beyond, low, high, clusters.
        Intervals are percentiles of the bootstrap over whole (world, initialisation) clusters,
        which are too narrow for few of them; they are null for one.
    """
    rows = dosed(edits)
    found = [
        ed50(filtered(rows, name), by=by, resamples=resamples, seed=seed).with_columns(
            pl.lit(name).alias("filter")
        )
        for name in FILTERS
    ]
    return pl.concat(found).select(*by, "filter", pl.exclude(*by, "filter"))
