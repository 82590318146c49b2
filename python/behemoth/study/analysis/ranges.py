"""What the measures of suites can be, which is what their intervals are cut to."""

from __future__ import annotations

import math

__all__ = ["range_of"]

_SHARE = (0.0, 1.0)
_AMOUNT = (0.0, math.inf)
_ANY = (-math.inf, math.inf)

_NAMES = {
    **dict.fromkeys(
        ("score", "efficacy", "paraphrase", "neighbourhood", "question_match", "validity",
         "damage", "forgetting", "utility", "privacy", "relearned", "model_utility",
         "forget_probability", "forget_quality", "forget_distance", "extraction_strength"),
        _SHARE,
    ),
    **dict.fromkeys(
        ("truth_ratio", "parameters_twin", "relearning_steps", "continued_steps", "dose", "norm",
         "rank", "effective_rank", "kl"),
        _AMOUNT,
    ),
}  # fmt: skip
_PREFIXES = {
    **dict.fromkeys(
        ("exact_", "portability_", "damage_", "leakage", "leak_at_", "forget_recall", "recall_",
         "retain_", "membership_", "privacy_", "linear_probe"),
        _SHARE,
    ),
    "kl_": _AMOUNT,
    "perplexity_": (1.0, math.inf),
}  # fmt: skip
_ENDINGS = {"_magnitude": (-1.0, 1.0)}  # differences of probabilities


def range_of(measure: str) -> tuple[float, float]:
    """The least and the most that a measure can be; infinities where nothing is known of it.

    Parameters
    ----------
    measure : str
        Of a suite, or one that a board makes of several.

    Examples
    --------
    >>> range_of("efficacy"), range_of("kl_corpus")
    ((0.0, 1.0), (0.0, inf))
    """
    if measure in _NAMES:
        return _NAMES[measure]
    for ending, found in _ENDINGS.items():
        if measure.endswith(ending):
            return found
    return next((found for prefix, found in _PREFIXES.items() if measure.startswith(prefix)), _ANY)
