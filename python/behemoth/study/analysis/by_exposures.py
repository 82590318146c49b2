"""The measures of a board by how often the edited facts are written.

Suites have one number per trial, over all edits of its plan. The rows of the trials' probes also
say to which edit a probe belongs, so the same measures are computed here from the rows of each
level of exposures: a study that has been run needs no new run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from behemoth.evaluate.damage import BYSTANDERS, known_bystanders
from behemoth.evaluate.metrics import METRICS, Mean
from behemoth.evaluate.suites.levels import Level, levels_of
from behemoth.evaluate.suites.score import Reading

from .board_measures import derived, estimated, with_locality
from .estimate import ROUNDED
from .ranges import CHANGE, Range, range_of

__all__ = ["LEVELS", "SHOWN_BY_LEVEL", "by_exposures"]

SHOWN_BY_LEVEL: Mapping[str, tuple[str, ...]] = {
    "editing": ("score", "score_locality", "damage", "efficacy", "exact_efficacy"),
    "unlearning": ("forgetting", "forget_probability", "forget_recall"),
}
"""Measures by level of exposures. Utility and privacy, and so the score of unlearning, belong to
the model as a whole."""

LEVELS = {
    "label": pl.String,
    "least": pl.UInt64,
    "most": pl.UInt64,
    "minus": pl.UInt64,
    "batch": pl.UInt32,
    "measure": pl.String,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "edits": pl.UInt32,
    "rows": pl.UInt32,
    "clusters": pl.UInt32,
}
"""Columns of `by_exposures`."""

_ORACLE = "oracle"
_SAME = 1e-6  # a trial has the probability of its twin up to rounding
_NEEDED = ("trial", "plan", "edit", "stage", "group", "subject", "must_change", "edit_exposures",
           "log_probability_old", "log_probability_true", "log_probability_new", "exact_match",
           "old_match", "known", "failure")  # fmt: skip
_OF_TRIAL = ("trial", "model", "label", "family", "world_seed", "seed")
_KEYS = ("trial", "level")


def by_exposures(suite: str, suites: pl.DataFrame, probes: pl.LazyFrame) -> pl.DataFrame:
    """Return the measures of a board by exposures of the edited facts.

    Parameters
    ----------
    suite : {'editing', 'unlearning'}
    suites : polars.DataFrame
        `Results.suites`, collected. Trials of other suites are ignored.
    probes : polars.LazyFrame
        `Results.probes`.

    Returns
    -------
    polars.DataFrame
        One row per label, level and measure of `SHOWN_BY_LEVEL`, columns as in `LEVELS`. A level is
        a number of exposures from least to most, as in `levels_of`. Each is computed as the board's
        measure, from the probes of the level's edits: in a batch, bystanders belong to the edit
        that they were drawn for, but all edits act on all of them. Edits that failed count as in
        suites: as 0 in success, and not in damage and neighbourhood; where that leaves no
        neighbourhood, and success is 0, the scores are 0. Means are over trials (rows), intervals
        over clusters as on the board; edits: number of edits in these trials.

        batch is null in the rows over all plans. If plans differ in their number of edits, each
        number also has rows of its own, with batch set to it.

        If there are several levels, each label also has the difference of the last level and the
        first, in trials with both; minus is then the first level's least, otherwise null. That of
        score_locality is over trials that knew bystanders at both levels or at neither, as the leg
        that only one of them has would be taken for an effect of exposures; and over those with a
        score that is 0 because edits failed, which no leg changes.

        forgetting compares with the twin at the same level, whose numbers are those of `retrain`
        for the same model and plan; without such a trial it is missing. Labels without rows have no
        value of that measure.
    """
    own = suites.filter(pl.col("suite") == suite, pl.col("missing").is_null())
    trials = own.select(*_OF_TRIAL, pl.col("edits").alias("batch")).unique(
        "trial", maintain_order=True
    )
    found = probes.filter(
        pl.col("stage") == "after",
        pl.col("trial").is_in(trials["trial"].implode()),
        pl.col("edit_exposures").is_not_null(),
    ).select(_NEEDED)
    rows = found.collect()
    levels = levels_of(rows["edit_exposures"].unique().to_list())
    if not levels:
        return pl.DataFrame(schema=LEVELS)
    rows = rows.with_columns(_place(levels))
    readings = _readings(suite, rows)
    if suite == "unlearning":
        # Models that differ in seed or size share plans.
        readings = readings.join(trials.select("trial", "model"), on="trial", maintain_order="left")
        readings = readings.join(_twins(own, readings), on=["model", "plan", "level"], how="left",
                                 maintain_order="left")  # fmt: skip
    levels_made = rows.group_by(*_KEYS, maintain_order=True).agg(
        pl.struct("edit").n_unique().alias("edits"), _lost_to_failures().alias("lost")
    )
    readings = readings.join(levels_made.drop("edits"), on=list(_KEYS), maintain_order="left")
    values = _values(suite, readings).join(trials, on="trial", maintain_order="left")
    values = values.join(levels_made, on=list(_KEYS), maintain_order="left")
    sizes = trials["batch"].unique().sort().to_list()
    batches: list[tuple[int | None, pl.DataFrame]] = [(None, values)]
    if len(sizes) > 1:
        batches += [(size, values.filter(batch=size)) for size in sizes]
    parts = [
        _means(some, name, levels, batch)
        for batch, some in batches
        for name in SHOWN_BY_LEVEL[suite]
    ]
    return pl.concat(parts).sort(
        "batch", "label", "minus", "least", nulls_last=False, maintain_order=True
    )


def _place(levels: Sequence[Level]) -> pl.Expr:
    """Return the place of each row's level among the levels."""
    place = pl.lit(None, pl.UInt32)
    for number, level in enumerate(levels):
        inside = pl.col("edit_exposures").is_between(level.low, level.high)
        place = pl.when(inside).then(pl.lit(number, pl.UInt32)).otherwise(place)
    return place.alias("level")


