"""Edits one after another: what holds, what is lost and how the change grows, over clusters.

A trial is a method's edits of one plan in one model, measured at checkpoints by suite `sequence`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.evaluate.suites.half_life import half_life, seen_again

from .board_measures import FEWEST
from .estimate import Estimate, cluster_of, jackknife, means
from .ranges import AMOUNT, SHARE

__all__ = ["MEASURES", "Sequences", "sequences_of"]

MEASURES = {
    "hold": SHARE, "efficacy": SHARE, "first": SHARE, "forgotten": SHARE, "lost": SHARE,
    "kl": AMOUNT, "norm": AMOUNT,
}  # fmt: skip
"""Measures at a checkpoint, with their ranges: those of suite `sequence`."""
_OF = ("grammar", "edits", "label")  # a plan in a kind of world, and a method
_HALF_LIVES = {
    "grammar": pl.String, "edits": pl.UInt32, "label": pl.String, "half_life": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "looked": pl.UInt32, "rows": pl.UInt32,
    "clusters": pl.UInt32, "note": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Sequences:
    """What is left of edits that methods made one after another.

    All frames begin with grammar (null for templates), edits (of the plan) and label.

    Attributes
    ----------
    checkpoints : polars.DataFrame
        Columns after (edits made), measure (of `MEASURES`), mean, low, high, rows (trials),
        clusters.
    half_lives : polars.DataFrame
        Columns half_life (further edits after which half of the edits that were seen to hold no
        longer do; null if that is never seen), low, high, looked (the most further edits after
        which one was seen again), rows (edits seen again), clusters, note. Methods whose edits give
        new answers.
    matrix : polars.DataFrame
        The retention matrix: columns made_after and made (the edits after the first so many, up to
        the second number), after, measure (hold or, of methods that only forget, forgotten), mean,
        low, high, rows (edits), clusters.
    """

    checkpoints: pl.DataFrame
    half_lives: pl.DataFrame
    matrix: pl.DataFrame

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the frames by name."""
        return {f"sequence_{name}": frame for name, frame in vars(self).items()}


def sequences_of(suites: pl.DataFrame, sequence: pl.DataFrame) -> Sequences:
    """Return what the trials of a study say of edits one after another.

    Parameters
    ----------
    suites, sequence : polars.DataFrame
        Frames of `behemoth.study.results.Results`, collected.

    Notes
    -----
    Intervals are those of the cluster jackknife, of half-lives on their logarithm; there is none
    with fewer than `FEWEST` clusters. A half-life pools the edits of all trials of a method: a mean
    over trials would leave out those in which half of the edits are never lost.
    """
    rows = _checkpoints(suites)
    of_trial = rows.select("trial", "grammar", pl.col("edits").alias("planned")).unique()
    answering = rows.filter(measure="hold").select("trial").unique()
    made = (
        sequence.join(of_trial, on="trial", maintain_order="left")
        .rename({"planned": "edits"})
        .filter(pl.col("place") < pl.col("after"))
    )
    holding = made.join(answering, on="trial", how="semi", maintain_order="left")
    forgetting = made.join(answering, on="trial", how="anti", maintain_order="left")
    kept = pl.concat(
        [
            holding.with_columns(measure=pl.lit("hold"), kept="holds"),
            forgetting.filter("known").with_columns(measure=pl.lit("forgotten"), kept="forgotten"),
        ]
    )
    return Sequences(
        checkpoints=_in_order(
            pl.concat(
                _shown(means(rows.filter(measure=name), "value", (*_OF, "after"), within=within))
                .with_columns(measure=pl.lit(name))
                .select(*_OF, "after", "measure", "mean", "low", "high", "rows", "clusters")
                for name, within in MEASURES.items()
            ),
            suites,
        ),
        half_lives=_in_order(pl.DataFrame(list(_half_lives(holding)), _HALF_LIVES), suites),
        matrix=_in_order(_matrix(kept, rows.select("trial", made="after").unique()), suites),
    )


def _checkpoints(suites: pl.DataFrame) -> pl.DataFrame:
    """Return the measures at checkpoints, with after: ``lost_after_10`` is ``lost`` after 10."""
    found = suites.filter(suite="sequence").with_columns(
        pl.col("measure").str.extract(r"^(\w+)_after_\d+$").alias("measure"),
        pl.col("measure").str.extract(r"_after_(\d+)$").cast(pl.UInt32).alias("after"),
    )
    return found.drop_nulls(["measure", "value"])


def _matrix(kept: pl.DataFrame, checkpoints: pl.DataFrame) -> pl.DataFrame:
    """Return means by the stretch between checkpoints in which an edit was made."""
    ends = checkpoints.sort("trial", "made").with_columns(
        pl.col("made").shift(1, fill_value=0).over("trial").alias("made_after")
    )
    stretches = kept.select("trial", "place").unique().join(ends, on="trial")
    stretches = stretches.filter(
        pl.col("place") >= pl.col("made_after"), pl.col("place") < pl.col("made")
    )
    rows = kept.join(stretches, on=["trial", "place"], maintain_order="left")
    by = (*_OF, "made_after", "made", "after", "measure")
    return _shown(means(rows, "kept", by, within=SHARE))


def _half_lives(holding: pl.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the half-life of the edits of each method, which its trials pool."""
    for key, part in holding.drop_nulls("holds").group_by(_OF, maintain_order=True):
        held = part.select(
            pl.struct("trial", "place").rank("dense").alias("place"),
            "after",
            pl.col("holds").alias("exact_match"),
        )
        again = seen_again(held)
        found = _half_life(held, cluster_of(part), again["place"].n_unique())
        yield {
            **dict(zip(_OF, key, strict=True)),
            "half_life": found.value, "low": found.low, "high": found.high,
            "looked": again["since"].max(), "rows": found.rows, "clusters": found.clusters,
            "note": found.note,
        }  # fmt: skip


def _half_life(held: pl.DataFrame, cluster: NDArray[np.int64], rows: int) -> Estimate:
    def fit(kept: NDArray[np.bool_]) -> list[float]:
        found = half_life(held.filter(pl.Series(kept)))
        return [math.nan if found is None else math.log(found)]

    # On the logarithm, in which it is interpolated; 1 is the scale of a factor.
    [found] = jackknife(fit, cluster, rows=rows, scale=1.0)
    ends = (found.low, found.high) if found.clusters >= FEWEST else (None, None)
    value, low, high = (None if end is None else math.exp(end) for end in (found.value, *ends))
    return Estimate(value, low, high, clusters=found.clusters, rows=rows, note=found.note)


def _shown(table: pl.DataFrame) -> pl.DataFrame:
    """Return means without intervals of fewer than `FEWEST` clusters, as boards show them."""
    enough = pl.col("clusters") >= FEWEST
    return table.with_columns(pl.when(enough).then(end).alias(end) for end in ("low", "high"))


def _in_order(table: pl.DataFrame, suites: pl.DataFrame) -> pl.DataFrame:
    """Return rows by kind of world and plan, with methods in the order of the study."""
    labels = pl.Enum(suites["label"].unique(maintain_order=True))
    further = [name for name in ("after", "made") if name in table.columns]
    keys = ["grammar", "edits", pl.col("label").cast(labels), *further]
    return table.sort(keys, nulls_last=False, maintain_order=True)
