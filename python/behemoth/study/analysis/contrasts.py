"""All slopes that are tested: the one stated beforehand, and the others with Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from statsmodels.stats.multitest import multipletests

from behemoth.support.progress import Step, silent

from .dose import FILTERS, dosed, filtered
from .estimate import Estimate
from .mediation import Mediation
from .slope import hazard_slope, linear_slope, log_dose_slope, outcome_slope, within_fact_slope

__all__ = ["CONTRASTS", "MEASURES", "contrasts"]

MEASURES: dict[str, tuple[str, str]] = {
    "dose": ("ratio", "chance of flipping at a step, per doubling of exposures (hazard ratio)"),
    "dose_recency": ("ratio", "the same, with the distance to the last exposure held fixed"),
    "dose_margin": ("ratio", "the same, among facts of one bin of margin before the edit"),
    "dose_within_fact": ("ratio", "the same, between twins of one fact at several exposures"),
    "ed50": ("power", "factor on ED50 for each doubling of exposures"),
    "efficacy": ("ratio", "odds that p(new) > p(old) at the end, or that it is forgotten"),
    "success": ("ratio", "odds that free generation says what it should"),
    "kl": ("plain", "nats of KL on bystanders, per doubling of the edited fact's exposures"),
    "lost": ("plain", "share of known bystanders lost, per doubling of the same"),
    "kl_bystander": ("plain", "nats of KL, per doubling of the bystander's own exposures"),
    "lost_bystander": ("plain", "share of known bystanders lost, per doubling of their own"),
}
"""Scale and meaning of each contrast. ratio: exp of the estimate; power: 2 to the estimate."""

CONTRASTS: dict[str, Any] = {
    "label": pl.String,
    "filter": pl.String,
    "contrast": pl.String,
    "role": pl.String,
    "scale": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "clusters": pl.UInt32,
    "rows": pl.UInt32,
    "note": pl.String,
}
"""Columns of what `contrasts` gives."""
_PRIMARY = {"ed50": "dose"}


def contrasts(
    edits: pl.DataFrame,
    damage: pl.DataFrame,
    of_edits: pl.DataFrame,
    mediations: Mapping[tuple[str, str], Mediation],
    primary: Mapping[str, str] | None = None,
    *,
    step: Step = silent,
) -> pl.DataFrame:
    """Estimate every contrast of every method.

    Parameters
    ----------
    edits : polars.DataFrame
        The study's frame of edits.
    damage, of_edits : polars.DataFrame
        What `damage` and `damage_of_edits` give.
    mediations : mapping
        What `mediation` gives, by label and filter, where it gives something.
    primary : mapping, optional
        ``measure`` (ed50, efficacy or success) and ``method`` (a label), as the study states it.
        ed50 is tested by the hazard ratio of the dose, over all facts.
    step : callable, optional
        Called with (methods done, methods).

    Returns
    -------
    polars.DataFrame
        Columns as in `CONTRASTS`, the primary one first. estimate, low, high: logarithms where
        scale is ratio (natural) or power (base 2); p: two-sided; p_holm: Holm's (1979), over
        all secondary contrasts that have a p, null for the primary one.
    """
    measure = None if primary is None else _PRIMARY.get(primary["measure"], primary["measure"])
    rows: list[dict[str, Any]] = []
    labels = edits["label"].unique(maintain_order=True).to_list()
    for done, label in enumerate(labels):
        mine = pl.col("label") == label
        for name in FILTERS:
            some = {
                **_of_dose(filtered(edits.filter(mine), name), mediations.get((label, name))),
                **_of_damage(
                    filtered(damage.filter(mine), name), filtered(of_edits.filter(mine), name)
                ),
            }
            for contrast, estimate in some.items():
                stated = primary is not None and (label, contrast, name) == (
                    primary["method"],
                    measure,
                    "all",
                )
                rows.append(_row(label, name, contrast, estimate, stated))
        step(done + 1, len(labels))
    table = pl.DataFrame(rows, schema=CONTRASTS)
    tested = (pl.col("role") == "secondary") & pl.col("p").is_not_null()
    p = table.filter(tested)["p"].to_numpy()
    if len(p):
        corrected = np.asarray(multipletests(p, method="holm")[1], np.float64)
        places = table.with_row_index().filter(tested)["index"]
        table = table.with_columns(
            pl.Series("p_holm", [None] * table.height, dtype=pl.Float64).scatter(
                places, corrected.tolist()
            )
        )
    return table.sort(pl.col("role") != "primary", maintain_order=True)


def _of_dose(edits: pl.DataFrame, parts: Mediation | None) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    if dosed(edits).height:
        found["dose"] = hazard_slope(edits)
        found["ed50"] = log_dose_slope(edits)
        if dosed(edits)["recency"].drop_nulls().n_unique() > 1:
            found["dose_recency"] = hazard_slope(_coarse(edits), ["recency"])
        if parts is not None:
            found["dose_margin"] = parts.within
        twins = within_fact_slope(edits)
        if twins.rows:
            found["dose_within_fact"] = twins
    for outcome in ("efficacy", "success"):
        if edits[outcome].drop_nulls().len():
            found[outcome] = outcome_slope(edits, outcome)
    return found


def _coarse(edits: pl.DataFrame) -> pl.DataFrame:
    """Recency in fiftieths of the corpus, so that equal edits can be counted."""
    return edits.with_columns((pl.col("recency") * 50).round() / 50)


def _of_damage(damage: pl.DataFrame, of_edits: pl.DataFrame) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    # One number for each edit and level of the bystanders: it is the edits that vary.
    levels = damage.group_by("trial", "edit", "model", "world", "seed", "exposures").agg(
        pl.col("kl", "lost").mean()
    )
    for measure in ("kl", "lost"):
        if of_edits[measure].drop_nulls().len():
            found[measure] = linear_slope(of_edits, measure, exposures="edit_exposures")
        if levels[measure].drop_nulls().len():
            found[f"{measure}_bystander"] = linear_slope(levels, measure)
    return found


def _row(
    label: str, filter_: str, contrast: str, estimate: Estimate, primary: bool
) -> dict[str, Any]:
    return {
        "label": label,
        "filter": filter_,
        "contrast": contrast,
        "role": "primary" if primary else "secondary",
        "scale": MEASURES[contrast][0],
        "estimate": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "p": estimate.p,
        "p_holm": None,
        "clusters": estimate.clusters,
        "rows": estimate.rows,
        "note": estimate.note,
    }
