"""Doses as grouped survival data: who was still unflipped at each interval of steps, who flipped.

The model is that of grouped proportional hazards (Prentice and Gloeckler, 1978, Biometrics 34):
a binomial regression with the complementary log-log link on one row for each (edit, interval).
It is the discrete-time hazard regression whose slope does not depend on how the steps are grouped,
which that of a logit link does: edits of a few steps and of hundreds are on one scale. Its slope
is a log hazard ratio, the one that Cox's model estimates. statsmodels fits it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import polars as pl
import statsmodels.api as sm
from numpy.typing import NDArray

from behemoth.evaluate.aggregate import CLUSTERS

__all__ = ["INTERVALS", "binomial", "dummies", "person_periods"]

INTERVALS = 12
"""Most intervals that steps are grouped into, about equally many edits to each."""
_FARTHEST = 15.0  # in the linear predictor between the ends: beyond it lies separation


def person_periods(
    edits: pl.DataFrame, covariates: Sequence[str], strata: Sequence[str]
) -> pl.DataFrame:
    """Cut doses into intervals and count, for equal covariates, edits at risk and edits reached.

    Parameters
    ----------
    edits : polars.DataFrame
        With ``dose`` (steps), ``reached`` and the columns of clusters.
    covariates, strata : sequence of str
        Columns that stay; rows that lack one are left out.

    Returns
    -------
    polars.DataFrame
        interval (from 0), the columns of clusters, strata and covariates; risk (edits that were
        looked at over the whole interval and had not got there before it) and events (those that
        got there in it).
    """
    keys: list[str] = [*CLUSTERS, *strata, *covariates]
    kept = edits.drop_nulls([*covariates, "dose", "reached"])
    doses = kept.filter("reached")["dose"].cast(pl.Float64).to_numpy()
    if not len(doses):
        return (
            kept.select(*keys)
            .clear()
            .with_columns(
                pl.lit(0).alias("interval"), pl.lit(0.0).alias("risk"), pl.lit(0.0).alias("events")
            )
        )
    shares = np.arange(1, INTERVALS + 1) / INTERVALS
    edges = np.unique(np.quantile(doses, shares, method="inverted_cdf"))
    # Reached in (edge before, edge]; censored at c, looked at in intervals that end by c.
    dose = kept["dose"].cast(pl.Float64).to_numpy()
    reached = kept["reached"].to_numpy()
    last = np.where(
        reached, np.searchsorted(edges, dose), np.searchsorted(edges, dose, "right") - 1
    )
    parts = [
        kept.select(
            *keys,
            pl.Series("events", (reached & (last == interval)).astype(np.float64)),
        )
        .filter(pl.Series(last >= interval))
        .group_by(keys)
        .agg(pl.len().cast(pl.Float64).alias("risk"), pl.col("events").sum())
        .with_columns(pl.lit(interval).alias("interval"))
        for interval in range(len(edges))
    ]
    return pl.concat(parts).sort(["interval", *keys])


def dummies(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """One column for each value but the first: float64 [n, values - 1]."""
    return (values[:, None] == np.unique(values)[None, 1:]).astype(np.float64)


def binomial(
    events: NDArray[np.float64],
    risk: NDArray[np.float64],
    columns: NDArray[np.float64],
    groups: Sequence[NDArray[np.int64]] = (),
    *,
    link: str = "cloglog",
) -> NDArray[np.float64]:
    """Fit a binomial regression to counts and give the coefficients of `columns`.

    Parameters
    ----------
    events, risk : float64[n]
        Successes of so many trials.
    columns : float64[n, k]
        What is asked about.
    groups : sequence of int64[n]
        Fixed effects: an intercept for each value. Groups in which all or none succeeded are
        left out: they say nothing of a slope, and their intercepts are infinite.
    link : {'cloglog', 'logit'}

    Returns
    -------
    float64[k]
        NaN where the data do not determine them.
    """
    none = np.full(columns.shape[1], np.nan)
    kept = np.ones(len(events), np.bool_)
    while True:
        before = int(kept.sum())
        for group in groups:
            _, place = np.unique(group, return_inverse=True)
            won = np.bincount(place[kept], events[kept], minlength=int(place.max(initial=0)) + 1)
            out_of = np.bincount(place[kept], risk[kept], minlength=len(won))
            kept &= ((won > 0) & (won < out_of))[place]
        if int(kept.sum()) == before:
            break
    events, risk, columns = events[kept], risk[kept], columns[kept]
    if not len(events) or not 0 < events.sum() < risk.sum():
        return none
    design = np.concatenate(
        [columns, np.ones((len(events), 1)), *(dummies(group[kept]) for group in groups)], axis=1
    )
    centred = columns - columns.mean(0)
    if np.linalg.matrix_rank(centred) < columns.shape[1]:
        return none
    family = sm.families.Binomial(
        sm.families.links.CLogLog() if link == "cloglog" else sm.families.links.Logit()
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model = sm.GLM(np.stack([events, risk - events], 1), design, family=family)
            result = model.fit(maxiter=100)
        except (np.linalg.LinAlgError, ValueError):
            return none
    slopes = np.asarray(result.params[: columns.shape[1]], np.float64)
    reach = np.abs(slopes) * np.ptp(columns, axis=0)
    if not result.converged or not np.isfinite(slopes).all() or (reach > _FARTHEST).any():
        return none
    return slopes
