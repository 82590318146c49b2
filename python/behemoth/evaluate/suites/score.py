"""One number for a suite, for ranking and tuning, computed from measures of the suite.

Editing is scored as in its papers. Unlearning is scored against the retrained twin, leg by leg: the
probability of the forgotten facts, the utility of the model, and membership inference are each
compared with the twin's. The twin itself scores 1. A model whose measures are not finite has 0 in
that leg, and so a score of 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from behemoth.support.errors import ArgumentError

__all__ = ["LEGS", "Leg", "Reading", "harmonic_mean", "legs_of", "score_of"]


@dataclass(frozen=True)
class Reading:
    """The value of a measure.

    Attributes
    ----------
    value : float, optional
        Value of the model; None if it could not be taken.
    twin : float, optional
        Value of the twin.
    """

    value: float | None
    twin: float | None = None


@dataclass(frozen=True)
class Leg:
    """A part of a score, from 0 to 1.

    Attributes
    ----------
    name : str
    meaning : str
    measures : tuple of str
        Names of the measures that it is computed from.
    value : callable
        Computes the leg from the readings of these measures; returns None if it cannot.
    needed : bool
        Whether the score requires this leg.
    """

    name: str
    meaning: str
    measures: tuple[str, ...]
    value: Callable[..., float | None]
    needed: bool = True


def _own(reading: Reading) -> float | None:
    return reading.value


def _forgetting(reading: Reading) -> float | None:
    if reading.value is None or reading.twin is None:
        return None
    return 1.0 - abs(reading.value - reading.twin)


def _utility(reading: Reading) -> float | None:
    if reading.value is None or reading.twin is None:
        return None
    if not (math.isfinite(reading.value) and math.isfinite(reading.twin)):
        return math.nan  # min(1.0, nan) is 1.0, and nan > 0 is false
    # If the twin has no utility, there is nothing to lose.
    return min(1.0, reading.value / reading.twin) if reading.twin > 0 else 1.0


def _privacy(reading: Reading) -> float | None:
    return None if reading.value is None else 1.0 - reading.value


LEGS: Mapping[str, tuple[Leg, ...]] = {
    "editing": (
        Leg("efficacy", "p(new) > p(old) on the edit's prompt", ("efficacy",), _own),
        Leg("paraphrase", "the same in other wordings", ("paraphrase",), _own, needed=False),
        Leg("neighbourhood", "p(old) > p(new) for its neighbours", ("neighbourhood",), _own),
    ),
    "unlearning": (
        Leg(
            "forgetting",
            "1 - |p - p of the twin|, p the probability of the old answer",
            ("forget_probability",),
            _forgetting,
        ),
        Leg(
            "utility",
            "model utility divided by that of the twin, at most 1",
            ("model_utility",),
            _utility,
        ),
        Leg(
            "privacy",
            "1 - |AUC - AUC of the twin| of membership by loss",
            ("privacy_loss",),
            _privacy,
            needed=False,
        ),
    ),
}
"""The legs of each suite, whose harmonic mean is its score. Legs that are not needed count if they
could be taken, as not every corpus has other wordings or facts that are never written."""


def harmonic_mean(values: Sequence[float]) -> float:
    """Return the harmonic mean; 0 if a value is not above 0 or is NaN, or there are no values.

    Examples
    --------
    >>> harmonic_mean([1.0, 0.5])
    0.6666666666666666
    """
    if not values or not all(value > 0 for value in values):  # false for NaN, in any position
        return 0.0
    return len(values) / sum(1.0 / value for value in values)


def legs_of(suite: str, readings: Mapping[str, Reading]) -> dict[str, float | None]:
    """Return the legs of a suite's score, by name.

    A leg is None if its measures could not be taken, and 0 if they are not finite.

    Raises
    ------
    ArgumentError
        When the suite has no score.
    """
    if suite not in LEGS:
        raise ArgumentError.unknown("suite", suite, LEGS)
    nothing = Reading(None)
    values = {
        leg.name: leg.value(*(readings.get(name, nothing) for name in leg.measures))
        for leg in LEGS[suite]
    }
    return {
        name: value if value is None or math.isfinite(value) else 0.0
        for name, value in values.items()
    }


def score_of(suite: str, readings: Mapping[str, Reading]) -> float | None:
    """Return the score of a suite: the harmonic mean of its legs, from 0 to 1.

    Parameters
    ----------
    suite : {'editing', 'unlearning'}
    readings : mapping of str to Reading
        Readings by name of the measure.

    Returns
    -------
    float or None
        None if a leg that the score needs is missing.

    Raises
    ------
    ArgumentError
        When the suite has no score.

    Examples
    --------
    >>> score_of("editing", {"efficacy": Reading(1.0), "neighbourhood": Reading(0.5)})
    0.6666666666666666
    """
    legs = legs_of(suite, readings)
    if any(legs[leg.name] is None for leg in LEGS[suite] if leg.needed):
        return None
    return harmonic_mean([value for value in legs.values() if value is not None])
