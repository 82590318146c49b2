"""Slopes per doubling of exposures: of ED50, outcomes and damage. For doses see `time_ratio`.

Except for ED50, every trained model has its own intercept, so that slopes compare facts of one
model with each other: differences between worlds, initialisations, sizes and rotations in how
easily anything is edited do not affect them. Facts without exposures have no logarithm and are
excluded.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.evaluate.clusters import numbered_rows
from behemoth.evaluate.dose import ed50
from behemoth.support.text import listed_text

from .binomial import binomial
from .dose import dosed
from .estimate import Estimate, cluster_keys, cluster_of, jackknife

__all__ = ["FEW", "demeaned", "doubled", "levels", "linear_slope", "log_dose_slope", "model_of",
           "of_levels", "outcome_slope"]  # fmt: skip

FEW = "fewer than two levels of exposures"
_FLOOR = 0.5  # steps; used for an ED50 of 0


def doubled(frame: pl.DataFrame, exposures: str = "exposures") -> pl.DataFrame:
    """Add ``doublings``, log2 of the exposures; rows of facts without exposures are dropped."""
    return frame.filter(pl.col(exposures) > 0).with_columns(
        pl.col(exposures).cast(pl.Float64).log(2).alias("doublings")
    )


def model_of(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Return the number of each row's trained model: int64 [rows], from 0."""
    return numbered_rows(frame, ["model"])


