"""The metrics, each with a version: the rows of the frame that it uses, and their values.

A metric is a mean over rows of the frame (first over the probes of an edit, then over edits), or
the harmonic mean of several such means. Success metrics give no credit to a wrong answer:
comparisons of probabilities are 0 on ties and on NaN, and comparisons of words are 1 only for
exactly the right words. A metric whose numbers change gets a new version, but for three
changes to all metrics and suites before the first release: how edits that failed count, how rows
without an edit do (of plans by a rule), and which documents of a scheduled corpus are read. All
numbers without such edits, rows and schedules are the same.

Rows of an edit that failed show the unedited model. They count as 0 in success, and are no rows of
facts that must not change: an edit that was never made would otherwise look harmless. Neither are
the rows of these facts before it, so that numbers before and after are over the same facts. Where
all edits failed, a harmonic mean of success and of what stays is 0, whatever would have stayed.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from behemoth.plan.groups import FOLLOWING
from behemoth.support.errors import ArgumentError

__all__ = ["METRICS", "Mean", "Metric", "failed", "get_metric", "more_likely", "success",
           "truth_ratio"]  # fmt: skip

PARAPHRASED = ("edited_paraphrase", "edited_held_out")
NEIGHBOURS = ("same_object", "same_relation")
KEPT = ("same_object", "same_relation", "same_subject", "unrelated", "correlated_kept",
        "object_nested", "new_object_nested", "subject_nested", "retain")  # fmt: skip
"""Groups of facts that must not change. No metric and no measure of a suite counts ``new_object``;
the damage of a study does."""
RETAINED = ("retain", "unrelated", "same_relation", "same_subject")


@dataclass(frozen=True)
class Mean:
    """A mean over some rows.

    Attributes
    ----------
    groups : tuple of str
        Probe groups that count.
    value : polars.Expr
        Value of a row; null rows do not count.
    must_change : bool, optional
        Use only rows whose answer the edit changes (true) or does not change (false).
    """

    groups: tuple[str, ...]
    value: pl.Expr
    must_change: bool | None = None

    @property
    def asked(self) -> pl.Expr:
        """Condition for the rows that would count if no edit had failed."""
        inside = pl.col("group").is_in(self.groups)
        if self.must_change is None:
            return inside
        return inside & (pl.col("must_change") == self.must_change)

    @property
    def condition(self) -> pl.Expr:
        """Condition for the rows of a frame that count."""
        return self.asked & pl.col("failure").is_null() if self.must_change is False else self.asked


@dataclass(frozen=True)
class Metric:
    """A number about an edit.

    Attributes
    ----------
    name : str
    version : int
        Version, increased with every change of the computation.
    meaning : str
        One-line description, with its source.
    parts : tuple of Mean
        One mean, or several, of which the metric is the harmonic mean.
    whole : bool
        Whether every part is required, except those that only have rows of edits that failed, if
        all edits failed; otherwise only parts with rows are used.
    """

    name: str
    version: int
    meaning: str
    parts: tuple[Mean, ...]
    whole: bool = True


def failed() -> pl.Expr:
    """Return whether a row is one after an edit that failed, and so one of the unedited model."""
    return pl.col("failure").is_not_null() & (pl.col("stage") == "after")


def success(value: pl.Expr) -> pl.Expr:
    """Return a measure of success, with 0 for edits that failed; null where it is null."""
    return pl.when(failed() & value.is_not_null()).then(0.0).otherwise(value.cast(pl.Float64))


def more_likely(one: str, other: str) -> pl.Expr:
    """Return 1 if an answer is more likely than another one, 0 otherwise, on ties and on NaN.

    Null if one of them is missing.
    """
    a, b = pl.col(f"log_probability_{one}"), pl.col(f"log_probability_{other}")
    # Polars orders NaN above all numbers.
    return ((a > b) & a.is_not_nan() & b.is_not_nan()).cast(pl.Float64)


def _difference(one: str, other: str) -> pl.Expr:
    return pl.col(f"log_probability_{one}").exp() - pl.col(f"log_probability_{other}").exp()


def _share(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64)


def truth_ratio() -> pl.Expr:
    """Return p(wrong) / p(right before), with the mean over wrong answers: TOFU (arXiv 2401.06121).

    See equation 1 there; here of complete answers, not of their geometric means over tokens. The
    wrong answers are all other objects of the relation. For words of several tokens this needs a
    grammar, and ``wrong`` or ``rank="sequence"`` of `evaluate_model`.
    """
    return (pl.col("log_probability_wrong") - pl.col("log_probability_old")).exp()


_EFFICACY = Mean(("edited",), success(more_likely("true", "old")))
_PARAPHRASE = Mean(PARAPHRASED, success(more_likely("true", "old")))
_NEIGHBOURHOOD = Mean(NEIGHBOURS, more_likely("old", "new"), must_change=False)
_EXACT = _share("exact_match")
_EXACT_EFFICACY = Mean(("edited",), success(_EXACT))
_EXACT_GENERALIZATION = Mean((*PARAPHRASED, "edited_question"), success(_EXACT))
_EXACT_SPECIFICITY = Mean(KEPT, _EXACT, must_change=False)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "efficacy", 1,
            "ES: p(new) > p(old) on the edit's prompt (Meng et al., 2022, arXiv 2202.05262)",
            (_EFFICACY,),
        ),
        Metric(
            "efficacy_magnitude", 1, "EM of ROME: p(new) - p(old) on the edit's prompt",
            (Mean(("edited",), _difference("true", "old")),),
        ),
        Metric("paraphrase", 1, "PS: p(new) > p(old) on other wordings", (_PARAPHRASE,)),
        Metric(
            "paraphrase_magnitude", 1, "PM: p(new) - p(old) on other wordings",
            (Mean(PARAPHRASED, _difference("true", "old")),),
        ),
        Metric(
            "neighbourhood", 2,  # 1: a fact that has the new object counted as lost
            "NS: p(old) > p(new) for facts of the same relation, with any object but the new one",
            (_NEIGHBOURHOOD,),
        ),
        Metric(
            "neighbourhood_magnitude", 2, "NM: p(old) - p(new) for the same facts",
            (Mean(NEIGHBOURS, _difference("old", "new"), must_change=False),),
        ),
        Metric(
            "score", 2, "harmonic mean of efficacy, paraphrase and neighbourhood",
            (_EFFICACY, _PARAPHRASE, _NEIGHBOURHOOD),
        ),
        Metric(
            "exact_efficacy", 1, "free generation gives the new object, on the edit's prompt",
            (_EXACT_EFFICACY,),
        ),
        Metric(
            "exact_generalization", 1, "the same on other wordings and in questions",
            (_EXACT_GENERALIZATION,),
        ),
        Metric(
            "exact_specificity", 1,
            "free generation gives the right answer where nothing must change",
            (_EXACT_SPECIFICITY,),
        ),
        Metric(
            "exact_portability", 1,
            "free generation gives the right answer for facts that follow from the edit",
            (Mean(FOLLOWING, success(_EXACT), must_change=True),),
        ),
        Metric(
            "exact_score", 1,
            "harmonic mean of exact_efficacy, exact_generalization and exact_specificity",
            (_EXACT_EFFICACY, _EXACT_GENERALIZATION, _EXACT_SPECIFICITY),
        ),
        Metric(
            "leakage", 1,
            "free generation contains the new object, alone or not, where nothing must change",
            (Mean(KEPT, _share("leaked"), must_change=False),),
        ),
        Metric(
            "leakage_unrelated", 1, "the same for unrelated facts only",
            (Mean(("unrelated", "retain"), _share("leaked"), must_change=False),),
        ),
        Metric(
            "validity", 1,
            "free generation gives some object of the relation, where nothing must change",
            (Mean(KEPT, _share("valid_object"), must_change=False),),
        ),
        Metric(
            "kl", 1, "KL(unedited || edited) in nats where nothing must change",
            (Mean(KEPT, pl.col("kl"), must_change=False),),
        ),
        Metric(
            "forget_recall", 1, "free generation still gives the old answer of a fact to forget",
            (Mean(("forget",), _share("old_match")),),
        ),
        Metric(
            "extraction_strength", 1,
            "1 - k / n over facts to forget (Wang et al., 2024, arXiv 2406.09179)",
            (Mean(("forget",), pl.col("extraction_strength")),),
        ),
        Metric(
            "truth_ratio", 1, "p(wrong) / p(right before) on other wordings of edited facts",
            (Mean(PARAPHRASED, truth_ratio()),),
        ),
        Metric(
            "model_utility", 1,
            "harmonic mean of probability and exact match over the groups retain, unrelated, "
            "same_relation and same_subject, without the truth ratio of arXiv 2401.06121",
            tuple(
                Mean((group,), value, must_change=False)
                for group in RETAINED
                for value in (pl.col("log_probability_true").exp(), _EXACT)
            ),
            whole=False,
        ),
    )
}  # fmt: skip
"""All metrics by name."""


def get_metric(name: str) -> Metric:
    """Return a metric by name.

    Raises
    ------
    ArgumentError
        For an unknown name.
    """
    if name not in METRICS:
        raise ArgumentError.unknown("metrics", name, METRICS)
    return METRICS[name]
