"""Slopes per doubling of exposures: of the dose, of success, and within one and the same fact.

Every trained model has an intercept of its own, so that slopes compare facts of one model with
each other: worlds, initialisations, sizes and rotations that differ in how easily anything is
edited do not move them. Facts that were never written (exposures 0) have no logarithm and stay
out of slopes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import statsmodels.api as sm
from numpy.typing import NDArray

from behemoth.evaluate.aggregate import CLUSTERS
from behemoth.evaluate.dose import ed50

from .dose import dosed
from .estimate import Estimate, cluster_of, jackknife
from .hazard import binomial, person_periods

__all__ = [
    "doubled",
    "hazard_fits",
    "hazard_slope",
    "linear_slope",
    "log_dose_slope",
    "outcome_slope",
    "within_fact_slope",
]

FEW = "fewer than two levels of exposures"
_STEEPEST = 30.0  # a log hazard ratio beyond it is separation and not an estimate
_FLOOR = 0.5  # steps; that an edit needed none is put at half of one


def doubled(frame: pl.DataFrame, exposures: str = "exposures") -> pl.DataFrame:
    """Add ``doublings``, log2 of the exposures; rows of facts never written are left out."""
    return frame.filter(pl.col(exposures) > 0).with_columns(
        pl.col(exposures).cast(pl.Float64).log(2).alias("doublings")
    )


def _model(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Number the trained models: int64 [rows]."""
    name = "model" if "model" in frame.columns else pl.struct(CLUSTERS)
    return frame.select(pl.struct(name).rank("dense")).to_series().to_numpy().astype(np.int64)


def _levels(frame: pl.DataFrame) -> int:
    return frame["doublings"].n_unique() if frame.height else 0


