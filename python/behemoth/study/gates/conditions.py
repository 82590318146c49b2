"""Conditions of a gate's rule, and how the interval of their numbers decides them.

A rule is a list of conditions. Each has one number per trained model, since a (world,
initialisation) is one observation regardless of its number of facts, and a bound that their mean
must lie above or below. Student's interval over models decides. If it includes the bound, a
condition fails if the interval excludes every effect that would count, and is open otherwise; the
power of the test then states how many models would have been needed. (Earlier, power alone decided:
with the spread of three models taken for the true spread, intervals that included the effect were
called failures.)

The reported interval is clipped to the range of the number. If all models have the same number,
there is no interval, since an observed spread of 0 is not certainty, and the number itself is
compared with the bound.

All conditions must hold together for a claim to stand, so none is corrected for the others (Berger,
1982, "Multiparameter hypothesis testing and acceptance sampling", an intersection-union test).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from behemoth.study.analysis.ranges import ANY, Range

__all__ = [
    "MOST_MODELS",
    "VERDICTS",
    "Condition",
    "Held",
    "Verdict",
    "interval",
    "power",
    "verdict_of",
]

Verdict = Literal["reproduced", "not reproduced", "not decidable at this size"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""The verdicts of a gate."""

_LEVEL = 0.95
_POWER = 0.8  # required power of a test
MOST_MODELS = 1000
"""Maximum number of models tried for the required power."""


def interval(values: ArrayLike, within: Range = ANY) -> tuple[float, float | None, float | None]:
    """Return the mean over models, with its 95% interval by Student's t.

    Parameters
    ----------
    values : array_like
        One finite number per model, at least one.
    within : (float, float)
        Range of the numbers, to which the interval is clipped.

    Returns
    -------
    mean, low, high
        low and high are None for one model, and if all models have the same number.

    Examples
    --------
    >>> interval([1.0, 1.0, 1.0])
    (1.0, None, None)
    >>> [round(end, 2) for end in interval([0.93, 0.99, 0.99], (0.0, 1.0))]
    [0.97, 0.88, 1.0]
    """
    from scipy import stats

    given = np.asarray(values, np.float64)
    mean, count = float(given.mean()), len(given)
    # The mean of equal numbers is rounded, so their computed spread may be above 0.
    if count < 2 or math.isclose(given.min(), given.max(), rel_tol=1e-9, abs_tol=1e-12):
        return mean, None, None
    quantile = float(stats.t.ppf((1 + _LEVEL) / 2, count - 1))
    half = quantile * float(given.std(ddof=1)) / math.sqrt(count)
    return mean, max(mean - half, within[0]), min(mean + half, within[1])


def power(effect: float, spread: float, models: int) -> float:
    """Return the power of a two-sided t test at 5% for an effect.

    Parameters
    ----------
    effect : float
        True distance of the mean from the bound.
    spread : float
        Standard deviation over models.
    models : int
        Number of models, at least 2.

    Examples
    --------
    >>> round(power(1.0, 1.0, 10), 2)  # Cohen, 1988, table 2.3.5
    0.8
    """
    from scipy import stats

    if spread == 0:
        return 1.0
    edge = float(stats.t.ppf((1 + _LEVEL) / 2, models - 1))
    shift = effect / spread * math.sqrt(models)
    seen: Any = stats.nct.sf(edge, models - 1, shift) + stats.nct.cdf(-edge, models - 1, shift)
    # For very large effects scipy's distribution function returns NaN: the power is 1 there.
    return float(seen) if math.isfinite(seen) else 1.0


@dataclass(frozen=True)
class Held:
    """The outcome of a condition.

    Attributes
    ----------
    says : str
        What is measured, with its unit.
    bound : float
    below : bool
        Whether the mean must lie below the bound; above it otherwise.
    effect : float
        The smallest distance from the bound that would count.
    mean, low, high : float or None
        Mean over models, with the 95% interval; all None if a model has no number. The interval is
        None for one model, and if all models have the same number.
    models : int
        Number of models.
    outcome : {'holds', 'fails', 'open'}
        'holds' or 'fails' if the interval, or the number that all models share, lies on one side of
        the bound; 'fails' also if the interval includes the bound but ends nearer to it than
        `effect`; 'open' if it includes `effect` too, for a single model, and if a model has no
        number: a value that was not reached does not refute the claim.
    power : float or None
        Power to detect `effect` with this number of models and their spread; None if the interval
        decides.
    needed : int or None
        Number of models for a power of 0.8; None if the interval decides, or if more than 1,000 are
        needed.
    missing : int
        Number of models without a number.
    """

    says: str
    bound: float
    below: bool
    effect: float
    mean: float | None
    low: float | None
    high: float | None
    models: int
    outcome: Literal["holds", "fails", "open"]
    power: float | None = None
    needed: int | None = None
    missing: int = 0


@dataclass(frozen=True)
class Condition:
    """One number per model, and the bound that their mean must lie above or below.

    Attributes
    ----------
    says : str
        What is measured, with its unit.
    values : sequence of float
        One number per model; NaN if missing.
    bound : float
    effect : float
        The smallest distance from the bound that would count.
    below : bool
        Whether the mean must lie below the bound; above it otherwise.
    within : (float, float)
        Range of the number, to which the interval is clipped after the decision.
    """

    says: str
    values: Sequence[float]
    bound: float
    effect: float
    below: bool = False
    within: Range = ANY

    def judge(self) -> Held:
        """Decide whether the condition holds."""
        values = np.asarray(self.values, np.float64)
        about = (self.says, self.bound, self.below, self.effect)
        count = len(values)
        missing = int((~np.isfinite(values)).sum())
        if not count or missing:
            return Held(*about, None, None, None, count, "open", missing=missing)
        mean, low, high = interval(values)
        if count == 1:
            return Held(*about, mean, None, None, 1, "open")
        sign = -1.0 if self.below else 1.0
        ends = (mean, mean) if low is None or high is None else (low, high)
        nearest, farthest = sorted(sign * (end - self.bound) for end in ends)
        mean, low, high = interval(values, self.within)
        if nearest > 0 or farthest <= 0:
            decided: Literal["holds", "fails"] = "holds" if nearest > 0 else "fails"
            return Held(*about, mean, low, high, count, decided)
        spread = float(values.std(ddof=1))
        seen = power(self.effect, spread, count)
        tried = range(2, MOST_MODELS + 1)
        needed = next((n for n in tried if power(self.effect, spread, n) >= _POWER), None)
        outcome: Literal["fails", "open"] = "fails" if farthest < self.effect else "open"
        return Held(*about, mean, low, high, count, outcome, seen, needed)


def verdict_of(held: Sequence[Held]) -> Verdict:
    """Combine conditions: all must hold, and one that fails decides the verdict.

    Examples
    --------
    >>> verdict_of([Condition("share", [0.9, 0.95, 0.97], bound=0.5, effect=0.1).judge()])
    'reproduced'
    """
    outcomes = {one.outcome for one in held}
    if "fails" in outcomes:
        return "not reproduced"
    return "not decidable at this size" if "open" in outcomes else "reproduced"
