"""Logistic regression of counts with an intercept for each group; statsmodels fits it."""

from __future__ import annotations

import warnings

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
    group: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Fit a logistic regression to counts and return the coefficients of `columns`.

    Parameters
    ----------
    events, risk : float64[n]
        Numbers of successes and of trials.
    columns : float64[n, k]
        Predictors of interest.
    group : int64[n]
        Number of each row's group, which has an intercept of its own. Groups in which all or none
        succeeded are excluded: they carry no information on a slope.

    Returns
    -------
    float64[k]
        Log odds ratios; NaN if the data do not determine them.
    """
    none = np.full(columns.shape[1], np.nan)
    won, out_of = np.bincount(group, events), np.bincount(group, risk)
    kept = ((won > 0) & (won < out_of))[group]
    if not kept.any():
        return none
    events, risk, columns, group = events[kept], risk[kept], columns[kept], group[kept]
    own = (group[:, None] == np.unique(group)[1:]).astype(np.float64)
    design = np.concatenate([columns, np.ones((len(events), 1)), own], axis=1)
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
