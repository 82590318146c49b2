"""All contrasts: the primary ones and their family, which are tested, and descriptive ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from behemoth.support.progress import Advance, silent

from .dose import FILTERS, dosed, filtered
from .estimate import Estimate, cluster_keys
from .family import GATES, REST, gatekept
from .slope import linear_slope, log_dose_slope, outcome_slope
from .time_ratio import (
    already_slope,
    curvature,
    direct_ratio,
    held_out_ratio,
    load_interaction,
    time_ratio,
    whole_ratio,
    within_fact_ratio,
)

__all__ = ["CONTRASTS", "MEASURES", "contrasts", "primary_contrast"]

MEASURES: dict[str, tuple[str, str]] = {
    "dose": ("ratio", "time ratio: factor on the dose per doubling of exposures"),
    "dose_curvature": ("ratio", "factor on the time ratio with each further doubling"),
    "dose_within_fact": ("ratio", "time ratio between twins of the same fact"),
    "dose_margin": ("ratio", "time ratio with the margin before the edit held fixed"),
    "dose_load": ("ratio", "factor on the time ratio per doubling of the load"),
    "dose_recency": ("ratio", "time ratio with the recency of the last exposure held fixed"),
    "dose_held_out": ("ratio", "time ratio of the dose of held-out wordings"),
    "dose_weibull": ("ratio", "time ratio with Weibull doses instead of log-normal ones"),
    "dose_whole": ("ratio", "time ratio over all edits, with dose 0 as at most one step"),
    "dose_whole_weibull": ("ratio", "the same with Weibull doses"),
    "already": ("ratio", "odds ratio of dose 0 (no step needed), per doubling"),
    "ed50": ("power", "factor on ED50 per doubling of exposures"),
    "efficacy": ("ratio", "odds ratio of efficacy (p(new) > p(old), or forgotten), per doubling"),
    "success": ("ratio", "odds ratio of success in free generation, per doubling"),
    "kl": ("plain", "KL on bystanders, nats, per doubling of the edited fact's exposures"),
    "lost": (
        "plain",
        "share of known bystanders lost, per doubling of the edited fact's exposures",
    ),
    "kl_bystander": ("plain", "KL on bystanders, nats, per doubling of their own exposures"),
    "lost_bystander": (
        "plain",
        "share of known bystanders lost, per doubling of their own exposures",
    ),
}
"""Scale and meaning of each contrast. ratio: exp of the estimate; power: 2 to the estimate; plain:
the difference per doubling."""

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
    "p_family": pl.Float64,
    "clusters": pl.UInt32,
    "rows": pl.UInt32,
    "log_likelihood": pl.Float64,
    "note": pl.String,
}
"""Columns of the frame returned by `contrasts`."""
_PRIMARY = {"ed50": "dose"}
_ORDER = ("primary", "family", "descriptive")


def primary_contrast(measure: str) -> str:
    """Return the name of the contrast that tests a study's primary measure."""
    return _PRIMARY.get(measure, measure)


