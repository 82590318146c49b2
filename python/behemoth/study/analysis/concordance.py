"""Two measures of how well one measure agrees with another: a rank correlation, and an area.

Both compare pairs and are independent of scale. The caller chooses the pairs: pairs of different
methods answer another question than pairs of one method at several doses.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from behemoth.evaluate.mann_whitney import weighted_area

__all__ = ["LEAST", "area", "area_interval", "kendall"]

LEAST = 4
"""Minimum number of units of each kind for an interval of an area."""
_INSIDE = 1e-9


def kendall(one: ArrayLike, other: ArrayLike, pairs: NDArray[np.bool_] | None = None) -> float:
    """Return Kendall's tau-b over some pairs of units.

    Parameters
    ----------
    one, other : float[n]
        Two measures of each unit; infinities are ranked, units with NaN are excluded.
    pairs : bool[n, n], optional
        Pairs to include, read above the diagonal; all by default.

    Returns
    -------
    float
        From -1 to 1: (concordant - discordant) / sqrt(pairs that differ in `one` x pairs that
        differ in `other`); NaN if no pair differs in one of them.

    Examples
    --------
    >>> kendall([1, 2, 3, 4], [1, 2, 4, 3])
    0.6666666666666666
    """
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    first, second = np.triu_indices(len(a), 1)
    known = ~(np.isnan(a) | np.isnan(b))
    kept = known[first] & known[second]
    if pairs is not None:
        kept &= pairs[first, second]
    first, second = first[kept], second[kept]
    # Compared, not subtracted, so that infinities are equal to each other.
    by_one = (a[first] > a[second]).astype(np.int64) - (a[first] < a[second])
    by_other = (b[first] > b[second]).astype(np.int64) - (b[first] < b[second])
    scale = math.sqrt(float(np.abs(by_one).sum()) * float(np.abs(by_other).sum()))
    return float((by_one * by_other).sum()) / scale if scale else math.nan


def area(high: ArrayLike, low: ArrayLike) -> float:
    """Return the probability that a value of `high` is above one of `low`, ties counting half.

    Parameters
    ----------
    high, low : float[n], float[m]
        Values of the two kinds; NaN is ignored.

    Returns
    -------
    float
        NaN if there are no values of one kind.

    Examples
    --------
    >>> area([3, 2], [1, 2])
    0.875
    """
    a, b = np.asarray(high, np.float64), np.asarray(low, np.float64)
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    kinds = np.repeat([True, False], [len(a), len(b)])
    return float(weighted_area(np.concatenate([a, b]), kinds, np.ones(len(kinds))))


def area_interval(value: float, high: int, low: int) -> tuple[float, float] | None:
    """Return the 95% interval of an area, also if the two kinds do not overlap.

    Newcombe's score interval (2006, Statistics in Medicine 25, 559-573, method 5): all areas whose
    interval, by their own standard error (Hanley and McNeil, with the mean of the two sizes),
    includes the observed value. Wald's interval and the jackknife have no width at 0 and 1, which
    are common values with few clusters.

    Parameters
    ----------
    value : float
        Observed area.
    high, low : int
        Number of independent units of each kind.

    Returns
    -------
    (float, float) or None
        None if there are fewer than `LEAST` units of a kind: three and three are separated by
        chance one time in ten, which a 95% interval may not exclude.

    Examples
    --------
    >>> [round(end, 2) for end in area_interval(1.0, 5, 5)]
    [0.64, 1.0]
    """
    if not math.isfinite(value) or min(high, low) < LEAST:
        return None
    reach = float(stats.norm.ppf(0.975))
    mean = (high + low) / 2 - 1

    def error(area: float) -> float:
        spread = 1 + mean * ((1 - area) / (2 - area) + area / (1 + area))
        return math.sqrt(max(0.0, area * (1 - area)) * spread / (high * low))

    def end(side: float) -> float:
        def apart(area: float) -> float:
            return side * (area - value) - reach * error(area)

        far = float(side > 0)
        if value == far:
            return far
        # The error is 0 at 0 and at 1, where a value of 1 would be its own lower bound.
        near = min(max(value, _INSIDE), 1 - _INSIDE)
        root: Any = optimize.brentq(apart, near, far)
        return float(root)

    return end(-1.0), end(1.0)
