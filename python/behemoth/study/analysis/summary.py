"""A study in numbers: every table that the report shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from behemoth.support.progress import Advance, silent

from .capacity import capacity_by_exposures, capacity_by_model, recall_by_exposures
from .cases import Case, cases_of
from .collateral import damage, damage_by, damage_by_exposures, damage_of_edits
from .consequences import consequences, consequences_by
from .contrasts import contrasts
from .dose import FILTERS, broke_down, dose_table, dosed, filtered
from .estimate import means, means_of, named
from .matched import matched_table
from .mediation import Mediation, mediation
from .methods import methods_of
from .ranges import AMOUNT, SHARE
from .retention import half_lives, retention_curves

if TYPE_CHECKING:
    from behemoth.study.results import Results

__all__ = ["Summary", "summarise"]


@dataclass(frozen=True)
class Summary:
    """The tables of a study.

    Attributes
    ----------
    edits : polars.DataFrame
        The `edits` frame of the study.
    models : polars.DataFrame
        One row per trained model.
    methods : polars.DataFrame
        One row per method; see `behemoth.study.analysis.methods`.
    doses : polars.DataFrame
        ED50 by label, size and exposures, and filter; see `dose_table`.
    doses_by_label : polars.DataFrame
        The same over all sizes.
    contrasts : polars.DataFrame
        See `contrasts`.
    mediations : dict
        `Mediation` by (label, filter), if there are enough edits.
    recall, capacity, capacity_of_models : polars.DataFrame
        See `behemoth.study.analysis.capacity`.
    damage, damage_by_exposures : polars.DataFrame
        See `behemoth.study.analysis.collateral`.
    consequences : polars.DataFrame
        See `behemoth.study.analysis.consequences`.
    tradeoff : polars.DataFrame
        Columns label, exposures, success, success_low, success_high (shares), kl, kl_low, kl_high
        (nats, null if no edit with bystanders was made), lost, edits, broken (edits that broke
        down), clusters.
    at_flip : polars.DataFrame
        Columns label, exposures, measure (kl_at_flip, nats, or norm_at_flip), mean, low, high,
        rows, clusters: at the dose of edits whose dose is above 0 and reached.
    shapes : polars.DataFrame
        Columns label, exposures, measure (norm or effective_rank), mean, low, high, rows, clusters.
    retention, half_lives : polars.DataFrame
        See `behemoth.study.analysis.retention`.
    settings : polars.DataFrame
        Columns label, rank, part, retain_rows, ed50, censored, beyond, kl, lost, success, edits,
        clusters: methods that have a setting part; rank is null if it is full, retain_rows if a
        method has no such setting.
    matched : polars.DataFrame
        Ranks and parts at equal cost; see `matched_table`.
    cases : tuple of Case
        Example edits with all their probes.
    without_retention : int
        Number of trials that measure durability and whose batch of edits broke down.
    """

    edits: pl.DataFrame
    models: pl.DataFrame
    methods: pl.DataFrame
    doses: pl.DataFrame
    doses_by_label: pl.DataFrame
    contrasts: pl.DataFrame
    mediations: dict[tuple[str, str], Mediation]
    recall: pl.DataFrame
    capacity: pl.DataFrame
    capacity_of_models: pl.DataFrame
    damage: pl.DataFrame
    damage_by_exposures: pl.DataFrame
    consequences: pl.DataFrame
    tradeoff: pl.DataFrame
    at_flip: pl.DataFrame
    shapes: pl.DataFrame
    retention: pl.DataFrame
    half_lives: pl.DataFrame
    settings: pl.DataFrame
    matched: pl.DataFrame
    cases: tuple[Case, ...]
    without_retention: int

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return all frames except those of the study itself, and ``mediation``, by name."""
        own = {
            name: value
            for name, value in vars(self).items()
            if isinstance(value, pl.DataFrame) and name not in ("edits", "models")
        }
        return {**own, "mediation": self.mediation_table()}

    def mediation_table(self) -> pl.DataFrame:
        """Return one row per label, filter and part: estimate, low, high, clusters, rows, note."""
        names = ("total", "direct", "indirect", "share", "margin", "within")
        rows = [
            {"label": label, "filter": name, "part": part, "estimate": found.value,
             "low": found.low, "high": found.high, "clusters": found.clusters,
             "rows": found.rows, "note": found.note}
            for (label, name), parts in self.mediations.items()
            for part in names
            if (found := getattr(parts, part)) is not None
        ]  # fmt: skip
        schema = {"label": pl.String, "filter": pl.String, "part": pl.String,
                  "estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64,
                  "clusters": pl.UInt32, "rows": pl.UInt32, "note": pl.String}  # fmt: skip
        return pl.DataFrame(rows, schema=schema)


