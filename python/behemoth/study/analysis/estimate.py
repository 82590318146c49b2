"""Estimates with intervals that are valid for few models.

Facts of one model are not independent, models are: a cluster is a (world seed, initialisation),
whatever the size, load or rotation of its models. So an estimate is computed on all rows, then
again without each cluster in turn, and its variation gives its standard error: the cluster
jackknife (CV3 of MacKinnon, Nielsen and Webb, 2023, "Cluster-robust inference: a guide to empirical
practice", section 3.2), with Student's t on clusters - 1 degrees of freedom. Sandwich estimators
and the percentile bootstrap are too narrow for the three to fifteen clusters of a study. So is this
one where few of the clusters have most of the models (`tests/study/coverage_of_sizes.py`).

There is no interval if the estimate does not vary: a few clusters agree by chance, on medians of
whole steps or on shares of 1, and an interval of width 0 would claim certainty.
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
from behemoth.evaluate.clusters import numbered
from behemoth.support.errors import ArgumentError

__all__ = ["ROUNDED", "Estimate", "cluster_keys", "cluster_of", "jackknife", "means",
           "means_of", "ratio_of"]  # fmt: skip

_LEVEL = 0.95  # confidence level of intervals
_STILL = 1e-6  # a standard error up to this share of the value is rounding, also of float32
ROUNDED = 1e-14
"""Share of the size of its terms up to which a sum of float64 that cancel is rounding."""
_MOST = 14.0  # of a logarithm
_NONE = "cannot be estimated"
_ONE = "one cluster: no interval"
_SAME = "unchanged without any one cluster: no interval"
_LEANS = "cannot be estimated without one of the clusters: no interval"


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval.

    Attributes
    ----------
    value : float or None
        The estimate; None if it cannot be computed.
    low, high : float or None
        Ends of the interval; None without one.
    p : float or None
        p-value of the two-sided test against 0.
    clusters : int
        Number of (world seed, initialisation) pairs in the data.
    rows : int
        Number of edits, or other units, in the data.
    note : str or None
        Why there is no estimate or no interval, or another remark.
    log_likelihood : float or None
        Log-likelihood of the fit to all rows, for maximum likelihood estimates; comparable between
        fits of the same rows.
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
        """Whether the interval excludes 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def saying(self, note: str) -> Estimate:
        """Return the estimate with a note, unless it has one already."""
        return self if self.note else replace(self, note=note)

    def adding(self, note: str) -> Estimate:
        """Return the estimate with a note after the one that it has, if any."""
        return replace(self, note=f"{self.note}; {note}" if self.note else note)


def ratio_of(power: float) -> float:
    """Return the ratio of a natural logarithm; infinity above 14, a ratio of a million.

    An interval over two clusters may exceed the range of a float.
    """
    return math.exp(power) if power < _MOST else math.inf


def cluster_keys(frame: pl.DataFrame) -> list[str]:
    """Return the columns that define a cluster: world_seed and seed.

    Worlds of one seed and several sizes, rotations or loads share draws, so they are one cluster.
    In frames without ``world_seed``, ``world`` (the hash of a world) replaces it.
    """
    first, second = CLUSTERS
    return ["world_seed" if "world_seed" in frame.columns else first, second]