def _readings(suite: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the measures of the suite that are shown, or that shown ones are derived from."""
    if suite == "unlearning":
        forgotten = rows.filter(group="forget")
        value = pl.col("log_probability_old").exp()
        parts = [_over_rows(forgotten, value, "forget_probability"), _metric(rows, "forget_recall")]
    else:
        names = ("efficacy", "paraphrase", "neighbourhood", "exact_efficacy")
        lost = pl.col("exact_match").not_().cast(pl.Float64)
        parts = [_metric(rows, name) for name in names]
        parts += [
            _over_rows(known_bystanders(rows, (group,)), lost, f"damage_{group}")
            for group in BYSTANDERS
        ]
    plans = rows.select("trial", "plan").unique()
    return pl.concat(parts).join(plans, on="trial", maintain_order="left")


def _lost_to_failures() -> pl.Expr:
    """Return whether all edits of some rows that have neighbours failed."""
    part: Mean
    (part,) = METRICS["neighbourhood"].parts
    there = part.value.is_not_null()
    return (part.asked & there).any() & ~(part.condition & there).any()


def _metric(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return a metric that is one mean: over the probes of an edit, then over edits."""
    part: Mean
    (part,) = METRICS[name].parts
    some = rows.filter(part.condition).with_columns(part.value.alias("value")).drop_nulls("value")
    edits = some.group_by(*_KEYS, "edit", maintain_order=True).agg(pl.col("value").mean())
    return edits.group_by(_KEYS, maintain_order=True).agg(
        pl.lit(name).alias("measure").first(), pl.col("value").mean()
    )  # fmt: skip


def _over_rows(rows: pl.DataFrame, value: pl.Expr, name: str) -> pl.DataFrame:
    """Return the mean of a value over rows, as `MeasuredModel.mean` has it."""
    some = rows.with_columns(value.alias("value")).drop_nulls(["subject", "value"])
    return some.group_by(_KEYS, maintain_order=True).agg(
        pl.lit(name).alias("measure").first(), pl.col("value").mean()
    )  # fmt: skip


def _twins(own: pl.DataFrame, readings: pl.DataFrame) -> pl.DataFrame:
    """Return the twins' probability of the old answers, by model, plan and level.

    Its frame is not kept, but `retrain` has made the same model, with the same probability.
    """
    same = (pl.col("value") - pl.col("twin")).abs() < _SAME
    retrained = own.filter(pl.col("family") == _ORACLE, measure="forget_probability").filter(same)
    return (
        readings.filter(
            pl.col("trial").is_in(retrained["trial"].implode()), measure="forget_probability"
        )
        .group_by("model", "plan", "level", maintain_order=True)
        .agg(pl.col("value").first().alias("twin"))
    )


def _values(suite: str, readings: pl.DataFrame) -> pl.DataFrame:
    """Return the shown measures of each trial and level: trial, level, measure, value."""
    values = pl.DataFrame(
        list(_derived(suite, readings)),
        schema={
            "trial": pl.String, "level": pl.UInt32, "measure": pl.String, "value": pl.Float64,
        },
        orient="row",
    )  # fmt: skip
    return with_locality(values)


def _derived(suite: str, readings: pl.DataFrame) -> Iterator[tuple[str, int, str, float | None]]:
    shown = SHOWN_BY_LEVEL[suite]
    for (trial, level), part in readings.group_by(_KEYS, maintain_order=True):
        assert isinstance(trial, str) and isinstance(level, int)
        twins = part["twin"] if "twin" in part.columns else [None] * part.height
        found = {
            name: Reading(value, twin if name == "forget_probability" else None)
            for name, value, twin in zip(part["measure"], part["value"], twins, strict=True)
        }
        values = {name: reading.value for name, reading in found.items()} | derived(suite, found)
        if part["lost"][0] and values.get("efficacy") == 0:
            # A leg that is 0 makes the score 0, whatever the edits would have kept.
            values |= {"score": 0.0, "score_locality": 0.0}
        yield from ((trial, level, name, values.get(name)) for name in shown)


def _means(
    values: pl.DataFrame, measure: str, levels: Sequence[Level], batch: int | None
) -> pl.DataFrame:
    """Return a measure by label and level, and the difference of the last level and the first."""
    own = values.filter(measure=measure).with_columns(pl.col("value").fill_nan(None))
    own = own.drop_nulls("value")
    ends = pl.DataFrame(
        {"least": [level.low for level in levels], "most": [level.high for level in levels]},
        schema={"least": pl.UInt64, "most": pl.UInt64},
    ).with_row_index("level")
    first = own.filter(level=0).select(
        "trial", value_first="value", edits_first="edits", lost_first="lost"
    )
    last = own.filter(level=len(levels) - 1).join(first, on="trial", maintain_order="left")
    change = pl.col("value") - pl.col("value_first")
    size = pl.max_horizontal(pl.col("value", "value_first").abs())
    moved = last.with_columns(
        # One share as the mean of other terms may be rounded to another number.
        pl.when(change.abs() <= ROUNDED * size).then(0.0).otherwise(change).alias("value"),
        pl.col("edits") + pl.col("edits_first"),
    )
    if measure == "score_locality":
        known = (
            values.filter(measure="damage")
            .drop_nulls("value")
            .group_by("trial", maintain_order=True)
        )
        counts = known.agg(pl.col("level").is_in([0, len(levels) - 1]).sum().alias("known"))
        moved = moved.join(counts, on="trial", how="left", maintain_order="left").filter(
            (pl.col("known").fill_null(0) != 1) | pl.col("lost") | pl.col("lost_first")
        )
    parts: list[tuple[pl.DataFrame, int | None, Range]] = [(own, None, range_of(measure))]
    if len(levels) > 1:
        parts.append((moved, levels[0].low, CHANGE))
    return pl.concat(
        estimated(rows, measure, ("label", "level"), within=within)
        .join(
            rows.group_by("label", "level", maintain_order=True).agg(pl.col("edits").sum()),
            on=["label", "level"],
            maintain_order="left",
        )
        .join(ends, on="level", maintain_order="left")
        .with_columns(
            pl.lit(minus, pl.UInt64).alias("minus"), pl.lit(batch, pl.UInt32).alias("batch")
        )
        .select(pl.col(name).cast(dtype) for name, dtype in LEVELS.items())
        for rows, minus, within in parts
    )
