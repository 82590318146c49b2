"""Aggregation of rows: metrics with bootstrap intervals clustered by (world, initialisation).

One model says nothing about others. How certain its own numbers are, given the facts that were
drawn, is estimated by a bootstrap over subjects: a different question, with a different name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.support.errors import ArgumentError
from behemoth.support.notices import warn_caller

from .clusters import (
    check_bootstrap,
    groups_of,
    interval,
    names_of,
    numbered_rows,
    proper,
    weight_parts,
)
from .metrics import METRICS, PARAPHRASED, Mean, Metric, get_metric

__all__ = ["CLUSTERS", "aggregate", "has_rows", "lacking", "lost"]

CLUSTERS = ("world", "seed")
"""Columns that identify a model: its world and its initialisation."""
_UNITS = (*CLUSTERS, "run", "plan", "edit")
_FILTERS = ("all", "known")
_RESAMPLED = ("models", "subjects")
_REWORDED = frozenset(PARAPHRASED)


def aggregate(
    frame: pl.DataFrame,
    metrics: str | Sequence[str] | None = None,
    *,
    by: str | Sequence[str] = ("method", "stage"),
    filters: str | Sequence[str] = _FILTERS,
    resampled: Literal["models", "subjects"] = "models",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Average the rows of evaluation frames.

    Probes are averaged within their edit, then edits within each group of `by`. Probes of a plan as
    a whole, which have no edit, weigh as much as probes of its edits do on average; without any of
    these, they are averaged as those of one edit. Intervals are percentile intervals of the cluster
    bootstrap; the same clusters are drawn for all metrics, so that metrics are compared on the same
    draws.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows of `evaluate`, from one or several runs.
    metrics : str or sequence of str, optional
        Names in `METRICS`; all by default.
    by : str or sequence of str
        Columns to group by, such as ``edit_exposures`` or ``group``; without any, all rows are one
        group.
    filters : str or sequence of str
        ``all`` rows, or those whose fact was ``known`` before the edit.
    resampled : {'models', 'subjects'}
        Clusters of the bootstrap: complete models, for statements about models; or subjects of
        worlds, for statements about these very models, had other facts been probed.
    resamples : int
        Number of bootstrap samples.
    level : float
        Level of the intervals, between 0 and 1.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    polars.DataFrame
        The columns of `by`, then metric, version, filter (String), value, low, high
        (Float64; the interval is null for a single cluster, which says nothing about others, and
        if all samples agree), rows, edits, clusters (UInt32; models or subjects). Metrics without
        rows are omitted; if one that was named in `metrics` has no row at all, a `UserWarning`
        names it and the groups of probes that it needs. A harmonic mean lacks rows of a part if
        all edits with such rows failed; it is 0 then if another part is 0, else omitted.

    Raises
    ------
    ArgumentError
        For an unknown metric, filter or column, or numbers that no bootstrap has.
    """
    by, filters = names_of(by), names_of(filters)
    chosen = [get_metric(name) for name in names_of(METRICS if metrics is None else metrics)]
    for name in filters:
        if name not in _FILTERS:
            raise ArgumentError.unknown("filters", name, _FILTERS)
    if resampled not in _RESAMPLED:
        raise ArgumentError.unknown("resampled", resampled, _RESAMPLED)
    keys = CLUSTERS if resampled == "models" else (*CLUSTERS, "link", "subject")
    for name in by:
        if name not in frame.columns:
            raise ArgumentError.unknown("by", name, frame.columns)
    if missing := [name for name in keys if name not in frame.columns]:
        raise ArgumentError("frame", f"one without {missing[0]}", "a frame of evaluate(...)")
    check_bootstrap(resamples, level, seed)
    rows = []
    for key, part in groups_of(frame, by):
        cluster = numbered_rows(part, keys)
        marked = part.with_columns(pl.Series("cluster", cluster))
        bootstrap = _Bootstrap(int(cluster.max()) + 1, resamples, level, seed)
        for name in filters:
            kept = marked if name == "all" else marked.filter(pl.col("known"))
            for metric in chosen:
                row = _summary(kept, metric, bootstrap)
                if row is not None:
                    labels = dict(zip(by, key, strict=True))
                    rows.append({**labels, **row, "filter": name, "version": metric.version})
    schema = {
        **{name: frame.schema[name] for name in by},
        "metric": pl.String,
        "version": pl.UInt32,
        "filter": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "rows": pl.UInt32,
        "edits": pl.UInt32,
        "clusters": pl.UInt32,
    }
    if metrics is not None and not frame.is_empty():
        _warn_of([own for own in chosen if own.name not in {row["metric"] for row in rows}])
    return pl.DataFrame(rows, schema=schema)