def cluster_of(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Return the number of each row's (world seed, initialisation) cluster: int64 [rows], from 0.

    Raises
    ------
    ArgumentError
        If the frame lacks one of the columns.
    """
    return numbered(clusters_of(frame))


def clusters_of(frame: pl.DataFrame) -> pl.Series:
    """Return each row's cluster as a struct of its keys, which is the same in other frames.

    Raises
    ------
    ArgumentError
        If the frame lacks one of the columns.
    """
    keys = cluster_keys(frame)
    for name in keys:
        if name not in frame.columns:
            raise ArgumentError("frame", f"no column {name!r}", "frames with it")
    return frame.select(pl.struct(keys)).to_series()


def jackknife(
    fit: Callable[[NDArray[np.bool_]], ArrayLike],
    cluster: NDArray[np.int64],
    *,
    rows: int | None = None,
    scale: float = 0.0,
) -> list[Estimate]:
    """Estimate with a cluster jackknife.

    Parameters
    ----------
    fit : callable
        Called with the rows to include, bool[n]; returns numbers, NaN if not estimable.
    cluster : int64[n]
        Cluster of each row.
    rows : int, optional
        Number of units, if rows are counts of units; the number of rows by default.
    scale : float
        Size of the data in the unit of the estimates. An estimate that varies by no more than
        rounding of it, or of itself, has no interval: a slope of 0 is rounded as its data are.

    Returns
    -------
    list of Estimate
        One per number that `fit` returns.
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
    quantile = float(stats.t.ppf((1 + _LEVEL) / 2, count - 1))
    found: list[Estimate] = []
    for value, error in zip(values.tolist(), errors.tolist(), strict=True):
        if not math.isfinite(value):
            found.append(Estimate(None, clusters=count, rows=rows, note=_NONE))
        elif not math.isfinite(error):
            found.append(Estimate(value, clusters=count, rows=rows, note=_LEANS))
        elif error <= _STILL * max(abs(value), scale):
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
    """Return the `means` of several columns, concatenated.

    Parameters
    ----------
    bounds : mapping
        Columns to average, with the bounds that their intervals are clipped to.

    Returns
    -------
    polars.DataFrame
        Columns of `means`, and measure (name of the averaged column).
    """
    parts = [
        means(frame, name, by, units=units, within=within).with_columns(
            pl.lit(name).alias("measure")
        )
        for name, within in bounds.items()
    ]
    return pl.concat(parts)


def named(table: pl.DataFrame, name: str, by: Sequence[str], *further: pl.Expr) -> pl.DataFrame:
    """Return `means` under a name: the columns of `by`, name, name_low and name_high."""
    ends = {"mean": name, "low": f"{name}_low", "high": f"{name}_high"}
    return table.select(*by, *(pl.col(own).alias(new) for own, new in ends.items()), *further)


def means(
    frame: pl.DataFrame,
    value: str,
    by: Sequence[str],
    *,
    units: Sequence[str] = (),
    within: tuple[float, float] | None = None,
) -> pl.DataFrame:
    """Return means by group with intervals by the cluster jackknife.

    Parameters
    ----------
    frame : polars.DataFrame
        Frame with the columns of clusters, see `cluster_keys`.
    value : str
        Column to average; null and NaN rows are ignored.
    by : sequence of str
        Columns to group by.
    units : sequence of str
        Columns that identify a unit, such as an edit, within which rows are averaged first; by
        default each row is a unit.
    within : (float, float), optional
        Bounds that intervals are clipped to.

    Returns
    -------
    polars.DataFrame
        The columns of `by`, sorted, then mean, low, high (Float64; a mean of values that cancel
        except for rounding is 0, of values with an infinite one infinite; the interval is null for
        one cluster, if all clusters agree, if a value is infinite, and if clipping leaves a single
        point), rows (units) and clusters (UInt32).
    """
    clusters = cluster_keys(frame)
    kept = frame.with_columns(pl.col(value).cast(pl.Float64).fill_nan(None)).drop_nulls(value)
    first = pl.col(value).mean().alias("_value")
    if units:
        kept = kept.group_by(*by, *clusters, *units, maintain_order=True).agg(first)
    else:
        kept = kept.with_columns(pl.col(value).alias("_value"))
    sums = kept.group_by(*by, *clusters, maintain_order=True).agg(
        pl.col("_value").sum(), pl.col("_value").abs().sum().alias("_size"), pl.len().alias("_rows")
    )
    total, number = pl.col("_value").sum(), pl.col("_rows").sum()
    left_out = (total.over(by) - pl.col("_value")) / (number.over(by) - pl.col("_rows"))
    size = pl.col("_size").sum().over(by)  # infinite if a value is, and any total is within that
    noise = size.is_finite() & (total.over(by).abs() <= ROUNDED * size)
    whole = pl.when(noise).then(0.0).otherwise(total.over(by) / number.over(by))
    table = (
        sums.with_columns(whole.alias("mean"), ((left_out - whole) ** 2).alias("_moved"))
        .group_by(by, maintain_order=True)
        .agg(
            pl.col("mean").first(),
            pl.col("_moved").sum(),
            # The scale of the values, not their mean, which may be 0 except for rounding.
            (pl.col("_size").sum() / number).alias("_size"),
            number.cast(pl.UInt32).alias("rows"),
            pl.len().cast(pl.UInt32).alias("clusters"),
        )
        .sort(by)
    )
    count = table["clusters"].to_numpy().astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.sqrt((count - 1) / count * table["_moved"].to_numpy())
        reach = stats.t.ppf((1 + _LEVEL) / 2, np.maximum(count - 1, 1)) * error
    moves = pl.Series("_moves", error > _STILL * table["_size"].to_numpy(), dtype=pl.Boolean)
    ends = pl.Series("_reach", reach, dtype=pl.Float64)
    low, high = pl.col("mean") - ends, pl.col("mean") + ends
    if within is not None:
        low, high = low.clip(*within), high.clip(*within)
    known = (pl.col("clusters") > 1) & moves & (low < high)
    return table.with_columns(
        pl.when(known).then(low).alias("low"), pl.when(known).then(high).alias("high")
    ).select(*by, "mean", "low", "high", "rows", "clusters")
