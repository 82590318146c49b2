"""Ranges of measures, to which their intervals are clipped."""

from __future__ import annotations

import math

__all__ = ["AMOUNT", "ANY", "CHANGE", "SHARE", "Range", "range_of"]

Range = tuple[float, float]
"""Minimum and maximum."""
SHARE: Range = (0.0, 1.0)
CHANGE: Range = (-1.0, 1.0)
"""Differences of shares, and correlations."""
AMOUNT: Range = (0.0, math.inf)
ANY: Range = (-math.inf, math.inf)

_NAMES = {
    **dict.fromkeys(
        ("score", "score_locality", "efficacy", "paraphrase", "neighbourhood", "question_match",
         "validity", "damage", "forgetting", "utility", "privacy", "relearned", "model_utility",
         "forget_probability", "forget_quality", "forget_distance", "extraction_strength",
         "spectrum_largest", "recall", "valid_object"),
        SHARE,
    ),
    **dict.fromkeys(
        ("truth_ratio", "parameters_twin", "relearning_steps", "continued_steps", "dose", "norm",
         "rank", "effective_rank", "kl", "seconds", "peak_memory", "half_life"),
        AMOUNT,
    ),
}  # fmt: skip
_PREFIXES = {
    **dict.fromkeys(
        ("exact_", "portability_", "damage_", "leakage", "leak_at_", "forget_recall", "recall_",
         "retain_", "membership_", "privacy_", "linear_probe", "hold_after_", "efficacy_after_",
         "first_after_", "forgotten_after_", "lost_after_"),
        SHARE,
    ),
    **dict.fromkeys(("kl_", "norm_after_", "bits_"), AMOUNT),
    "perplexity_": (1.0, math.inf),
}  # fmt: skip
_ENDINGS = {"_magnitude": CHANGE}  # differences of probabilities


def range_of(measure: str) -> Range:
    """Return the minimum and maximum of a measure; infinities for unknown measures.

    Parameters
    ----------
    measure : str
        Measure of a suite, or one that a board derives from several.

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
    return next((found for prefix, found in _PREFIXES.items() if measure.startswith(prefix)), ANY)
