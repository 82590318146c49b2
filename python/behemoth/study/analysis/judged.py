"""How papers interpret the measures of unlearning that they report, and what each is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["JUDGED", "Judged"]

About = Literal["forgetting", "privacy", "undoing", "rest", "twin", "whole"]


@dataclass(frozen=True)
class Judged:
    """Interpretation of a measure by the papers that report it.

    Attributes
    ----------
    about : {'forgetting', 'privacy', 'undoing', 'rest', 'twin', 'whole'}
        What it measures: whether the facts are still generated; whether one can tell that they were
        trained on; whether they can be recovered; the effect on other facts; the distance to the
        twin, which it needs; or all of these.
    better : {'less', 'more', 'half'}
        Which values are better; half: values near 0.5.
    passes : float, optional
        Value from which on papers call a model forgotten; by default a model is called forgotten
        if its value is nearer to the twin's than to the trained model's.
    """

    about: About
    better: Literal["less", "more", "half"] = "less"
    passes: float | None = None

    @property
    def distances(self) -> tuple[str, ...]:
        """Measures whose sum is the distance to the twin that it is compared with."""
        return _DISTANCES.get(self.about, ("kl_twin_forget",))

    @property
    def alone(self) -> bool:
        """Whether it can be computed without a twin."""
        return self.about not in ("twin", "whole")

    def badness(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values transformed so that less is better."""
        if self.better == "half":
            return np.abs(values - 0.5)
        return -values if self.better == "more" else values

    def forgotten(self, value: float, trained: float, twin: float) -> bool | None:
        """Return whether it calls a model forgotten.

        None if the value is missing, or if it is the same for trained model and twin and there is
        no `passes`.
        """
        own, before, after = self.badness(np.array([value, trained, twin])).tolist()
        if math.isnan(own):
            return None
        if self.passes is not None:
            return own <= float(self.badness(np.array([self.passes]))[0])
        if math.isnan(before) or math.isnan(after) or before == after:
            return None
        if math.isinf(before) or math.isinf(after):
            return own == after if math.isinf(after) else own != before
        return (own - (before + after) / 2) * (after - before) > 0


_DISTANCES: Mapping[str, tuple[str, ...]] = {
    "rest": ("kl_twin_retain",),
    "whole": ("kl_twin_forget", "kl_twin_retain"),
}

JUDGED: Mapping[str, Judged] = {
    "forget_probability": Judged("forgetting"),
    "forget_recall": Judged("forgetting"),
    "forget_recall_paraphrase": Judged("forgetting"),
    "forget_recall_held_out": Judged("forgetting"),
    "forget_recall_question": Judged("forgetting"),
    "extraction_strength": Judged("forgetting"),
    "leak_at_1": Judged("forgetting"),
    "leak_at_8": Judged("forgetting"),
    "leak_at_64": Judged("forgetting"),
    "truth_ratio": Judged("forgetting", "more"),
    "membership_loss": Judged("privacy", "half"),
    "membership_min_k": Judged("privacy", "half"),
    "membership_min_k_plus_plus": Judged("privacy", "half"),
    "forget_recall_hint": Judged("undoing"),
    "linear_probe": Judged("undoing"),
    "relearning_steps": Judged("undoing", "more"),
    "continued_steps": Judged("undoing", "more"),
    "recall_8_bit": Judged("undoing"),
    "recall_4_bit": Judged("undoing"),
    "recall_pruned_10": Judged("undoing"),
    "recall_pruned_30": Judged("undoing"),
    "retain_same_subject": Judged("rest", "more"),
    "retain_same_relation": Judged("rest", "more"),
    "retain_same_object": Judged("rest", "more"),
    "retain_unrelated": Judged("rest", "more"),
    "retain_retain": Judged("rest", "more"),
    "model_utility": Judged("rest", "more"),
    "perplexity_corpus": Judged("rest"),
    "perplexity_filler": Judged("rest"),
    "forget_quality": Judged("twin", "more", passes=0.05),
    "forget_distance": Judged("twin"),
    "privacy_loss": Judged("twin"),
    "privacy_min_k": Judged("twin"),
    "privacy_min_k_plus_plus": Judged("twin"),
    "membership_reference": Judged("twin", "half"),
    "parameters_twin": Judged("twin"),
    "score": Judged("whole", "more"),
}
"""The measures that are judged, in the order of tables; other measures of a suite are omitted."""
