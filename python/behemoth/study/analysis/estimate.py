"""Numbers with intervals that are honest for few models.

Facts of one model are not independent, models are: a cluster is a (world seed, initialisation),
whatever the size, the load or the rotation of what was trained on it. So a number is worked out on
everything, then again without each cluster in turn, and how much it moves gives its standard error:
the cluster jackknife (CV3 of MacKinnon, Nielsen and Webb, 2023, "Cluster-robust inference: a guide
to empirical practice", section 3.2), with Student's t on clusters - 1 degrees of freedom. Sandwich
estimators and the percentile bootstrap are too narrow for the three to fifteen clusters of a study.

There is no interval where nothing moves: few clusters agree by chance, on medians of whole steps or
on shares of 1, and an interval of no width would say that this is certain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from behemoth.evaluate.aggregate import CLUSTERS
from behemoth.support.errors import ArgumentError

__all__ = ["LEVEL", "Estimate", "cluster_keys", "cluster_of", "jackknife", "means", "means_of"]

LEVEL = 0.95
"""Of all intervals, unless another is asked for."""
_STILL = 1e-12  # of a number: a standard error up to that is rounding
_NONE = "cannot be estimated"
_ONE = "one cluster: no interval"
_SAME = "the same in every cluster: no interval"
_LEANS = "without one of the clusters it cannot be estimated: no interval"


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes
    ----------
    value : float or None
        None where it cannot be estimated.
    low, high : float or None
        Ends of the interval; None without one.
    p : float or None
        Of the two-sided test against 0.
    clusters : int
        (World seed, initialisation) pairs that it rests on.
    rows : int
        Edits, or other units, that it rests on.
    note : str or None
        Why there is no number, or no interval.
    log_likelihood : float or None
        Of the fit to all rows, for estimates made by maximum likelihood; comparable between fits
        of the same rows.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    clusters: int = 0
    rows: int = 0
    note: str | None = None
    log_likelihood: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def saying(self, note: str) -> Estimate:
        """Give the same with a note, unless it has one."""
        return self if self.note else replace(self, note=note)


def cluster_keys(frame: pl.DataFrame) -> list[str]:
    """Give the columns that make a cluster: world_seed and seed.

    ``world``, the hash of a world, stands in for its seed in frames without that: worlds of one
    seed and several sizes, rotations or loads share draws, so they are one cluster.
    """
    first, second = CLUSTERS
    return ["world_seed" if "world_seed" in frame.columns else first, second]


def cluster_of(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Number the clusters, as (world seed, initialisation), that rows are of: int64 [rows], from 0.

    Raises
    ------
    ArgumentError
        When the frame does not say.
    """
    keys = cluster_keys(frame)
    for name in keys:
        if name not in frame.columns:
            raise ArgumentError("frame", f"no column {name!r}", "frames with it")
    if not frame.height:
        return np.zeros(0, np.int64)
    order = frame.select(pl.struct(keys).rank("dense") - 1)
    return order.to_series().to_numpy().astype(np.int64)


def jackknife(
    fit: Callable[[NDArray[np.bool_]], ArrayLike],
    cluster: NDArray[np.int64],
    *,
    rows: int | None = None,
    level: float = LEVEL,
) -> list[Estimate]:
    """Estimate with a cluster jackknife.

    Parameters
    ----------
    fit : callable
        Takes which rows count, bool[n], and gives numbers, NaN for what cannot be estimated.
    cluster : int64[n]
        The cluster of each row.
    rows : int, optional
        Units that it rests on, where rows are counts of them.
    level : float
        Of the intervals.

    Returns
    -------
    list of Estimate
        One for each number that `fit` gives.
    """
    rows = len(cluster) if rows is None else rows
    which = np.unique(cluster)
    values = np.asarray(fit(np.ones(len(cluster), np.bool_)), np.float64)
    if len(which) < 2:
        note = _ONE if len(which) else "no rows"
        return [_single(value, len(which), rows, note) for value in values]
    without = np.stack([np.asarray(fit(cluster != one), np.float64) for one in which])
    count = len(which)
    errors = np.sqrt((count - 1) / count * ((without - values) ** 2).sum(0))
    quantile = float(stats.t.ppf((1 + level) / 2, count - 1))
    found: list[Estimate] = []
    for value, error in zip(values.tolist(), errors.tolist(), strict=True):
        if not math.isfinite(value):
            found.append(Estimate(None, clusters=count, rows=rows, note=_NONE))
        elif not math.isfinite(error):
            found.append(Estimate(value, clusters=count, rows=rows, note=_LEANS))
        elif error <= _STILL * abs(value):
            found.append(Estimate(value, clusters=count, rows=rows, note=_SAME))
        else:
            low, high = value - quantile * error, value + quantile * error
            p = 2 * float(stats.t.sf(abs(value) / error, count - 1))
            found.append(Estimate(value, low, high, p, count, rows))
    return found