def demeaned(values: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the values minus the mean of their group, which are numbers from 0: float64 [n]."""
    size = np.maximum(np.bincount(group), 1)
    return values - (np.bincount(group, values) / size)[group]


def levels(frame: pl.DataFrame) -> int:
    """Return the number of levels of exposures in rows of `doubled`."""
    return frame["doublings"].n_unique() if frame.height else 0


def of_levels(found: Estimate, rows: pl.DataFrame) -> Estimate:
    """Return the slope of some rows; if they have one level, its note says so."""
    return replace(found, note=FEW) if rows.height and levels(rows) < 2 else found


def log_dose_slope(edits: pl.DataFrame) -> Estimate:
    """Return the doublings of ED50 per doubling of exposures: its elasticity.

    Least squares of log2 ED50 on log2 exposures over the levels. There is no estimate if ED50 is
    censored at a level that the slope depends on; the note then gives the bound, if there is one.
    An ED50 of 0 has no logarithm and counts as half a step, which the note states.
    """
    rows = doubled(dosed(edits))
    whole = _medians(rows)

    def fit(chosen: NDArray[np.bool_]) -> list[float]:
        table = _medians(rows.filter(pl.Series(chosen)))
        return [np.nan if _deciding(table).any() else _elasticity(table)]

    found = jackknife(fit, cluster_of(rows), scale=1.0)[0]  # doublings
    if whole.height < 2:
        return of_levels(found, rows)
    if found.value is None:
        found = replace(found, note=_bound(whole))
    none = whole.filter(pl.col("ed50") == 0)
    if none.is_empty():
        return found
    return found.adding(f"ED50 of 0 at {_exposures(none)} counts as half a step")


def _medians(rows: pl.DataFrame) -> pl.DataFrame:
    """Return ED50 by level of exposures: exposures, doublings and the columns of `ed50`."""
    return ed50(rows.drop("world", "seed"), by=("exposures", "doublings"))


def _elasticity(table: pl.DataFrame) -> float:
    """Return the slope of rows of `_medians`, with censored levels at the last possible dose."""
    if table.height < 2:
        return np.nan
    dose = np.maximum(table["ed50"].fill_null(table["beyond"]).to_numpy(), _FLOOR)
    return float(np.polyfit(table["doublings"].to_numpy(), np.log2(dose), 1)[0])


def _deciding(table: pl.DataFrame) -> NDArray[np.float64]:
    """Return the weight in the slope of each censored level that has one: float64 [levels]."""
    weight = (table["doublings"] - table["doublings"].mean()).to_numpy()
    return np.where(table["censored"].to_numpy() & (np.abs(weight) > 1e-9), weight, 0.0)


def _bound(table: pl.DataFrame) -> str:
    """Return at which levels ED50 is censored, and what it says of the factor on ED50."""
    if table["censored"].all():
        return "ED50 is censored at every level"
    weight = _deciding(table)
    said = f"ED50 is censored at {_exposures(table.filter(pl.Series(weight != 0)))}"
    if (weight > 0).any() and (weight < 0).any():
        return said
    side = "least" if (weight > 0).any() else "most"
    return f"{said}: the factor is at {side} {2 ** _elasticity(table):.3g}"


def _exposures(table: pl.DataFrame) -> str:
    many = [f"{level:,}" for level in table["exposures"]]
    return f"{listed_text(many)} exposure{'' if many == ['1'] else 's'}"


def varying(values: NDArray[np.float64], model: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows belong to models whose values vary: bool [n]."""
    count = int(model.max(initial=-1)) + 1
    most, least = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(most, model, values)
    np.minimum.at(least, model, values)
    return np.greater(most, least)[model]


def outcome_slope(frame: pl.DataFrame, outcome: str) -> Estimate:
    """Return the log odds ratio of a binary outcome per doubling of exposures.

    This is a logistic regression with an intercept for each model.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per edit; shares between 0 and 1 (over several wordings) count as fractions.
    outcome : str
        Column, 0 to 1.
    """
    rows = doubled(frame).drop_nulls(outcome)
    if not rows.height:
        return Estimate(None, note="no rows")
    keys = [*cluster_keys(rows), "model"]
    table = rows.group_by(*keys, "doublings", maintain_order=True).agg(
        pl.col(outcome).cast(pl.Float64).sum().alias("events"),
        pl.len().cast(pl.Float64).alias("risk"),
    ).sort(*keys, "doublings")  # fmt: skip
    total, most = float(table["events"].sum()), float(table["risk"].sum())
    # Models with a single outcome carry no information on a slope, so they are no clusters either.
    won, of = (pl.col(name).sum().over("model") for name in ("events", "risk"))
    # Nor do models whose edits all have the same exposures.
    telling = table.filter(
        (won > 0) & (won < of) & (pl.col("doublings").n_unique().over("model") > 1)
    )
    table = telling if telling.height else table
    events, risk = table["events"].to_numpy(), table["risk"].to_numpy()
    columns = table.select("doublings").to_numpy()
    group = model_of(table)

    def fit(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return binomial(events[chosen], risk[chosen], columns[chosen], group[chosen])

    found = jackknife(fit, cluster_of(table), rows=int(risk.sum()))[0]
    if total in (0.0, most) and levels(rows) > 1:
        return replace(found, note="every edit has the same outcome")
    return of_levels(found, rows)


def linear_slope(frame: pl.DataFrame, outcome: str, *, exposures: str = "exposures") -> Estimate:
    """Return the change of a number per doubling of exposures, by least squares within models."""
    rows = doubled(frame, exposures).drop_nulls(outcome)
    rows = rows.filter(pl.col(outcome).cast(pl.Float64).is_finite())
    if not rows.height:
        return Estimate(None, note="no rows")
    # A model whose edits all have the same exposures carries no information, and is no cluster.
    told = varying(rows["doublings"].cast(pl.Float64).to_numpy(), model_of(rows))
    rows = rows.filter(pl.Series(told)) if told.any() else rows
    x, y = rows["doublings"].to_numpy(), rows[outcome].cast(pl.Float64).to_numpy()
    model = model_of(rows)

    def fit(chosen: NDArray[np.bool_]) -> list[float]:
        apart = demeaned(x[chosen], model[chosen])
        spread = apart @ apart
        if not spread > 1e-12:
            return [np.nan]
        return [float(apart @ demeaned(y[chosen], model[chosen]) / spread)]

    found = jackknife(fit, cluster_of(rows), scale=float(np.abs(y).mean()))[0]
    return of_levels(found, rows)
