"""Time ratios: by what one doubling of exposures multiplies the dose of an edit.

One model of the dose, `aft`: its logarithm is linear in log2 exposures and in the log2 of the
exposures of all facts of the subject, with an intercept for each trained model. The intercepts are
fixed and not drawn from a distribution: worlds, initialisations, sizes and rotations that differ in
how easily anything is edited then cannot move a slope, and three to fifteen models do not say of
what distribution they are. That slopes differ among models is no part of the likelihood, it is what
the cluster jackknife over (world seed, initialisation) sees.

The margin before the edit is not in the headline's model: exposures raise it, so to hold it fixed
takes away a part of what is asked for. It is in `direct_ratio`. A coefficient of the logarithm of
time keeps its scale when a covariate joins it, as one of a logistic or a hazard model does not, so
slopes with and without the margin can be subtracted.

Edits that needed no step (dose 0: the model said the new object before) have no logarithm.
`time_ratio` leaves them out, so its edits are selected by something that exposures change;
`already_slope` is about them, and `whole_ratio` keeps them as doses of at most one step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .aft import Distribution, Fit, fit
from .dose import already, timed, within_one_step
from .estimate import Estimate, cluster_keys, cluster_of, jackknife
from .slope import FEW, doubled, levels, model_of, outcome_slope, varying

__all__ = [
    "already_slope",
    "curvature",
    "direct_ratio",
    "dose_fits",
    "held_out_ratio",
    "load_interaction",
    "prepared",
    "telling",
    "time_ratio",
    "told",
    "whole_ratio",
    "within_fact_ratio",
    "within_models",
]

_APART = 0.01  # share of the subject's total that exposures must leave open for both to be told
_SEVERAL = 1.2  # largest load over smallest, from which on there are several loads


def prepared(edits: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Edits with a dose above 0 that are ready for `dose_fits`, and what is to be held fixed.

    Returns
    -------
    (polars.DataFrame, list of str)
        The rows with low, high (steps), doublings (log2 exposures, centred over all rows) and
        subject_doublings (log2 of the subject's exposures, the same); and ``subject_doublings``
        where it varies within models and is not the fact's exposures in another form.
    """
    rows = doubled(timed(edits))
    if not rows.height or "subject_exposures" not in rows.columns:
        return _centred(rows, "doublings"), []
    rows = rows.with_columns(
        pl.col("subject_exposures").cast(pl.Float64).log(2).alias("subject_doublings")
    )
    rows = _centred(_centred(rows, "doublings"), "subject_doublings")
    if rows["subject_doublings"].null_count():
        return rows, []
    model = model_of(rows)
    x, total = (_apart(rows[name].to_numpy(), model) for name in ("doublings", "subject_doublings"))
    square = float(total @ total)
    along = float(x @ x)
    open_ = square - (float(x @ total) ** 2 / along if along > 1e-9 else 0.0)
    return rows, ["subject_doublings"] if square > 1e-9 and open_ > _APART * square else []