def lacking(frame: pl.DataFrame, metric: Metric) -> list[Mean]:
    """Return the parts of a metric of which a frame has no rows with values."""
    return [
        part for part in metric.parts
        if not frame.filter(part.condition).select(part.value.is_not_null().any()).item()
    ]  # fmt: skip


def has_rows(frame: pl.DataFrame, metric: Metric) -> bool:
    """Return whether a frame has the rows that a metric is a mean of."""
    without = len(lacking(frame, metric))
    return without == 0 if metric.whole else without < len(metric.parts)


def lost(frame: pl.DataFrame, part: Mean) -> bool:
    """Return whether a frame has rows of a part, but only of edits that failed."""
    asked = frame.filter(part.asked, part.value.is_not_null())
    return asked.height > 0 and asked.filter(part.condition).is_empty()


def _warn_of(missing: Sequence[Metric]) -> None:
    for metric in missing:
        groups = dict.fromkeys(group for part in metric.parts for group in part.groups)
        hint = (
            " (a corpus has other wordings with --paraphrases)" if _REWORDED & set(groups) else ""
        )
        warn_caller(
            f"{metric.name}: no rows with values, and so not in the table; it needs probes of "
            f"{', '.join(groups)}{hint}"
        )


@dataclass(frozen=True)
class _Bootstrap:
    clusters: int
    resamples: int
    level: float
    seed: int


def _summary(
    frame: pl.DataFrame, metric: Metric, bootstrap: _Bootstrap
) -> dict[str, object] | None:
    """Return value and interval of one metric; None if there are no rows."""
    count = bootstrap.clusters
    found = [_sums(frame, part, count) for part in metric.parts]
    there = [part for part in found if part[2] > 0]
    if not there:
        return None
    value = float(_combined(there, np.ones((1, count)))[0])
    missing = [part for part, own in zip(metric.parts, found, strict=True) if not own[2]]
    # A part that is 0 makes the mean 0, whatever edits that failed would have kept.
    if metric.whole and missing and (value != 0 or not all(lost(frame, own) for own in missing)):
        return None
    clusters = int(np.any([counts > 0 for _, counts, _, _ in there], axis=0).sum())
    low = high = None
    if clusters > 1:
        parts = weight_parts(count, bootstrap.resamples, bootstrap.seed)
        values = np.concatenate([_combined(there, weights) for weights in parts])
        low, high = proper(*interval(values, bootstrap.level))
    return {
        "metric": metric.name,
        "value": value,
        "low": low,
        "high": high,
        "rows": sum(rows for _, _, rows, _ in there),
        "edits": max(units for _, _, _, units in there),
        "clusters": clusters,
    }


_Sums = tuple[NDArray[np.float64], NDArray[np.float64], int, int]


def _sums(frame: pl.DataFrame, part: Mean, clusters: int) -> _Sums:
    """Return sums and counts of edits' means by cluster, the number of rows and that of edits.

    An edit counts as one, whatever the number of its rows; if its rows belong to several clusters,
    each of them gets its share. Rows without an edit count as the edits that would have so many,
    at the mean number of rows of an edit of their plan.
    """
    owned, models = pl.col("edit").is_not_null(), _UNITS[:-1]
    edits_of = pl.col("edit").drop_nulls().n_unique().over(models)
    per_edit = pl.col("rows").filter(owned).sum().over(models) / edits_of
    rows_of = pl.col("rows").sum().over(_UNITS)
    edits = (
        frame.filter(part.condition)
        .select("cluster", *_UNITS, part.value.alias("value"))
        .drop_nulls("value")
        .group_by("cluster", *_UNITS, maintain_order=True)
        .agg(pl.col("value").mean(), pl.len().alias("rows"))
        .with_columns(
            share=pl.col("rows")
            / rows_of
            * pl.when(owned | (edits_of == 0)).then(1.0).otherwise(rows_of / per_edit)
        )
    )
    sums, counts = np.zeros(clusters), np.zeros(clusters)
    share = edits["share"].to_numpy()
    np.add.at(sums, edits["cluster"].to_numpy(), edits["value"].to_numpy() * share)
    np.add.at(counts, edits["cluster"].to_numpy(), share)
    return sums, counts, int(edits["rows"].sum()), edits.select(_UNITS).n_unique()


def _combined(parts: Sequence[_Sums], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the metric in each sample: a mean, or the harmonic mean of several (0 if one is 0)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.stack([(weights @ sums) / (weights @ counts) for sums, counts, _, _ in parts])
        if len(means) == 1:
            return means[0]
        harmonic = len(means) / (1 / means).sum(0)
    harmonic = np.where((means <= 0).any(0), 0.0, harmonic)
    return np.where(np.isnan(means).any(0), np.nan, harmonic)
