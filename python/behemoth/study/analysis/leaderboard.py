"""The leaderboard of a study whose trials take suites: scores, ranks that say ties, and cost.

A trial is one row: a method's edits of one plan on one model, with one number a measure. Means are
over trials and their intervals over (world, initialisation), as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from behemoth.evaluate.damage import BYSTANDERS
from behemoth.evaluate.suites.score import LEGS, Reading, legs_of, score_of

from .estimate import cluster_keys, means
from .legacy_twin_perplexity import on_one_text
from .ranges import range_of

__all__ = ["BOARDS", "FEWEST", "SHOWN", "Board", "boards", "leaderboard", "taken"]

FEWEST = 3
"""Clusters from which on there are intervals. Two differ by one number: Student's t takes 12.7
standard errors of it, which is hardly anything or all that a measure can be, as chance has it."""

SHOWN: Mapping[str, tuple[str, ...]] = {
    "editing": ("score", "efficacy", "paraphrase", "neighbourhood", "exact_efficacy", "damage",
                "kl"),
    "unlearning": ("score", "forgetting", "utility", "privacy", "forget_recall", "leak_at_64",
                   "relearned", "linear_probe", "kl_twin_retain"),
}  # fmt: skip
"""Measures of a board, the score first, then its legs and what else its field asks first."""
_ORACLE = "oracle"

BOARDS = {
    "label": pl.String,
    "method": pl.String,
    "family": pl.String,
    "first": pl.UInt32,
    "last": pl.UInt32,
    "trials": pl.UInt32,
    "failed": pl.UInt32,
    "clusters": pl.UInt32,
    "seconds": pl.Float64,
    "flops": pl.Float64,
    "memory": pl.Float64,
    "settings": pl.String,
    "tuning_trials": pl.UInt32,
    "tuning_seconds": pl.Float64,
}
"""Columns of a board, beside the measures with their intervals; see `leaderboard`."""


@dataclass(frozen=True)
class Board:
    """The leaderboard of one suite.

    Attributes
    ----------
    suite : str
    table : polars.DataFrame
        One row a method; see `leaderboard`.
    cells : polars.DataFrame
        grammar (null of templates), edits (of the plan), label, measure, mean, low, high, rows
        (trials), clusters: the same by world and number of edits.
    measures : polars.DataFrame
        label, measure, mean, low, high, rows, clusters, twin (mean of the twins' own), of all that
        the suite took.
    missing : polars.DataFrame
        measure, missing: what could be taken of no trial, and why.
    """

    suite: str
    table: pl.DataFrame
    cells: pl.DataFrame
    measures: pl.DataFrame
    missing: pl.DataFrame

    def counts(self, label: str) -> dict[str, int]:
        """Of how many trials of a method each measure is, by its name."""
        return dict(self.measures.filter(label=label).select("measure", "rows").iter_rows())


def taken(suites: pl.DataFrame) -> pl.DataFrame:
    """One row a trial and measure, what is made of several measures included.

    Parameters
    ----------
    suites : polars.DataFrame
        `Results.suites`, collected.

    Returns
    -------
    polars.DataFrame
        The columns of trials, then measure, value and twin. Beside the suite's own there are its
        score and the legs of it; of edits damage, the mean over groups of bystanders of the share
        of known facts that are no longer said; of unlearning relearned, 1 where some number of
        `relearning_steps` brings half of the facts back and 0 where none does. Where a model gave
        no number a leg is 0, as the score is: left out, it would be as if it had not been. Other
        measures are NaN there, and their means are of fewer trials.
    """
    made: list[pl.DataFrame] = []
    known = suites.filter(pl.col("missing").is_null())
    for (_, suite), rows in known.group_by("trial", "suite", maintain_order=True):
        assert isinstance(suite, str)
        readings = {
            row["measure"]: Reading(row["value"], row["twin"])
            for row in rows.select("measure", "value", "twin").iter_rows(named=True)
        }
        values = {**legs_of(suite, readings), "score": score_of(suite, readings)}
        lost = [
            reading.value
            for group in BYSTANDERS
            if (reading := readings.get(f"damage_{group}")) and reading.value is not None
        ]
        if lost:
            values["damage"] = sum(lost) / len(lost)
        steps = readings.get("relearning_steps")
        if steps is not None and steps.value is not None:
            never = math.isinf(steps.value)
            values["relearned"] = steps.value if math.isnan(steps.value) else float(not never)
        new = {
            name: value for name, value in values.items() if name == "score" or name not in readings
        }
        first = rows.head(1).drop("measure", "value", "twin")
        table = pl.DataFrame(
            {"measure": list(new), "value": list(new.values())},
            schema={"measure": pl.String, "value": pl.Float64},
        ).with_columns(pl.lit(None, pl.Float64).alias("twin"))
        made.append(first.join(table, how="cross"))
    # The suite's own score of edits is ours where it could be taken; one name, one number.
    own_legs = [leg.name for legs in LEGS.values() for leg in legs]
    silent = pl.col("measure").is_in(own_legs) & ~pl.col("value").is_finite()
    rest = known.filter(pl.col("measure") != "score").with_columns(
        pl.when(silent).then(0.0).otherwise("value").alias("value")
    )
    return pl.concat([rest, *(part.select(rest.columns) for part in made)])


def leaderboard(
    suite: str,
    rows: pl.DataFrame,
    *,
    failed: Mapping[str, int] | None = None,
    seconds: Mapping[str, float] | None = None,
    costs: Mapping[str, tuple[float, int]] | None = None,
    methods: Sequence[Mapping[str, Any]] = (),
) -> pl.DataFrame:
    """The methods of a suite, the best first.

    Parameters
    ----------
    suite : str
    rows : polars.DataFrame
        What `taken` gives, of this suite.
    failed : mapping of str to int, optional
        Trials that failed, by label.
    seconds : mapping of str to float, optional
        That the edits of each trial took, by its id.
    costs : mapping of str to (float, int), optional
        Operations of one edit and bytes of tensors, as `Results.edit_costs` has them.
    methods : sequence of mapping, optional
        What the study says of its methods (`StudyRecord.methods`).

    Returns
    -------
    polars.DataFrame
        One row a method, columns as in `BOARDS`, then each of `SHOWN` with ``_low`` and ``_high``.

        - first, last: ranks that it may have by its score. A method is before another where its
          interval lies wholly above; so methods whose intervals overlap are tied, and first is 1
          more than how many are before it. Null without an interval, as of fewer clusters than
          `FEWEST` and where all have the same score, of methods of which trials failed, and of
          oracles, which know what methods may not.
        - seconds: mean of making a plan's edits, evaluation apart; flops: operations of one edit,
          mean; memory: bytes of tensors that are in use at once beside the model, the most of
          all trials.
        - settings: ``default``, ``tuned`` (`behemoth tune`) or ``given`` by hand, null where the
          study does not say; tuning_trials, tuning_seconds: what choosing them took, all edits of
          all trials.
    """
    own = rows.filter(pl.col("suite") == suite)
    keys = cluster_keys(own)
    table = own.group_by("label", maintain_order=True).agg(
        pl.col("method").first(),
        pl.col("family").first(),
        pl.col("trial").n_unique().cast(pl.UInt32).alias("trials"),
        pl.struct(keys).n_unique().cast(pl.UInt32).alias("clusters"),
        pl.col("trial").unique().alias("_trials"),
    )
    spent, dear = seconds or {}, costs or {}
    times = [[spent[each] for each in trials if each in spent] for trials in table["_trials"]]
    counted = [[dear[each] for each in trials if each in dear] for trials in table["_trials"]]
    whence = {own["label"]: own for own in methods}
    chosen = [whence.get(label, {}) for label in table["label"]]
    tunings = [own.get("tuning") or {} for own in chosen]
    most = [max((memory for _, memory in each), default=None) for each in counted]
    table = table.with_columns(
        pl.Series("failed", [(failed or {}).get(label, 0) for label in table["label"]], pl.UInt32),
        pl.Series("seconds", list(map(_mean, times)), pl.Float64),
        pl.Series("flops", [_mean([flops for flops, _ in each]) for each in counted], pl.Float64),
        pl.Series("memory", most, pl.Float64),
        pl.Series("settings", [own.get("whence") for own in chosen], pl.String),
        pl.Series("tuning_trials", [own.get("trials") for own in tunings], pl.UInt32),
        pl.Series("tuning_seconds", [own.get("seconds") for own in tunings], pl.Float64),
    )
    for name in SHOWN[suite]:
        found = _estimated(own, name, ("label",)).select(
            "label",
            pl.col("mean").alias(name),
            pl.col("low").alias(f"{name}_low"),
            pl.col("high").alias(f"{name}_high"),
        )
        table = table.join(found, on="label", how="left", maintain_order="left")
    table = table.with_columns(_ranks(table))
    ends = [f"{name}{end}" for name in SHOWN[suite] for end in ("", "_low", "_high")]
    return table.sort("score", descending=True, nulls_last=True, maintain_order=True).select(
        *(pl.col(name).cast(dtype) for name, dtype in BOARDS.items()), *ends
    )


def _estimated(rows: pl.DataFrame, measure: str, by: Sequence[str]) -> pl.DataFrame:
    """The means of a measure; intervals are cut to what it can be, and few clusters have none."""
    found = means(rows.filter(measure=measure), "value", by, within=range_of(measure))
    enough = pl.col("clusters") >= FEWEST
    return found.with_columns(
        pl.when(enough).then(pl.col(end)).alias(end) for end in ("low", "high")
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _ranks(table: pl.DataFrame) -> list[pl.Series]:
    """Ranks from and to, by intervals of the score."""
    rows = table.select("family", "failed", "score_low", "score_high").iter_rows()
    ends = [
        None if family == _ORACLE or failed or low is None else (low, high)
        for family, failed, low, high in rows
    ]
    ranked = [pair for pair in ends if pair is not None]
    first, last = [], []
    for pair in ends:
        if pair is None:
            first.append(None)
            last.append(None)
            continue
        low, high = pair
        first.append(1 + sum(other[0] > high for other in ranked))
        last.append(len(ranked) - sum(other[1] < low for other in ranked))
    return [pl.Series("first", first, pl.UInt32), pl.Series("last", last, pl.UInt32)]


def boards(
    suites: pl.DataFrame,
    *,
    failed: Mapping[str, int] | None = None,
    seconds: Mapping[str, float] | None = None,
    costs: Mapping[str, tuple[float, int]] | None = None,
    methods: Sequence[Mapping[str, Any]] = (),
) -> list[Board]:
    """The leaderboards of a study, one a suite; parameters as of `leaderboard`."""
    suites = on_one_text(suites)
    rows = taken(suites)
    found: list[Board] = []
    for suite in (name for name in SHOWN if name in set(suites["suite"])):
        own = rows.filter(pl.col("suite") == suite)
        twins = own.group_by("label", "measure").agg(pl.col("twin").mean())
        every = pl.concat(
            _estimated(own, name, ("label", "measure")) for name in own["measure"].unique().sort()
        )
        measures = every.sort("label", "measure").join(
            twins, on=["label", "measure"], how="left", maintain_order="left"
        )
        absent = suites.filter((pl.col("suite") == suite) & ~pl.col("measure").is_in(
            own["measure"].unique().implode()))  # fmt: skip
        found.append(
            Board(
                suite=suite,
                table=leaderboard(
                    suite, rows, failed=failed, seconds=seconds, costs=costs, methods=methods
                ),
                cells=pl.concat(
                    _estimated(own, name, ("grammar", "edits", "label", "measure"))
                    for name in SHOWN[suite]
                ),
                measures=measures,
                missing=absent.group_by("measure", maintain_order=True).agg(
                    pl.col("missing").first()
                ),
            )
        )  # fmt: skip
    return found
