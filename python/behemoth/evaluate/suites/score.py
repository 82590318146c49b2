"""One number for a suite, for ranking and tuning, computed from measures of the suite.

Editing is scored as in its papers. That score does not show what else is lost, beyond the facts
next to the edited one; with locality, what the bystanders keep is one more leg, if the model knew
any before: where there was nothing to lose, the score with locality is the score. Unlearning is
scored against the retrained twin, leg by leg: the probability of the forgotten facts, the utility
of the model, and membership inference are each compared with the twin's. The twin itself scores 1.
A model whose measures are not finite has 0 in that leg, and so a score of 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from behemoth.evaluate.damage import BYSTANDERS
from behemoth.support.errors import ArgumentError

__all__ = [
    "OBJECTIVES", "Leg", "Objective", "Reading", "harmonic_mean", "legs_of", "lost_of", "score_of",
]  # fmt: skip


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
        Computes the leg from the readings of these measures, in their order; returns None if it
        cannot.
    needed : bool
        Whether the score requires this leg.
    """

    name: str
    meaning: str
    measures: tuple[str, ...]
    value: Callable[..., float | None]
    needed: bool = True


@dataclass(frozen=True)
class Objective:
    """What a score is made of.

    Attributes
    ----------
    suite : str
        Suite whose measures it is computed from.
    legs : tuple of Leg
        Parts of which the score is the harmonic mean. Legs that are not needed count if they could
        be taken, as not every corpus has other wordings or facts that are never written, and not
        every model knows a bystander.
    """

    suite: str
    legs: tuple[Leg, ...]

    @property
    def essential(self) -> tuple[str, ...]:
        """Names of the legs without which this is another score, or none.

        These are the needed legs, and those that it has beside the score of its suite.
        """
        common = OBJECTIVES[self.suite].legs
        return tuple(leg.name for leg in self.legs if leg.needed or leg not in common)


_DAMAGE = tuple(f"damage_{group}" for group in BYSTANDERS)


def lost_of(readings: Mapping[str, Reading]) -> float | None:
    """Return the share of known bystanders that an edit lost, the mean over their groups.

    Groups without known facts do not count; None without any.
    """
    found = [readings[name].value for name in _DAMAGE if name in readings]
    shares = [share for share in found if share is not None]
    return sum(shares) / len(shares) if shares else None


def _own(reading: Reading) -> float | None:
    return reading.value


def _locality(*damage: Reading) -> float | None:
    lost = lost_of(dict(zip(_DAMAGE, damage, strict=True)))
    return None if lost is None else 1.0 - lost


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


_EDITING = (
    Leg("efficacy", "p(new) > p(old) on the edit's prompt", ("efficacy",), _own),
    Leg("paraphrase", "the same in other wordings", ("paraphrase",), _own, needed=False),
    Leg("neighbourhood", "p(old) > p(new) for its neighbours", ("neighbourhood",), _own),
)
# Without known bystanders the leg is left out, not the trial: a trial in which another leg is 0 has
# a score of 0 whatever this leg is, and a mean over these but not over the others would be too low.
_LOCALITY = Leg(
    "locality",
    "1 - the share of known bystanders that are lost, over groups",
    _DAMAGE,
    _locality,
    needed=False,
)
_UNLEARNING = (
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
)

OBJECTIVES: Mapping[str, Objective] = {
    "editing": Objective("editing", _EDITING),
    "editing-locality": Objective("editing", (*_EDITING, _LOCALITY)),
    "unlearning": Objective("unlearning", _UNLEARNING),
}
"""What a model may be scored by. The score of a suite is the objective of its name."""


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


def legs_of(objective: str, readings: Mapping[str, Reading]) -> dict[str, float | None]:
    """Return the legs of a score, by name.

    A leg is None if its measures could not be taken, and 0 if they are not finite.

    Raises
    ------
    ArgumentError
        When no score has that name.
    """
    if objective not in OBJECTIVES:
        raise ArgumentError.unknown("objective", objective, OBJECTIVES)
    nothing = Reading(None)
    values = {
        leg.name: leg.value(*(readings.get(name, nothing) for name in leg.measures))
        for leg in OBJECTIVES[objective].legs
    }
    return {
        name: value if value is None or math.isfinite(value) else 0.0
        for name, value in values.items()
    }


def score_of(objective: str, readings: Mapping[str, Reading]) -> float | None:
    """Return a score: the harmonic mean of the legs of an objective, from 0 to 1.

    Parameters
    ----------
    objective : {'editing', 'editing-locality', 'unlearning'}
    readings : mapping of str to Reading
        Readings by name of the measure.

    Returns
    -------
    float or None
        None if a leg that the score needs is missing.

    Raises
    ------
    ArgumentError
        When no score has that name.

    Examples
    --------
    >>> score_of("editing", {"efficacy": Reading(1.0), "neighbourhood": Reading(0.5)})
    0.6666666666666666
    """
    legs = legs_of(objective, readings)
    if any(legs[leg.name] is None for leg in OBJECTIVES[objective].legs if leg.needed):
        return None
    return harmonic_mean([value for value in legs.values() if value is not None])
