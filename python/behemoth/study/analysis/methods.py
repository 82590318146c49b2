"""The methods of a study compared: success, damage and cost of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from .dose import dose_table
from .estimate import cluster_keys, means, named
from .ranges import AMOUNT, SHARE

__all__ = ["METHODS", "methods_of", "operations"]

METHODS: dict[str, Any] = {
    "label": pl.String,
    "trials": pl.UInt32,
    "failed": pl.UInt32,
    "edits": pl.UInt32,
    "clusters": pl.UInt32,
    "unmeasured": pl.UInt32,
    "forgets": pl.Boolean,
    **{
        f"{measure}{end}": pl.Float64
        for measure in ("success", "held_out", "lost", "kl")
        for end in ("", "_low", "_high")
    },
    "ed50": pl.Float64,
    "censored": pl.Boolean,
    "beyond": pl.Float64,
    "norm": pl.Float64,
    "seconds": pl.Float64,
    "flops": pl.Float64,
    "memory": pl.Float64,
}
"""Columns of the frame returned by `methods_of`."""


def methods_of(
    edits: pl.DataFrame,
    probes: pl.LazyFrame,
    of_edits: pl.DataFrame,
    seconds: Mapping[str, float],
    costs: Mapping[str, tuple[float, int]],
    failed: Mapping[str, int] | None = None,
) -> pl.DataFrame:
    """Summarise each method over all levels of exposures.

    Parameters
    ----------
    edits : polars.DataFrame
        The `edits` frame of the study.
    probes : polars.LazyFrame
        The `probes` frame of the study.
    of_edits : polars.DataFrame
        Frame returned by `damage_of_edits`.
    seconds : mapping of str to float
        Seconds that the edits of each trial took, by trial id.
    costs : mapping of str to (float, int)
        Operations and bytes of one edit of each trial whose costs were counted, by trial id.
    failed : mapping of str to int, optional
        Number of failed trials, by label; they have no edits.

    Returns
    -------
    polars.DataFrame
        One row per method, in the order of the study, columns as in `METHODS`.

        - trials: number of trials that are included; failed: number of failed trials, which are
          excluded. Methods whose trials all failed come last.
        - forgets: whether success means that the old object is no longer generated.
        - success: mean share of trained wordings whose generated answer shows the edit; held_out:
          the same for held-out wordings, null if none were evaluated.
        - lost: share of the known bystanders that are no longer recalled; kl: nats over all
          bystanders.
        - unmeasured: number of edits with bystanders whose KL is NaN, which kl excludes; these
          bystanders count in lost.
        - ed50, censored, beyond: see `dose_table`, over all facts; null without doses.
        - norm: median Frobenius norm of the change.
        - seconds: per edit, made in the stacks of its trial, without evaluation.
        - flops, memory: see `operations`.
        - ..._low, ..._high: 95 % intervals by the cluster jackknife, null for one cluster.
    """
    labels = edits["label"].unique(maintain_order=True)
    table = edits.group_by("label", maintain_order=True).agg(
        pl.col("trial").n_unique().cast(pl.UInt32).alias("trials"),
        pl.len().cast(pl.UInt32).alias("edits"),
        pl.struct(cluster_keys(edits)).n_unique().cast(pl.UInt32).alias("clusters"),
        (pl.col("dose_kind") == "forget").any().alias("forgets"),
        pl.col("norm").median(),
    )
    unmeasured = (
        of_edits.filter(pl.col("unmeasured") > 0)
        .group_by("label", maintain_order=True)
        .agg(pl.len().alias("unmeasured"))
    )
    doses = dose_table(edits, by=("label",), resamples=1).filter(pl.col("filter") == "all")
    trials = edits.group_by("trial", "label", maintain_order=True).agg(pl.len().alias("edits"))
    table = (
        _with_means(table, edits, probes, of_edits)
        .join(doses.select("label", "ed50", "censored", "beyond"), on="label", how="left")
        .join(_seconds(trials, seconds), on="label", how="left")
        .join(unmeasured, on="label", how="left")
        .join(operations(trials, costs), on="label", how="left")
    )
    lost = failed or {}
    order = [*labels, *(label for label in lost if label not in set(labels))]
    return (
        pl.DataFrame(
            {"label": order, "failed": [lost.get(label, 0) for label in order]},
            schema={name: METHODS[name] for name in ("label", "failed")},
        )
        .join(table, on="label", how="left", maintain_order="left")
        .with_columns(pl.col("trials", "edits", "clusters", "unmeasured").fill_null(0))
        .select(pl.col(name).cast(dtype) for name, dtype in METHODS.items())
    )


def _with_means(
    table: pl.DataFrame, edits: pl.DataFrame, probes: pl.LazyFrame, of_edits: pl.DataFrame
) -> pl.DataFrame:
    """Add what is a mean over edits or their probes, with its interval, to a table of methods."""
    by, units = ("label",), ("trial", "edit")
    measured = {
        "success": means(edits, "success", by, within=SHARE),
        "held_out": means(_held_out(edits, probes), "held_out", by, units=units, within=SHARE),
        "lost": means(of_edits, "lost", by, within=SHARE),
        "kl": means(of_edits, "kl", by, within=AMOUNT),
    }
    for name, found in measured.items():
        table = table.join(named(found, name, by), on="label", how="left")
    return table


def _seconds(trials: pl.DataFrame, seconds: Mapping[str, float]) -> pl.DataFrame:
    """Return the seconds of an edit of each method, from trials whose time was measured."""
    spent = trials.with_columns(
        pl.col("trial").replace_strict(dict(seconds), default=None, return_dtype=pl.Float64)
        .alias("spent")
    )  # fmt: skip
    return spent.drop_nulls("spent").group_by("label", maintain_order=True).agg(
        (pl.col("spent").sum() / pl.col("edits").sum()).alias("seconds")
    )  # fmt: skip


def operations(trials: pl.DataFrame, costs: Mapping[str, tuple[float, int]]) -> pl.DataFrame:
    """Return operations and memory of the edits of each method.

    Parameters
    ----------
    trials : polars.DataFrame
        Columns trial, label and edits (of the trial).
    costs : mapping of str to (float, int)
        See `methods_of`.

    Returns
    -------
    polars.DataFrame
        Columns label, flops (operations of one edit, the mean over edits) and memory (bytes that
        making an edit, or a batch, needs beside the model, the maximum over trials), for methods
        with counted costs.
    """
    schema = {"trial": pl.String, "flops": pl.Float64, "memory": pl.Float64}
    rows = [(trial, flops, float(memory)) for trial, (flops, memory) in costs.items()]
    counted = trials.join(pl.DataFrame(rows, schema, orient="row"), on="trial")
    return counted.group_by("label", maintain_order=True).agg(
        (pl.col("flops") * pl.col("edits")).sum() / pl.col("edits").sum(), pl.col("memory").max()
    )


def _held_out(edits: pl.DataFrame, probes: pl.LazyFrame) -> pl.DataFrame:
    """Add whether each held-out wording of an edited fact shows the edit: held_out, 0 or 1."""
    keys = cluster_keys(edits)
    goals = edits.group_by("trial", *keys, maintain_order=True).agg(
        (pl.col("dose_kind") == "forget").any().alias("forgets")
    )
    asked = (
        probes.filter((pl.col("stage") == "after") & (pl.col("group") == "edited_held_out"))
        .select("label", "trial", "edit", "exact_match", "old_match", "failure")
        .collect()
    )
    # For an edit that broke down, the unedited model was evaluated.
    made = pl.col("failure").is_null()
    shown = made & pl.when("forgets").then(~pl.col("old_match")).otherwise(pl.col("exact_match"))
    return asked.join(goals, on="trial", how="left").with_columns(
        shown.cast(pl.Float64).alias("held_out")
    )