def _centred(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.with_columns(pl.col(name) - pl.col(name).mean())


def _apart(values: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values less the mean of their group."""
    size = np.maximum(np.bincount(group), 1)
    return values - (np.bincount(group, values) / size)[group]


def telling(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    column: NDArray[np.float64],
    model: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which edits are of models that say something of a slope: bool [n].

    Models none of whose edits were reached, or all of them at the first look, say nothing: their
    intercepts are infinite. Nor do those in which the column that the slope is of does not
    vary, since the intercept takes everything. Neither count as clusters: one that moves
    nothing when it is left out would make an interval narrower.
    """
    count = int(model.max(initial=-1)) + 1
    above = np.bincount(model[np.isfinite(high)], minlength=count)
    below = np.bincount(model[low > 0], minlength=count)
    return ((above > 0) & (below > 0))[model] & varying(column, model)


def within_models(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    columns: NDArray[np.float64],
    model: NDArray[np.int64],
    *,
    distribution: Distribution = "lognormal",
    start: tuple[Fit, NDArray[np.int64]] | None = None,
) -> tuple[Fit, NDArray[np.int64]]:
    """Fit with an intercept for each model, after the columns; give the models that have one.

    Models that say nothing (`telling`) are left out.
    """
    kept = telling(low, high, columns[:, 0], model)
    names = np.unique(model[kept])
    dummies = (model[kept, None] == names).astype(np.float64)
    design = np.concatenate([columns[kept], dummies], axis=1)
    near = None
    if start is not None:
        near, theirs = start
        width = columns.shape[1]
        chosen = np.concatenate([np.arange(width), width + np.searchsorted(theirs, names)])
        same = bool(np.isin(names, theirs).all())
        near = Fit(near.coefficients[chosen], near.scale, 0.0) if same else None
    return fit(low[kept], high[kept], design, distribution=distribution, start=near), names


def told(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Give the rows of `prepared` that are `telling`; all where none is, so that a note says so."""
    low, high = rows["low"].to_numpy(), rows["high"].to_numpy()
    kept = telling(low, high, rows[column].cast(pl.Float64).to_numpy(), model_of(rows))
    return rows.filter(pl.Series(kept)) if kept.any() else rows


def dose_fits(
    rows: pl.DataFrame, columns: Sequence[str], *, distribution: Distribution = "lognormal"
) -> list[Estimate]:
    """Coefficients of the model of the dose, with intervals of the cluster jackknife.

    Parameters
    ----------
    rows : polars.DataFrame
        Of `prepared`, with the columns; rows that lack one are left out, and so are models that
        say nothing of a slope.
    columns : sequence of str
        That whose slope is asked for first.
    distribution : {'lognormal', 'weibull'}

    Returns
    -------
    list of Estimate
        One for each column: the natural logarithm of the time ratio per unit of it.
    """
    rows = told(rows.drop_nulls(list(columns)), columns[0])
    low, high = rows["low"].to_numpy(), rows["high"].to_numpy()
    values = rows.select(list(columns)).cast(pl.Float64).to_numpy().reshape(-1, len(columns))
    model = model_of(rows)
    first: list[tuple[Fit, NDArray[np.int64]]] = []

    def estimate(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        found = within_models(
            low[chosen], high[chosen], values[chosen], model[chosen],
            distribution=distribution, start=first[0] if first else None,
        )  # fmt: skip
        if not first:
            first.append(found)
        return found[0].coefficients[: len(columns)]

    found = jackknife(estimate, cluster_of(rows))
    likelihood = first[0][0].log_likelihood
    if not math.isfinite(likelihood):
        return found
    return [replace(each, log_likelihood=likelihood) for each in found]


def time_ratio(
    edits: pl.DataFrame, adjust: Sequence[str] = (), *, distribution: Distribution = "lognormal"
) -> Estimate:
    """Log time ratio per doubling of exposures.

    Parameters
    ----------
    edits : polars.DataFrame
        The study's frame of edits, of one method.
    adjust : sequence of str
        Further columns that are held fixed, such as ``recency``.
    distribution : {'lognormal', 'weibull'}

    Returns
    -------
    Estimate
        Above 0 more exposures need a higher dose.
    """
    rows, held = prepared(edits)
    found = dose_fits(rows, ["doublings", *adjust, *held], distribution=distribution)[0]
    return found.saying(FEW) if levels(rows) < 2 else found


def direct_ratio(edits: pl.DataFrame) -> Estimate:
    """Log time ratio per doubling with the margin before the edit held fixed."""
    finite = pl.col("margin").is_not_null() & pl.col("margin").is_finite()
    return time_ratio(edits.filter(finite), ["margin"])


def whole_ratio(
    edits: pl.DataFrame, *, distribution: Distribution = "lognormal"
) -> Estimate | None:
    """Log time ratio per doubling over all edits: no step needed counts as a dose of at most one.

    The interval (0, 1] says no more than that the dose is small, so no edit is dropped for what its
    exposures brought about. The size of the ratio leans on the distribution's lower tail.

    Returns
    -------
    Estimate or None
        None where every edit needs a step: `time_ratio` is of all edits then.
    """
    if not already(edits)["already"].any():
        return None
    return time_ratio(within_one_step(edits), distribution=distribution)


def held_out_ratio(edits: pl.DataFrame) -> Estimate | None:
    """Log time ratio per doubling of the dose of held-out wordings; None where none was seen."""
    if "reached_held_out" not in edits.columns or not edits["reached_held_out"].count():
        return None
    names = {"dose": "dose_held_out", "dose_low": "dose_held_out_low",
             "reached": "reached_held_out"}  # fmt: skip
    return time_ratio(edits.with_columns(pl.col(old).alias(new) for new, old in names.items()))


def curvature(edits: pl.DataFrame) -> Estimate:
    """By how much the log time ratio of a doubling changes with each further doubling.

    The coefficient of half the square of log2 exposures: 0 where the effect of a doubling is the
    same everywhere, below 0 where it wears off.
    """
    rows, held = prepared(edits)
    if levels(rows) < 3:
        return Estimate(None, rows=rows.height, note="fewer than three levels of exposures")
    bent = rows.with_columns((pl.col("doublings") ** 2 / 2).alias("bend"))
    return dose_fits(bent, ["bend", "doublings", *held])[0]


def load_interaction(edits: pl.DataFrame, models: pl.DataFrame) -> Estimate | None:
    """By how much the log time ratio of a doubling changes with each doubling of the load.

    Parameters
    ----------
    edits : polars.DataFrame
    models : polars.DataFrame
        model, and load: the world's bits / (2 x parameters).

    Returns
    -------
    Estimate or None
        None where the study has one load only.
    """
    if "model" not in edits.columns:
        return None
    rows, held = prepared(edits.join(models.select("model", "load"), on="model", how="left"))
    rows = rows.filter(pl.col("load") > 0)
    if not rows.height:
        return None
    ends = [float(rows.select(getattr(pl.col("load"), end)()).item()) for end in ("min", "max")]
    if ends[1] < _SEVERAL * ends[0]:
        return None
    load = pl.col("load").log(2)
    product = (pl.col("doublings") * (load - load.mean())).alias("product")
    return dose_fits(rows.with_columns(product), ["product", "doublings", *held])[0]


def within_fact_ratio(edits: pl.DataFrame) -> Estimate | None:
    """Log time ratio per doubling of exposures between twins of one and the same fact.

    Twin corpora of one world write the same fact at other exposures: all facts in rotations, some
    pairs where exposures are swapped. Beside a fact's exposures the mean of their logarithm over
    its twins is in the model, which takes all that differs between facts (Mundlak, 1978,
    Econometrica 46), so that what is left to the slope is within facts. Without censoring it is
    the slope with an intercept for each fact; with it, thousands of intercepts of a few edits each
    would bend the scale and the slope, and most would be infinite. That the twins of a fact are
    alike is the jackknife's matter.

    Returns
    -------
    Estimate or None
        None where no fact stands at several exposures.
    """
    size = [name for name in ("size",) if name in edits.columns]
    # By the world itself: two worlds of one seed and several sizes have other facts of one number.
    keys = list(dict.fromkeys([*cluster_keys(edits), "world", *size, "fact"]))
    rows = doubled(timed(edits))
    several = pl.col("doublings").n_unique().over(keys) > 1
    rows = rows.filter(several).with_columns(pl.col("doublings").mean().over(keys).alias("between"))
    if not rows.height:
        return None
    rows = _centred(_centred(rows, "doublings"), "between")
    spread = _apart(rows["between"].to_numpy(), model_of(rows))
    facts = rows.select(pl.struct(keys)).n_unique()
    between = ["between"] if float(spread @ spread) > 1e-6 * rows.height else []
    return dose_fits(rows, ["doublings", *between])[0].saying(f"{facts:,} facts")


def already_slope(edits: pl.DataFrame) -> Estimate:
    """Log odds ratio, per doubling of exposures, that an edit needs no step at all."""
    rows = already(edits)
    if not rows["already"].any():
        return Estimate(None, rows=rows.height, note="no edit has dose 0")
    return outcome_slope(rows.with_columns(pl.col("already").cast(pl.Float64)), "already")