def _single(value: float, clusters: int, rows: int, note: str) -> Estimate:
    if math.isfinite(value):
        return Estimate(float(value), clusters=clusters, rows=rows, note=note)
    return Estimate(None, clusters=clusters, rows=rows, note=_NONE if rows else note)


def means_of(
    frame: pl.DataFrame,
    bounds: Mapping[str, tuple[float, float]],
    by: Sequence[str],
    *,
    units: Sequence[str] = (),
) -> pl.DataFrame:
    """The `means` of several columns, below each other.

    Parameters
    ----------
    bounds : mapping
        By column, what intervals are cut to.

    Returns
    -------
    polars.DataFrame
        That of `means`, and measure (the column).
    """
    parts = [
        means(frame, name, by, units=units, within=within).with_columns(
            pl.lit(name).alias("measure")
        )
        for name, within in bounds.items()
    ]
    return pl.concat(parts)


def means(
    frame: pl.DataFrame,
    value: str,
    by: Sequence[str],
    *,
    units: Sequence[str] = (),
    within: tuple[float, float] | None = None,
    level: float = LEVEL,
) -> pl.DataFrame:
    """Means by group with intervals by the cluster jackknife.

    Parameters
    ----------
    frame : polars.DataFrame
        With the columns of clusters, see `cluster_keys`.
    value : str
        Column to average; null and NaN rows do not count.
    by : sequence of str
        Columns to keep apart.
    units : sequence of str
        Columns of what is averaged first (such as an edit over its probes); rows by default.
    within : (float, float), optional
        Bounds that intervals are cut to.

    Returns
    -------
    polars.DataFrame
        The columns of `by`, sorted, then mean, low, high (Float64; the interval is null for
        one cluster, where all clusters agree, and where bounds leave a point of it), rows (units)
        and clusters (UInt32).
    """
    clusters = cluster_keys(frame)
    kept = frame.with_columns(pl.col(value).cast(pl.Float64).fill_nan(None)).drop_nulls(value)
    first = pl.col(value).mean().alias("_value")
    if units:
        kept = kept.group_by(*by, *clusters, *units).agg(first)
    else:
        kept = kept.with_columns(pl.col(value).alias("_value"))
    sums = kept.group_by(*by, *clusters).agg(
        pl.col("_value").sum(), pl.col("_value").abs().sum().alias("_size"), pl.len().alias("_rows")
    )
    total, number = pl.col("_value").sum(), pl.col("_rows").sum()
    left_out = (total.over(by) - pl.col("_value")) / (number.over(by) - pl.col("_rows"))
    whole = total.over(by) / number.over(by)
    table = (
        sums.with_columns(whole.alias("mean"), ((left_out - whole) ** 2).alias("_moved"))
        .group_by(by)
        .agg(
            pl.col("mean").first(),
            pl.col("_moved").sum(),
            # Of the values and not of their mean, which may be 0 but for rounding.
            (pl.col("_size").sum() / number).alias("_size"),
            number.cast(pl.UInt32).alias("rows"),
            pl.len().cast(pl.UInt32).alias("clusters"),
        )
        .sort(by)
    )
    count = table["clusters"].to_numpy().astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.sqrt((count - 1) / count * table["_moved"].to_numpy())
        reach = stats.t.ppf((1 + level) / 2, np.maximum(count - 1, 1)) * error
    moves = pl.Series("_moves", error > _STILL * table["_size"].to_numpy(), dtype=pl.Boolean)
    ends = pl.Series("_reach", reach, dtype=pl.Float64)
    low, high = pl.col("mean") - ends, pl.col("mean") + ends
    if within is not None:
        low, high = low.clip(*within), high.clip(*within)
    known = (pl.col("clusters") > 1) & moves & (low < high)
    return table.with_columns(
        pl.when(known).then(low).alias("low"), pl.when(known).then(high).alias("high")
    ).select(*by, "mean", "low", "high", "rows", "clusters")