def summarise(
    frames: Results,
    primary: Mapping[str, str] | None = None,
    *,
    resamples: int = 1000,
    step: Advance = silent,
) -> Summary:
    """Compute all tables of a study.

    Parameters
    ----------
    frames : Results
    primary : mapping, optional
        See `contrasts`.
    resamples : int
        Number of resamples of the bootstrap of ED50.
    step : callable, optional
        Called with (methods done, methods).
    """
    edits = frames.edits.collect()
    recall, models = frames.recall.collect(), frames.models.collect()
    retention = frames.retention.collect()
    bystanders = damage(frames.probes)
    of_edits = damage_of_edits(bystanders)
    labels = edits["label"].unique(maintain_order=True).to_list()
    mediations = {
        (label, name): parts
        for label in labels
        for name in FILTERS
        if (parts := mediation(filtered(edits.filter(pl.col("label") == label), name))) is not None
    }
    by_label = dose_table(edits, by=("label", "exposures"), resamples=resamples)
    curves = retention_curves(retention)
    followed = consequences(frames.probes)
    tradeoff = _tradeoff(edits, of_edits)
    return Summary(
        edits=edits,
        models=models,
        methods=methods_of(
            edits,
            frames.probes,
            of_edits,
            frames.edit_seconds,
            frames.edit_costs,
            Counter(each.label for each in frames.failures),
        ),
        doses=dose_table(edits, resamples=resamples),
        doses_by_label=by_label,
        contrasts=contrasts(
            edits, bystanders, of_edits, _apart(models, frames), primary, step=step
        ),
        mediations=mediations,
        recall=recall_by_exposures(recall),
        capacity=capacity_by_exposures(recall),
        capacity_of_models=capacity_by_model(recall),
        damage=damage_by(bystanders),
        damage_by_exposures=damage_by_exposures(bystanders),
        consequences=consequences_by(followed),
        tradeoff=tradeoff,
        at_flip=_at_flip(edits),
        shapes=_shapes(edits),
        retention=curves,
        half_lives=half_lives(curves),
        settings=_settings(edits, of_edits),
        matched=matched_table(edits, of_edits, followed),
        cases=cases_of(frames),
        without_retention=len(frames.without_retention),
    )


def _apart(models: pl.DataFrame, frames: Results) -> pl.DataFrame:
    """Add the column ``apart``: the values of the pooled axes that models differ in, if any."""
    names = [name for name in frames.pooled if not name.startswith(("plan.", "measure."))]
    if not names:
        return models
    of_trial = frames.index.select("trial", "model").join(frames.grid, on="trial")
    of_model = of_trial.select("model", *names).collect().unique("model", maintain_order=True)
    values = of_model.select("model", pl.struct(names).struct.json_encode().alias("apart"))
    return models.join(values, on="model", how="left", maintain_order="left")


def _tradeoff(edits: pl.DataFrame, of_edits: pl.DataFrame) -> pl.DataFrame:
    by = ("label", "exposures")
    broken = edits.group_by(by, maintain_order=True).agg(
        broke_down().sum().cast(pl.UInt32).alias("broken")
    )
    success = means(edits, "success", by, within=SHARE)
    damaged = of_edits.with_columns(pl.col("edit_exposures").alias("exposures"))
    kl = means(damaged, "kl", by, within=AMOUNT)
    lost = means(damaged, "lost", by, within=SHARE)
    return (
        named(success, "success", by, pl.col("rows").alias("edits"), pl.col("clusters"))
        .join(named(kl, "kl", by), on=by, how="left")
        .join(lost.select(*by, pl.col("mean").alias("lost")), on=by, how="left")
        .join(broken, on=by, how="left", nulls_equal=True)
        .sort(by)
    )  # fmt: skip


def _shapes(edits: pl.DataFrame) -> pl.DataFrame:
    bounds = {"norm": AMOUNT, "effective_rank": AMOUNT}
    return means_of(edits, bounds, ("label", "exposures"))


def _at_flip(edits: pl.DataFrame) -> pl.DataFrame:
    flipped = dosed(edits).filter(pl.col("reached") & (pl.col("dose") > 0))
    bounds = {"kl_at_flip": AMOUNT, "norm_at_flip": AMOUNT}
    return means_of(flipped, bounds, ("label", "exposures"))


def _settings(edits: pl.DataFrame, of_edits: pl.DataFrame) -> pl.DataFrame:
    about = edits.group_by("label", "rank", "part", "retain_rows", maintain_order=True).agg(
        pl.col("success").mean()
    )
    damaged = of_edits.group_by("label", maintain_order=True).agg(
        pl.col("kl").mean(), pl.col("lost").mean()
    )
    doses = dose_table(edits, by=("label",), resamples=1)  # without intervals
    doses = doses.filter(pl.col("filter") == "all").drop("filter", "reached", "low", "high")
    return (
        about.filter(pl.col("part").is_not_null())
        .join(damaged, on="label", how="left")
        .join(doses, on="label", how="left")
        .sort("part", "rank", "label")
    )
