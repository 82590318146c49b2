"""Bootstrap samples over clusters of rows: of ratios of sums, and of statistics that are none.

The same clusters are drawn for the same number of clusters, so that the samples of two models may
be subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.evaluate.clusters import interval, numbered_rows, proper, weight_parts
from behemoth.evaluate.mann_whitney import weighted_area

from .suite import Found

__all__ = ["RESAMPLES", "auc_samples", "distance_samples", "median_samples", "numbered_subjects",
           "resampled_ratio"]  # fmt: skip

RESAMPLES = 1000
"""Number of bootstrap samples."""

_MOST = 1 << 20  # weights of rows in memory at a time: several arrays of this size exist


def auc_samples(frame: pl.DataFrame, score: str, cluster: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return bootstrap samples of `membership.auc`.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows of `membership`.
    score : str
        Column with the score, without NaN.
    cluster : int64[rows]
        Number of the cluster of each row, from 0.

    Returns
    -------
    float64[RESAMPLES]
        NaN for samples without members or without others.
    """
    values, member = frame[score].to_numpy(), frame["member"].to_numpy()
    drawn = _row_weights(cluster)
    return np.concatenate([weighted_area(values, member, weights) for weights in drawn])


def distance_samples(
    one: NDArray[np.float64], other: NDArray[np.float64], cluster: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return bootstrap samples of the maximum distance of two empirical distribution functions.

    Parameters
    ----------
    one, other : float64[n]
        Paired values without NaN: pairs are resampled.
    cluster : int64[n]
        Number of the cluster of each pair, from 0.

    Returns
    -------
    float64[RESAMPLES]
    """
    every = np.unique(np.concatenate([one, other]))
    places = [np.searchsorted(np.sort(values), every, "right") for values in (one, other)]
    orders = [np.argsort(values, kind="stable") for values in (one, other)]
    found = []
    for drawn in _row_weights(cluster):
        shares = [
            np.pad(drawn[:, order].cumsum(1), ((0, 0), (1, 0)))[:, place]
            for order, place in zip(orders, places, strict=True)
        ]
        found.append(np.abs(shares[0] - shares[1]).max(1) / drawn.sum(1))
    return np.concatenate(found)


def _row_weights(cluster: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Yield the weights of all rows in all samples, some samples at a time: float64[n, rows]."""
    step = max(1, _MOST // len(cluster))
    for weights in weight_parts(int(cluster.max()) + 1, RESAMPLES, 0):
        for first in range(0, len(weights), step):
            yield weights[first : first + step, cluster]


def median_samples(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return bootstrap samples of the median of values: float64[RESAMPLES]."""
    generator = np.random.default_rng(0)
    return np.array(
        [np.median(generator.choice(values, len(values))) for _ in range(RESAMPLES)], np.float64
    )


def numbered_subjects(facts: pl.DataFrame) -> NDArray[np.int64]:
    """Return the number of the subject, or linked object, of each row, from 0: int64[rows]."""
    return numbered_rows(facts, ("link", "subject"))


def resampled_ratio(sums: NDArray[np.float64], counts: NDArray[np.integer], over: str) -> Found:
    """Return the ratio of two sums, with an interval from resampling their terms jointly.

    There is no interval for one term, or if all samples agree.
    """
    value = float(sums.sum() / counts.sum())
    drawn = [(part @ sums) / (part @ counts) for part in weight_parts(len(sums), RESAMPLES, 0)]
    low, high = proper(*interval(np.concatenate(drawn), 0.95))
    return Found(value, low, high, len(sums), over)
