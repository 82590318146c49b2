"""Measures that boards derive from those of suites, and their means over trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import polars as pl

from behemoth.evaluate.suites.score import OBJECTIVES, Reading, legs_of, lost_of, score_of

from .estimate import means
from .ranges import Range, range_of

__all__ = ["FEWEST", "derived", "estimated", "with_locality"]

FEWEST = 3
"""Minimum number of clusters for intervals. Two clusters have a single difference: with Student's t
the interval is 12.7 standard errors to each side, so by chance it is tiny or the full range."""

_LOCAL = "editing-locality"


def derived(suite: str, readings: Mapping[str, Reading]) -> dict[str, float | None]:
    """Return the score of a suite, its legs, and other measures derived from several.

    Parameters
    ----------
    suite : str
    readings : mapping of str to Reading
        Measures of the suite by name.

    Returns
    -------
    dict of str to float or None
        None for those that need a measure that is missing; without known bystanders there is no
        damage, and the score with locality is the score (see `with_locality`); without relearning
        there is no relearned.
    """
    values = {**legs_of(suite, readings), "score": score_of(suite, readings)}
    if OBJECTIVES[_LOCAL].suite == suite:
        values["score_locality"] = score_of(_LOCAL, readings)
    lost = lost_of(readings)
    if lost is not None:
        values["damage"] = lost
    steps = readings.get("relearning_steps")
    if steps is not None and steps.value is not None:
        never = math.isinf(steps.value)
        values["relearned"] = steps.value if math.isnan(steps.value) else float(not never)
    return values


def with_locality(values: pl.DataFrame) -> pl.DataFrame:
    """Return the measures of trials, without the score with locality if none knew a bystander.

    It would be the score under another name.

    Parameters
    ----------
    values : polars.DataFrame
        Columns measure and value, of all trials of a board.
    """
    known = values.filter(pl.col("measure") == "damage", pl.col("value").is_not_null())
    return values if known.height else values.filter(pl.col("measure") != "score_locality")


def estimated(
    rows: pl.DataFrame, measure: str, by: Sequence[str], *, within: Range | None = None
) -> pl.DataFrame:
    """Return means of a measure over trials, with intervals.

    Parameters
    ----------
    rows : polars.DataFrame
        Columns measure, value, `by` and those of clusters; rows of other measures are ignored.
    measure : str
    by : sequence of str
    within : (float, float), optional
        Bounds that intervals are clipped to; by default the range of the measure.

    Returns
    -------
    polars.DataFrame
        Columns of `means`, and measure. Intervals are null for fewer than `FEWEST` clusters.
    """
    within = range_of(measure) if within is None else within
    found = means(rows.filter(measure=measure), "value", by, within=within)
    enough = pl.col("clusters") >= FEWEST
    ends = (pl.when(enough).then(pl.col(end)).alias(end) for end in ("low", "high"))
    return found.with_columns(*ends, pl.lit(measure).alias("measure"))
