"""The leaderboard of a study whose trials run suites: scores, ranks with ties, and cost.

A trial is a method's edits of one plan on one model, with one value per measure. Means are over
trials, and intervals are over (world seed, initialisation) clusters, as in all analyses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from behemoth.evaluate.suites.score import OBJECTIVES, Reading
from behemoth.study.schemas import SUITES

from .board_measures import FEWEST, derived, estimated, with_locality
from .by_exposures import LEVELS, by_exposures
from .estimate import cluster_keys, named
from .legacy_twin_perplexity import on_one_text
from .methods import operations
from .outcomes import OUTCOMES
from .reference import REFERENCE, reference

__all__ = ["BOARDS", "SHOWN", "TRIALS", "Board", "boards", "leaderboard", "taken"]

SHOWN: Mapping[str, tuple[str, ...]] = {
    "editing": ("score", "score_locality", "damage", "efficacy", "paraphrase", "neighbourhood",
                "exact_efficacy", "kl"),
    "unlearning": ("score", "forgetting", "utility", "privacy", "forget_recall", "leak_at_64",
                   "relearned", "linear_probe", "kl_twin_retain"),
}  # fmt: skip
"""Measures of a board: the score, its legs, and other measures that are common in the field."""
_ORACLE = "oracle"
_OF_TRIAL = ("suite", "grammar", "edits")  # the columns of `SUITES` that are not of one measure

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
    "tuned_on": pl.String,
}
"""Columns of a board, beside the measures with their intervals; see `leaderboard`."""

TRIALS = ("trial", "model", "label", "method", "world_seed", "seed", "grammar", "edits", "measure",
          "value", "low", "high", "count", "twin")  # fmt: skip
"""Columns of the trials of a board, one row per trial and measure."""


@dataclass(frozen=True)
class Board:
    """The leaderboard of one suite.

    Attributes
    ----------
    suite : str
    table : polars.DataFrame
        One row per method; see `leaderboard`.
    cells : polars.DataFrame
        Columns grammar (null for templates), edits (of the plan), label, measure, mean, low, high,
        rows (trials), clusters: the shown measures by grammar and number of edits.
    measures : polars.DataFrame
        Columns label, measure, mean, low, high, rows, clusters, twin (mean of the twins' values):
        all measures of the suite.
    missing : polars.DataFrame
        Columns measure, missing: measures that no trial has, and why.
    trials : polars.DataFrame
        The rows that all of these are computed from: `taken`, of this suite, with the columns of
        `TRIALS`.
    exposures : polars.DataFrame
        Measures by exposures of the edited facts; see `by_exposures`. Without rows if the board was
        made without probes.
    outcomes : polars.DataFrame
        Numbers of trials by what became of them; see `behemoth.study.analysis.outcomes.outcomes`.
        Without rows if they are not known.
    unedited : polars.DataFrame
        The models without any edit, by the same measures; see `reference`. They take no part in
        ranks. Without rows if the trials did not measure them.
    """

    suite: str
    table: pl.DataFrame
    cells: pl.DataFrame
    measures: pl.DataFrame
    missing: pl.DataFrame
    trials: pl.DataFrame
    exposures: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEVELS))
    outcomes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OUTCOMES))
    unedited: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REFERENCE))

    def counts(self, label: str) -> dict[str, int]:
        """Return the number of trials of a method that have each measure, by its name."""
        return dict(self.measures.filter(label=label).select("measure", "rows").iter_rows())

    def knowing(self, label: str, grammar: str | None = None, edits: int | None = None) -> int:
        """Return the number of trials of a method whose model knew a bystander before.

        With `edits`, it is that of the trials with plans of so many edits in the world `grammar`.
        """
        own = self.trials.filter(label=label, measure="damage").drop_nulls("value")
        if edits is not None:
            own = own.filter(pl.col("grammar").eq_missing(grammar), edits=edits)
        return own.height


def taken(suites: pl.DataFrame) -> pl.DataFrame:
    """Return one row per trial and measure, including measures derived from several others.

    Parameters
    ----------
    suites : polars.DataFrame
        `Results.suites`, collected.

    Returns
    -------
    polars.DataFrame
        The columns of `suites`. In addition to the suite's measures there are its score and the
        legs of the score; for editing damage, the mean over groups of bystanders of the share of
        known facts that are no longer generated, and score_locality, the score of
        ``editing-locality``, which is the score in trials whose model knew no bystander, and is
        missing if no trial knew any; for unlearning relearned, 1 if some number of
        `relearning_steps` recovers half of the facts and 0 if none does. If a model has no finite
        value for a leg, the leg is 0, like the score: an omitted value would not count against the
        method. Other measures are NaN then, and their means are over fewer trials. Derived measures
        have null in low, high, count, over, version, twin and before, which describe single ones.
    """
    made: list[pl.DataFrame] = []
    known = suites.filter(pl.col("missing").is_null())
    for (_, suite), rows in known.group_by("trial", "suite", maintain_order=True):
        assert isinstance(suite, str)
        readings = {
            row["measure"]: Reading(row["value"], row["twin"])
            for row in rows.select("measure", "value", "twin").iter_rows(named=True)
        }
        new = {
            name: value
            for name, value in derived(suite, readings).items()
            if name == "score" or name not in readings
        }
        of_measure = [name for name in SUITES if name not in _OF_TRIAL]
        first = rows.head(1).drop(of_measure)
        table = pl.DataFrame(
            {"measure": list(new), "value": list(new.values())},
            schema={"measure": pl.String, "value": pl.Float64},
        ).with_columns(
            pl.lit(None, rows.schema[name]).alias(name)
            for name in of_measure
            if name not in ("measure", "value")
        )
        made.append(first.join(table, how="cross"))
    # The suite's own score of editing equals ours if it exists; only ours is kept.
    own_legs = [leg.name for each in OBJECTIVES.values() for leg in each.legs]
    silent = pl.col("measure").is_in(own_legs) & ~pl.col("value").is_finite()
    rest = known.filter(pl.col("measure") != "score").with_columns(
        pl.when(silent).then(0.0).otherwise("value").alias("value")
    )
    return with_locality(pl.concat([rest, *(part.select(rest.columns) for part in made)]))


def leaderboard(
    suite: str,
    rows: pl.DataFrame,
    *,
    failed: Mapping[str, int] | None = None,
    seconds: Mapping[str, float] | None = None,
    costs: Mapping[str, tuple[float, int]] | None = None,
    methods: Sequence[Mapping[str, Any]] = (),
) -> pl.DataFrame:
    """Return the methods of a suite, the best first.

    Parameters
    ----------
    suite : str
    rows : polars.DataFrame
        Frame returned by `taken`; rows of other suites are ignored.
    failed : mapping of str to int, optional
        Number of failed trials of this suite, by label. Methods whose trials all failed are
        included, without a rank: omitted, a method would rank higher the more often it fails.
    seconds : mapping of str to float, optional
        Seconds that the edits of each trial took, by trial id.
    costs : mapping of str to (float, int), optional
        Operations of one edit and bytes of tensors, as in `Results.edit_costs`.
    methods : sequence of mapping, optional
        Methods of the study (`StudyRecord.methods`).

    Returns
    -------
    polars.DataFrame
        One row per method, columns as in `BOARDS`, then each of `SHOWN` with ``_low`` and
        ``_high``.

        - first, last: the range of ranks it may have by its score. A method ranks before another
          if its interval lies completely above; methods whose intervals overlap are tied. first is
          1 plus the number of methods before it, last is the number of methods that it is not
          before, itself included. Null without an interval, which needs
          `board_measures.FEWEST` clusters with different scores; null for methods with failed
          trials, and for oracles, which use information that methods may not. A method whose score
          is 0, or 1, in every trial of so many clusters has no interval, but a place if another
          method has an interval or the other of these scores: no score is lower, or higher.
        - seconds: mean time to make a plan's edits, without evaluation, over trials; flops and
          memory: see `operations`.
        - settings: ``default``, ``tuned`` (`behemoth tune`) or ``given`` by hand, null if the
          study does not state it; tuning_trials, tuning_seconds: cost of tuning, with all edits of
          all trials; tuned_on: for tuned settings of the package, the kinds of world that they
          were tuned on, such as ``text``, or ``tokens, text`` (``tuned:world``). Settings that
          differ by kind of world are tuned if those for any kind are, and the cost is the sum over
          kinds.
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
    lost, whence = failed or {}, {each["label"]: each for each in methods}
    gone = [label for label in lost if label not in set(table["label"])]
    nothing = pl.DataFrame(
        {
            "label": gone,
            "method": [whence.get(label, {}).get("name") for label in gone],
            "family": [whence.get(label, {}).get("family") for label in gone],
            "trials": [0] * len(gone),
            "clusters": [0] * len(gone),
            "_trials": [[] for _ in gone],
        },
        schema=table.schema,
    )
    table = pl.concat([table, nothing])
    spent = seconds or {}
    times = [[spent[each] for each in trials if each in spent] for trials in table["_trials"]]
    chosen = [whence.get(label, {}) for label in table["label"]]
    tunings = [_tunings(own) for own in chosen]
    table = table.with_columns(
        pl.Series("failed", [lost.get(label, 0) for label in table["label"]], pl.UInt32),
        pl.Series("seconds", list(map(_mean, times)), pl.Float64),
        pl.Series("settings", [own.get("whence") for own in chosen], pl.String),
        pl.Series("tuning_trials", [_total(own, "trials") for own in tunings], pl.UInt32),
        pl.Series("tuning_seconds", [_total(own, "seconds") for own in tunings], pl.Float64),
        pl.Series("tuned_on", [", ".join(filter(None, own)) or None for own in tunings], pl.String),
    )
    counted = operations(own.select("trial", "label", "edits").unique(), costs or {})
    table = table.join(counted, on="label", how="left", maintain_order="left")
    for name in SHOWN[suite]:
        found = named(estimated(own, name, ("label",)), name, ("label",))
        table = table.join(found, on="label", how="left", maintain_order="left")
    table = table.with_columns(_ranks(table, _unvaried(own, table)))
    ends = [f"{name}{end}" for name in SHOWN[suite] for end in ("", "_low", "_high")]
    return table.sort("score", descending=True, nulls_last=True, maintain_order=True).select(
        *(pl.col(name).cast(dtype) for name, dtype in BOARDS.items()), *ends
    )


def _tunings(method: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return how the settings of a method were tuned, by kind of world ("" if it is not known)."""
    worlds = method.get("worlds") or {method.get("world") or "": method}
    return {world: own["tuning"] for world, own in worlds.items() if own.get("tuning")}


def _total(tunings: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    values = [own[name] for own in tunings.values() if name in own]
    return sum(values) if values else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _unvaried(own: pl.DataFrame, table: pl.DataFrame) -> dict[str, float]:
    """Return the score, by label, of methods that have 0, or 1, in every trial of enough clusters.

    Those are the ends of its range.
    """
    scores = own.filter(pl.col("measure") == "score", pl.col("value").is_in([0.0, 1.0]))
    ends = scores.group_by("label", "value", maintain_order=True).len()
    found = table.join(ends, on="label", maintain_order="left").filter(
        pl.col("len") == pl.col("trials"),
        pl.col("clusters") >= FEWEST,
        pl.col("failed") == 0,
        pl.col("family") != _ORACLE,
    )
    return dict(found.select("label", "value").iter_rows())


def _ranks(table: pl.DataFrame, unvaried: Mapping[str, float]) -> list[pl.Series]:
    """Return the columns first and last, by intervals of the score.

    That all trials agree gives no interval: a few clusters agree by chance. But no score is below
    0 or above 1, and a method that never has another would look better without a place than with
    the last, or worse than with the first.
    """
    rows = table.select("family", "failed", "score_low", "score_high").iter_rows()
    ends = [
        None if family == _ORACLE or failed or low is None else (low, high)
        for family, failed, low, high in rows
    ]
    # A first or last place needs others with a place; 0 and 1 are apart without any interval.
    if any(ends) or len(set(unvaried.values())) > 1:
        named = zip(table["label"], ends, strict=True)
        ends = [(unvaried[label],) * 2 if label in unvaried else pair for label, pair in named]
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
    failed: Mapping[str, Mapping[str, int]] | None = None,
    seconds: Mapping[str, float] | None = None,
    costs: Mapping[str, tuple[float, int]] | None = None,
    methods: Sequence[Mapping[str, Any]] = (),
    probes: pl.LazyFrame | None = None,
    outcomes: pl.DataFrame | None = None,
) -> list[Board]:
    """Return the leaderboards of a study, one per suite of which a measure was taken.

    Parameters
    ----------
    suites : polars.DataFrame
        `Results.suites`, collected.
    failed : mapping of str to mapping, optional
        By suite: number of failed trials, by label.
    seconds, costs, methods
        See `leaderboard`.
    probes : polars.LazyFrame, optional
        `Results.probes`, for the measures by exposures of the edited facts.
    outcomes : polars.DataFrame, optional
        See `behemoth.study.analysis.outcomes.outcomes`; the chart by number of edits then says
        which of its missing points are of trials that failed.
    """
    suites = on_one_text(suites)
    became = pl.DataFrame(schema=OUTCOMES) if outcomes is None else outcomes
    rows = taken(suites)
    found: list[Board] = []
    for suite in (name for name in SHOWN if name in set(suites["suite"])):
        own = rows.filter(pl.col("suite") == suite)
        if own.is_empty():  # nothing of it could be taken, and so there is nothing to compare
            continue
        twins = own.group_by("label", "measure", maintain_order=True).agg(pl.col("twin").mean())
        every = pl.concat(
            estimated(own, name, ("label", "measure")) for name in own["measure"].unique().sort()
        )
        measures = every.sort("label", "measure").join(
            twins, on=["label", "measure"], how="left", maintain_order="left"
        )
        absent = suites.filter((pl.col("suite") == suite) & ~pl.col("measure").is_in(
            own.drop_nulls("value")["measure"].unique().implode()))  # fmt: skip
        found.append(
            Board(
                suite=suite,
                table=leaderboard(
                    suite, rows, failed=(failed or {}).get(suite), seconds=seconds, costs=costs,
                    methods=methods,
                ),
                cells=pl.concat(
                    estimated(own, name, ("grammar", "edits", "label", "measure"))
                    for name in SHOWN[suite]
                ),
                measures=measures,
                missing=absent.group_by("measure", maintain_order=True).agg(
                    pl.col("missing").first()
                ),
                trials=own.select(TRIALS).sort("label", "world_seed", "seed", "trial", "measure"),
                exposures=(
                    pl.DataFrame(schema=LEVELS) if probes is None
                    else by_exposures(suite, suites, probes)
                ),
                outcomes=became.filter(pl.col("suite") == suite),
                unedited=reference(suite, suites),
            )
        )  # fmt: skip
    return found