def contrasts(
    edits: pl.DataFrame,
    damage: pl.DataFrame,
    of_edits: pl.DataFrame,
    models: pl.DataFrame,
    primary: Mapping[str, str] | None = None,
    *,
    step: Advance = silent,
) -> pl.DataFrame:
    """Estimate every contrast of every method.

    Parameters
    ----------
    edits : polars.DataFrame
        The `edits` frame of the study.
    damage, of_edits : polars.DataFrame
        Frames returned by `damage` and `damage_of_edits`.
    models : polars.DataFrame
        The `models` frame of the study, for their load; see `load_interaction`.
    primary : mapping, optional
        ``measure`` (ed50, efficacy or success) and ``method`` (a label), as specified by the study.
        ed50 is tested by the time ratio of the dose.
    step : callable, optional
        Called with (methods done, methods).

    Returns
    -------
    polars.DataFrame
        Columns as in `CONTRASTS`, in the order of the roles: ``primary`` (over all facts, and over
        those known before), ``family`` (tested after them, see `family`) and ``descriptive``.
        estimate, low, high: logarithms if scale is ratio (natural) or power (base 2); p: two-sided,
        p_family: adjusted for the complete family; both null for descriptive contrasts;
        log_likelihood: of models of the dose, null for others. Those of dose and dose_weibull are
        of the same edits, so the greater one belongs to the distribution that fits better.
    """
    rows: list[dict[str, Any]] = []
    labels = edits["label"].unique(maintain_order=True).to_list()
    for done, label in enumerate(labels):
        mine = pl.col("label") == label
        for name in FILTERS:
            some = {
                **_of_dose(filtered(edits.filter(mine), name), models),
                **_of_damage(
                    filtered(damage.filter(mine), name), filtered(of_edits.filter(mine), name)
                ),
            }
            if primary is not None and primary["method"] == label:
                # A gate that cannot be estimated stays closed; it is not omitted.
                stated = primary_contrast(primary["measure"])
                some.setdefault(stated, Estimate(None, note="no edits"))
            for contrast, estimate in some.items():
                rows.append(
                    _row(label, name, contrast, estimate, _role(primary, label, name, contrast))
                )
        step(done + 1, len(labels))
    order = {name: place for place, name in enumerate(_ORDER)}
    place = {name: number for number, name in enumerate(REST)}
    rows.sort(
        key=lambda row: (
            order[row["role"]],
            place.get(row["contrast"], 0) if row["role"] == "family" else 0,
        )
    )
    tested = [row for row in rows if row["role"] != "descriptive"]
    gates = [row["p"] for row in tested if row["role"] == "primary"]
    rest = [row["p"] for row in tested if row["role"] == "family"]
    for row, p in zip(tested, gatekept(gates, rest), strict=True):
        row["p_family"] = p
    return pl.DataFrame(rows, schema=CONTRASTS)


def _role(primary: Mapping[str, str] | None, label: str, filter_: str, contrast: str) -> str:
    if primary is None or label != primary["method"]:
        return "descriptive"
    stated = primary_contrast(primary["measure"])
    if contrast == stated and filter_ in GATES:
        return "primary"
    return "family" if stated == "dose" and filter_ == "all" and contrast in REST else "descriptive"


def _of_dose(edits: pl.DataFrame, models: pl.DataFrame) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    rows = dosed(edits)
    if rows.height:
        found["dose"] = time_ratio(edits)
        found["dose_curvature"] = curvature(edits)
        found["dose_margin"] = direct_ratio(edits)
        if rows["recency"].drop_nulls().n_unique() > 1:
            found["dose_recency"] = time_ratio(edits, ["recency"])
        found["dose_weibull"] = time_ratio(edits, distribution="weibull")
        some = {
            "dose_within_fact": within_fact_ratio(edits),
            "dose_held_out": held_out_ratio(edits),
            "dose_load": load_interaction(edits, models),
            "dose_whole": whole_ratio(edits),
            "dose_whole_weibull": whole_ratio(edits, distribution="weibull"),
        }
        found |= {name: each for name, each in some.items() if each is not None}
        found["already"] = already_slope(edits)
        found["ed50"] = log_dose_slope(edits)
    for outcome in ("efficacy", "success"):
        if edits[outcome].drop_nulls().len():
            found[outcome] = outcome_slope(edits, outcome)
    return found


def _of_damage(damage: pl.DataFrame, of_edits: pl.DataFrame) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    # One value per edit and level of the bystanders, as edits are the units.
    levels = damage.group_by(
        "trial", "edit", "model", *cluster_keys(damage), "exposures", maintain_order=True
    ).agg(pl.col("kl", "lost").mean())
    for measure in ("kl", "lost"):
        if of_edits[measure].drop_nulls().len():
            found[measure] = linear_slope(of_edits, measure, exposures="edit_exposures")
        there = levels.drop_nulls(measure)
        if there.height:
            edits = there.select("trial", "edit").n_unique()
            found[f"{measure}_bystander"] = replace(linear_slope(levels, measure), rows=edits)
    return found


def _row(label: str, filter_: str, contrast: str, estimate: Estimate, role: str) -> dict[str, Any]:
    return {
        "label": label,
        "filter": filter_,
        "contrast": contrast,
        "role": role,
        "scale": MEASURES[contrast][0],
        "estimate": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "p": None if role == "descriptive" else estimate.p,
        "p_family": None,
        "clusters": estimate.clusters,
        "rows": estimate.rows,
        "log_likelihood": estimate.log_likelihood,
        "note": estimate.note,
    }