def hazard_fits(
    edits: pl.DataFrame, covariates: Sequence[str], *, strata: Sequence[str] = ()
) -> list[Estimate]:
    """Coefficients of a grouped proportional hazards model of the dose.

    Parameters
    ----------
    edits : polars.DataFrame
        Rows of `doubled` edits.
    covariates : sequence of str
        Columns; log hazard ratios are per unit of theirs.
    strata : sequence of str
        Columns whose values have intercepts of their own, beside those of models and steps.

    Returns
    -------
    list of Estimate
        One for each covariate: log hazard ratio; below 0 it takes a higher dose.
    """
    kept = dosed(edits).drop_nulls(list(covariates))
    extra = ["model"] if "model" in kept.columns else []
    table = person_periods(kept, covariates, [*extra, *strata])
    cluster = cluster_of(table)
    events, risk = table["events"].to_numpy(), table["risk"].to_numpy()
    columns = table.select(pl.col(list(covariates)).cast(pl.Float64)).to_numpy()
    groups = [
        table["interval"].to_numpy().astype(np.int64),
        _model(table) if table.height else np.zeros(0, np.int64),
        *(
            table.select(pl.col(name).rank("dense")).to_series().to_numpy().astype(np.int64)
            for name in strata
        ),
    ]

    def fit(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return binomial(events[rows], risk[rows], columns[rows], [each[rows] for each in groups])

    return jackknife(fit, cluster, rows=kept.height)


def hazard_slope(edits: pl.DataFrame, adjust: Sequence[str] = ()) -> Estimate:
    """Log hazard ratio of reaching the new object, per doubling of exposures.

    Parameters
    ----------
    edits : polars.DataFrame
        The study's frame of edits, of one method.
    adjust : sequence of str
        Covariates that are held fixed, such as ``recency`` or ``margin``.

    Returns
    -------
    Estimate
        Below 0 more exposures need a higher dose.
    """
    rows = doubled(edits)
    found = hazard_fits(rows, ["doublings", *adjust])[0]
    return found.saying(FEW) if _levels(dosed(rows)) < 2 else found


def log_dose_slope(edits: pl.DataFrame) -> Estimate:
    """How many times ED50 doubles for one doubling of exposures: its elasticity.

    Least squares of log2 ED50 on log2 exposures over the levels; a censored level counts with
    the last dose looked at, which leads towards no effect.
    """
    rows = doubled(dosed(edits))
    cluster = cluster_of(rows)

    def fit(chosen: NDArray[np.bool_]) -> list[float]:
        part = rows.filter(pl.Series(chosen)).drop(CLUSTERS)
        if _levels(part) < 2:
            return [np.nan]
        table = ed50(part, by=("doublings",))
        dose = np.maximum(table["ed50"].fill_null(table["beyond"]).to_numpy(), _FLOOR)
        return [float(np.polyfit(table["doublings"].to_numpy(), np.log2(dose), 1)[0])]

    found = jackknife(fit, cluster)[0]
    return found.saying(FEW) if _levels(rows) < 2 else found


def outcome_slope(frame: pl.DataFrame, outcome: str, *, exposures: str = "exposures") -> Estimate:
    """Log odds ratio of a yes-or-no outcome, per doubling of exposures (logistic regression).

    Parameters
    ----------
    frame : polars.DataFrame
        One row an edit; shares between 0 and 1 (over several wordings) count as such.
    outcome : str
        Column, 0 to 1.
    exposures : str
    """
    rows = doubled(frame, exposures).drop_nulls(outcome)
    if not rows.height:
        return Estimate(None, note="no rows")
    keys: list[str] = [*CLUSTERS, *(["model"] if "model" in rows.columns else [])]
    table = rows.group_by(*keys, "doublings").agg(
        pl.col(outcome).cast(pl.Float64).sum().alias("events"),
        pl.len().cast(pl.Float64).alias("risk"),
    ).sort(*keys, "doublings")  # fmt: skip
    events, risk = table["events"].to_numpy(), table["risk"].to_numpy()
    columns = table.select("doublings").to_numpy()
    group = _model(table)

    def fit(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return binomial(
            events[chosen], risk[chosen], columns[chosen], [group[chosen]], link="logit"
        )

    found = jackknife(fit, cluster_of(table), rows=rows.height)[0]
    if _levels(rows) < 2:
        return found.saying(FEW)
    total = float(events.sum())
    if total in (0.0, float(risk.sum())):
        return found.saying("every edit has the same outcome")
    return found


def linear_slope(frame: pl.DataFrame, outcome: str, *, exposures: str = "exposures") -> Estimate:
    """Change of a number per doubling of exposures, by least squares within models."""
    rows = doubled(frame, exposures).drop_nulls(outcome)
    rows = rows.filter(pl.col(outcome).cast(pl.Float64).is_finite())
    if not rows.height:
        return Estimate(None, note="no rows")
    x, y = rows["doublings"].to_numpy(), rows[outcome].cast(pl.Float64).to_numpy()
    model = _model(rows)

    def fit(chosen: NDArray[np.bool_]) -> list[float]:
        _, place = np.unique(model[chosen], return_inverse=True)
        size = np.bincount(place)
        apart = x[chosen] - (np.bincount(place, x[chosen]) / size)[place]
        if not (apart**2).sum() > 1e-12:
            return [np.nan]
        centred = y[chosen] - (np.bincount(place, y[chosen]) / size)[place]
        return [float(sm.OLS(centred, apart[:, None]).fit().params[0])]

    found = jackknife(fit, cluster_of(rows))[0]
    return found.saying(FEW) if _levels(rows) < 2 else found


def within_fact_slope(edits: pl.DataFrame) -> Estimate:
    """Log hazard ratio per doubling of exposures between twins of one and the same fact.

    Rotated twin worlds write the same fact at other exposures. Cox's model with one stratum for
    each (world, initialisation, size, fact), so that each fact is compared with itself alone; ties
    are Efron's. Facts that stand at one level only say nothing and are left out. The jackknife
    takes one Newton step from the whole estimate for each cluster that is left out.
    """
    keys = [*CLUSTERS, *(name for name in ("size",) if name in edits.columns), "fact"]
    rows = doubled(dosed(edits))
    several = pl.col("doublings").n_unique().over(keys) > 1
    rows = rows.filter(several & pl.col("reached").any().over(keys))
    if not rows.height:
        return Estimate(None, note="no fact stands at several exposures")
    cluster = cluster_of(rows)
    facts = rows.select(pl.struct(keys)).n_unique()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        parts = [_cox(rows.filter(pl.Series(cluster == one)), keys) for one in np.unique(cluster)]
        slope = _maximum(parts)
        at = np.array([slope])
        score = np.array([float(part.score(at)[0]) for part in parts])
        bend = np.array([-float(part.hessian(at)[0, 0]) for part in parts])

    def fit(chosen: NDArray[np.bool_]) -> list[float]:
        kept = np.isin(np.arange(len(parts)), cluster[chosen])
        information = bend[kept].sum()
        step = score[kept].sum() / information if information > 0 else np.nan
        return [slope + float(step)]

    return jackknife(fit, cluster, rows=rows.height)[0].saying(f"{facts:,} facts")


def _cox(rows: pl.DataFrame, keys: Sequence[str]) -> Any:
    """Cox's model of one cluster; it wants times above 0, and only their order counts."""
    return sm.PHReg(
        rows["dose"].cast(pl.Float64).to_numpy() + 1.0,
        rows.select("doublings").to_numpy(),
        status=rows["reached"].to_numpy().astype(np.int64),
        strata=rows.select(pl.struct(keys).rank("dense")).to_series().to_numpy(),
        ties="efron",
    )


def _maximum(parts: Sequence[Any]) -> float:
    """The slope at which the scores of all clusters sum to 0, or NaN, by Newton's method."""
    slope = 0.0
    for _ in range(50):
        at = np.array([slope])
        information = -sum(float(part.hessian(at)[0, 0]) for part in parts)
        if not information > 0:
            return float("nan")
        step = sum(float(part.score(at)[0]) for part in parts) / information
        slope += step
        if abs(slope) > _STEEPEST:
            return float("nan")
        if abs(step) < 1e-9:
            return slope
    return float("nan")
