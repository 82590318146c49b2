"""Forget quality: similarity of a model to its retrained twin, which never saw the facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from behemoth.support.errors import ArgumentError

from .metrics import PARAPHRASED, truth_ratio

__all__ = ["ForgetQuality", "fact_scores", "forget_quality"]


@dataclass(frozen=True)
class ForgetQuality:
    """Kolmogorov-Smirnov test of two models' per-fact scores.

    Attributes
    ----------
    statistic : float
        Largest distance of the two distribution functions; 0 if they are equal.
    p_value : float
        The forget quality of TOFU (Maini et al., 2024, arXiv 2401.06121, section 2.2.2):
        small if the models can be distinguished.
    facts : int
        Number of facts compared.
    score : str
        Name of the score.
    """

    statistic: float
    p_value: float
    facts: int
    score: str


def fact_scores(frame: pl.DataFrame, score: str = "truth_ratio") -> pl.DataFrame:
    """Return one number per fact that is to be forgotten.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows of `evaluate`; of both stages, ``after`` is used.
    score : {'truth_ratio', 'log_probability', 'extraction_strength'}
        The mean over wordings of the truth ratio, the log-probability of the old answer, or
        its extraction strength. Only wordings that were not trained with the edit count, or, if
        there are none, those of the group ``forget``.

    Returns
    -------
    polars.DataFrame
        fact (UInt64) and value (Float64), sorted by fact; facts without the score are omitted.

    Raises
    ------
    ArgumentError
        For an unknown score.
    """
    expressions = {
        "truth_ratio": truth_ratio(),
        "log_probability": pl.col("log_probability_old"),
        "extraction_strength": pl.col("extraction_strength"),
    }
    if score not in expressions:
        raise ArgumentError.unknown("score", score, expressions)
    stages = frame["stage"].unique().to_list()
    rows = frame.filter(pl.col("stage") == "after") if "after" in stages else frame
    paraphrased = rows.filter(pl.col("group").is_in(PARAPHRASED))
    rows = rows.filter(pl.col("group") == "forget") if paraphrased.is_empty() else paraphrased
    return (
        rows.select("fact", expressions[score].alias("value"))
        .drop_nulls("value")
        .group_by("fact", maintain_order=True)
        .agg(pl.col("value").mean())
        .sort("fact")
    )


def forget_quality(
    unlearned: pl.DataFrame, retrained: pl.DataFrame, *, score: str = "truth_ratio"
) -> ForgetQuality:
    """Compare an unlearned model with the retrained twin, fact by fact.

    Parameters
    ----------
    unlearned, retrained : polars.DataFrame
        Rows of `evaluate` for each, with the same plan.
    score : str
        See `fact_scores`.

    Raises
    ------
    ArgumentError
        For an unknown score, or when the two frames share no facts with the score.
    """
    from scipy.stats import ks_2samp

    both = fact_scores(unlearned, score).join(fact_scores(retrained, score), on="fact")
    if both.is_empty():
        raise ArgumentError(
            "retrained",
            "no facts with this score in both frames",
            "frames of one plan (truth_ratio of several tokens needs rank='sequence')",
        )
    # Ratios span many orders of magnitude; the test compares ranks, and infinities have ranks too.
    test: Any = ks_2samp(both["value"].to_numpy(), both["value_right"].to_numpy())
    return ForgetQuality(float(test.statistic), float(test.pvalue), len(both), score)
