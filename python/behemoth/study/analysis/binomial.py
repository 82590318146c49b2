"""Logistic regression of counts with an intercept for each group; statsmodels fits it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Not `statsmodels.api`: it imports all of statsmodels, and takes half as long again.
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

__all__ = ["binomial"]

_FARTHEST = (
    15.0  # maximum effect over a column's range, in the linear predictor: more is separation
)


def binomial(
    events: NDArray[np.float64],
    risk: NDArray[np.float64],
    columns: NDArray[np.float64],
    groups: Sequence[NDArray[np.int64]] = (),
) -> NDArray[np.float64]:
    """Fit a logistic regression to counts and return the coefficients of `columns`.

    Parameters
    ----------
    events, risk : float64[n]
        Numbers of successes and of trials.
    columns : float64[n, k]
        Predictors of interest.
    groups : sequence of int64[n]
        Fixed effects: an intercept for each value. Groups in which all or none succeeded are
        excluded: they carry no information on a slope, and their intercepts are infinite.

    Returns
    -------
    float64[k]
        Log odds ratios; NaN if the data do not determine them.
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
        [columns, np.ones((len(events), 1)), *(_dummies(group[kept]) for group in groups)], axis=1
    )
    centred = columns - columns.mean(0)
    if np.linalg.matrix_rank(centred) < columns.shape[1]:
        return none
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model = GLM(np.stack([events, risk - events], 1), design, family=Binomial())
            result = model.fit(maxiter=100)
        except (np.linalg.LinAlgError, ValueError):
            return none
    slopes = np.asarray(result.params[: columns.shape[1]], np.float64)
    reach = np.abs(slopes) * np.ptp(columns, axis=0)
    if not result.converged or not np.isfinite(slopes).all() or (reach > _FARTHEST).any():
        return none
    return slopes


def _dummies(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return one column for each value except the first: float64 [n, values - 1]."""
    return (values[:, None] == np.unique(values)[None, 1:]).astype(np.float64)
