"""Accelerated failure times: log dose = design x coefficients + scale x noise, interval-censored.

The likelihood is that of interval-censored data (Kalbfleisch and Prentice, 2002, "The statistical
analysis of failure time data", section 3.6): the probability that the dose lies in (low, high]. It
is fitted in the parameters gamma = 1 / scale and delta = coefficients / scale, in which its
logarithm is concave for both distributions (Pratt, 1981, JASA 76; Burridge, 1981, JRSS B 43), so
that Newton's method converges to the single maximum from any start. lifelines and R's survreg fit
the same model; a study needs some thousand fits (a jackknife for each contrast), which take minutes
with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["DISTRIBUTIONS", "Distribution", "Fit", "fit"]

Distribution = Literal["lognormal", "weibull"]
_STEPS = 60
_TOLERANCE = 1e-9  # of the Newton decrement, in units of log-likelihood
_LOOSE = 10.0  # maximum standard error of a column's effect over its range, in units of the scale
_Floats = NDArray[np.float64]
_Parts = tuple[_Floats, _Floats, _Floats, _Floats, _Floats]


@dataclass(frozen=True, eq=False)
class Fit:
    """Maximum likelihood estimates.

    Attributes
    ----------
    coefficients : float64[k]
        Effects on the natural logarithm of the dose; NaN if the data do not determine them.
    scale : float
        Scale of the noise: the standard deviation (lognormal) or 1 / shape (weibull).
    log_likelihood : float
    """

    coefficients: _Floats
    scale: float
    log_likelihood: float


def fit(
    low: _Floats,
    high: _Floats,
    design: _Floats,
    *,
    distribution: Distribution = "lognormal",
    start: Fit | None = None,
) -> Fit:
    """Maximise the likelihood of doses in (low, high].

    Parameters
    ----------
    low, high : float64[n]
        Ends of the intervals: 0 <= low < high, high infinite if the dose is right-censored.
    design : float64[n, k]
        Design matrix, including an intercept.
    distribution : {'lognormal', 'weibull'}
    start : Fit, optional
        Fit of nearly the same rows, from which to start for speed.

    Returns
    -------
    Fit
        All NaN if there is no single maximum: collinear columns, or separation.
    """
    none = Fit(np.full(design.shape[1], np.nan), np.nan, np.nan)
    ends = (low > 0) | np.isfinite(high)
    low, high, design = low[ends], high[ends], design[ends]
    if len(low) <= design.shape[1] or not np.isfinite(high).any():
        return none
    with np.errstate(divide="ignore"):
        log_low, log_high = np.log(low), np.log(high)
    # An unbounded end depends on neither gamma nor the linear predictor: its slope is set to 0.
    below, above = np.isfinite(log_low), np.isfinite(log_high)
    slope_low, slope_high = np.where(below, log_low, 0.0), np.where(above, log_high, 0.0)
    parts = DISTRIBUTIONS[distribution]
    at = _start(slope_low, slope_high, below, above, design, start)
    found = _look(at, slope_low, slope_high, below, above, design, parts)
    for _ in range(_STEPS):
        value, gradient, hessian = found
        try:
            step = np.linalg.solve(hessian, -gradient)
        except np.linalg.LinAlgError:
            return none
        gain = float(gradient @ step)
        if not np.isfinite(gain) or gain < 0:
            return none
        if gain < _TOLERANCE:
            break
        length = 1.0
        while length > 1e-6:
            there = at + length * step
            if there[0] > 0:
                found = _look(there, slope_low, slope_high, below, above, design, parts)
                if np.isfinite(found[0]) and found[0] >= value - 1e-10 * abs(value):
                    break
            length /= 2
        else:
            return none
        at = there
    else:
        return none
    # A flat direction is a column that is a combination of others: its curvature is rounding.
    size = np.sqrt(np.maximum(np.diag(-found[2]), 1e-300))
    if np.linalg.eigvalsh(-found[2] / np.outer(size, size))[0] < 1e-9:
        return none
    # Towards separation the likelihood flattens out: the standard error of a coefficient grows much
    # faster than the coefficient.
    reach = np.ptp(design, axis=0)
    reach = np.where(reach > 0, reach, 1.0)
    error = np.sqrt(np.diag(np.linalg.inv(-found[2])))[1:] * reach
    if ((error > _LOOSE) & (error > np.abs(at[1:]) * reach)).any():
        return none
    return Fit(at[1:] / at[0], 1 / float(at[0]), found[0])


def _start(
    slope_low: _Floats,
    slope_high: _Floats,
    below: NDArray[np.bool_],
    above: NDArray[np.bool_],
    design: _Floats,
    start: Fit | None,
) -> _Floats:
    if start is not None and np.isfinite(start.scale) and np.isfinite(start.coefficients).all():
        return np.concatenate([[1.0], start.coefficients]) / start.scale
    middle = np.where(below & above, (slope_low + slope_high) / 2, slope_low + slope_high)
    guess = np.linalg.lstsq(design, middle, rcond=None)[0]
    scale = max(float(np.std(middle - design @ guess)), 0.1)
    return np.concatenate([[1.0], guess]) / scale


def _look(
    at: _Floats,
    slope_low: _Floats,
    slope_high: _Floats,
    below: NDArray[np.bool_],
    above: NDArray[np.bool_],
    design: _Floats,
    parts: Callable[[_Floats, _Floats], _Parts],
) -> tuple[float, _Floats, _Floats]:
    """Return the log-likelihood with its gradient and Hessian in (gamma, delta)."""
    centre = design @ at[1:]
    bottom = np.where(below, at[0] * slope_low - centre, -np.inf)
    top = np.where(above, at[0] * slope_high - centre, np.inf)
    with np.errstate(all="ignore"):
        value, first_low, first_high, both, bend = parts(bottom, top)
        # First derivatives weight the two ends, second derivatives their squares.
        second_low = bend[0] - first_low**2
        second_high = bend[1] - first_high**2
    weights = (first_low, first_high, second_low, second_high, both)
    if not np.isfinite(value).all() or not all(np.isfinite(each).all() for each in weights):
        return -np.inf, at, np.eye(len(at))
    total = first_low + first_high
    gradient = np.concatenate(
        [[first_low @ slope_low + first_high @ slope_high], -(total @ design)]
    )
    mixed_low, mixed_high = second_low + both, second_high + both
    hessian = np.empty((len(at), len(at)))
    hessian[0, 0] = (
        second_low @ slope_low**2 + second_high @ slope_high**2
        + 2 * (both @ (slope_low * slope_high))
    )  # fmt: skip
    hessian[0, 1:] = hessian[1:, 0] = -((mixed_low * slope_low + mixed_high * slope_high) @ design)
    hessian[1:, 1:] = (design * (mixed_low + mixed_high)[:, None]).T @ design
    return float(value.sum()), gradient, hessian


def _lognormal(low: _Floats, high: _Floats) -> _Parts:
    # By symmetry both ends are moved to the lower tail, where logarithms are exact.
    turned = low > 0
    bottom, top = np.where(turned, -high, low), np.where(turned, -low, high)
    upper = special.log_ndtr(top)
    value = upper + np.log1p(-np.exp(special.log_ndtr(bottom) - upper))
    return value, *_ends(low, high, value, _normal, lambda z: -z)


def _weibull(low: _Floats, high: _Floats) -> _Parts:
    # The survivor function of the logarithm is exp(-e^z).
    start, end = np.exp(low), np.exp(high)
    value = -start + np.log(-np.expm1(start - end))
    return value, *_ends(low, high, value, lambda z: z - np.exp(z), lambda z: 1 - np.exp(z))


def _normal(z: _Floats) -> _Floats:
    return -0.5 * z * z - 0.5 * np.log(2 * np.pi)


def _ends(
    low: _Floats,
    high: _Floats,
    value: _Floats,
    log_density: Callable[[_Floats], _Floats],
    score: Callable[[_Floats], _Floats],
) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Return derivatives of the interval's probability, divided by that probability.

    First in the lower end, first in the upper end, the product of densities at both ends (each
    [n]), and the second derivatives in the two ends [2, n].
    """
    at_low = np.where(np.isfinite(low), np.exp(log_density(low) - value), 0.0)
    at_high = np.where(np.isfinite(high), np.exp(log_density(high) - value), 0.0)
    bend = np.stack(
        [
            np.where(at_low > 0, -at_low * score(low), 0.0),
            np.where(at_high > 0, at_high * score(high), 0.0),
        ]
    )
    return -at_low, at_high, at_low * at_high, bend


DISTRIBUTIONS: dict[str, Callable[[_Floats, _Floats], _Parts]] = {
    "lognormal": _lognormal,
    "weibull": _weibull,
}
"""By name: log probability of an interval of the standardised log dose, and its derivatives."""
