"""The Mann-Whitney statistic as a share: the area under a receiver operating characteristic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["weighted_area"]


def weighted_area(
    values: NDArray[np.float64], high: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the probability that a row of one kind is above one of the other, ties counting half.

    Parameters
    ----------
    values : float64[n]
        Values without NaN.
    high : bool[n]
        Whether a row is of the kind that is expected above.
    weights : float64[..., n]
        How often each row counts.

    Returns
    -------
    float64[...]
        NaN where the rows of one kind have no weight.

    Examples
    --------
    >>> high = np.array([True, True, False, False])
    >>> float(weighted_area(np.array([3.0, 2.0, 1.0, 2.0]), high, np.ones(4)))
    0.875
    """
    order = np.argsort(values, kind="stable")
    values, high, weights = values[order], high[order], weights[..., order]
    first, last = (np.searchsorted(values, values, side) for side in ("left", "right"))
    ours, others = weights * high, weights * ~high
    below = np.zeros((*weights.shape[:-1], len(values) + 1))
    np.cumsum(others, axis=-1, out=below[..., 1:])
    # Of the others, those below a row count fully, ties half.
    above = (ours * (below[..., first] + below[..., last]) / 2).sum(-1)
    with np.errstate(invalid="ignore"):
        return above / (ours.sum(-1) * others.sum(-1))
