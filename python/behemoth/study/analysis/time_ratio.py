"""Time ratios: the factor by which one doubling of exposures multiplies the dose of an edit.

There is one model of the dose, `aft`: its logarithm is linear in log2 exposures and in the log2 of
the exposures of all facts of the subject, with an intercept for each trained model. The intercepts
are fixed effects, not random ones: differences between worlds, initialisations, sizes and rotations
in how easily anything is edited then cannot affect a slope, and three to fifteen models are too few
to determine a distribution of intercepts. Differences of slopes between models are not part of the
likelihood; the cluster jackknife over (world seed, initialisation) accounts for them.

The margin before the edit is not in the model of the headline: exposures raise it, so holding it
fixed would remove a part of their effect. It is in `direct_ratio`. A coefficient of the logarithm
of time keeps its scale when a covariate is added, unlike one of a logistic or a hazard model, so
slopes with and without the margin can be subtracted.

Edits of dose 0 (the unedited model already preferred the new object) have no logarithm.
`time_ratio` excludes them, so its edits are selected by something that exposures affect;
`already_slope` is about them, and `whole_ratio` keeps them as doses of at most one step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.support.text import plural_text

from .aft import Distribution, Fit, fit
from .dose import already, timed, within_one_step
from .estimate import Estimate, cluster_keys, cluster_of, jackknife
from .slope import demeaned, doubled, levels, model_of, of_levels, outcome_slope, varying

__all__ = [
    "already_slope",
    "curvature",
    "direct_ratio",
    "dose_fits",
    "held_out_ratio",
    "included",
    "load_interaction",
    "prepared",
    "telling",
    "time_ratio",
    "told",
    "whole_ratio",
    "within_fact_ratio",
    "within_models",
    "without_subject",
]

_APART = 0.01  # minimum share of the variation of the subject's total not explained by exposures
_TOGETHER = "the exposures of a fact and the total of its subject change together"
_SEVERAL = 1.2  # minimum ratio of the largest to the smallest load to count as several loads


def prepared(edits: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Prepare edits with a dose above 0 for `dose_fits`.

    Returns
    -------
    rows : polars.DataFrame
        The edits with low, high (steps), doublings (log2 exposures, centred over all rows) and
        subject_doublings (log2 of the subject's exposures, centred likewise). If that is held
        fixed, edits of facts about objects are left out, as these have no subject; see `included`
        and `without_subject`.
    held : list of str
        Columns to hold fixed: ``subject_doublings`` if it varies within models and is not
        determined by the fact's exposures, else none.
    """
    rows = doubled(timed(edits))
    rows = rows.with_columns(
        pl.col("subject_exposures").cast(pl.Float64).log(2).alias("subject_doublings")
    )
    whole = rows.drop_nulls("subject_doublings")
    own = _centred(_centred(whole, "doublings"), "subject_doublings")
    if own.height and _varies_alone(own):
        return own, ["subject_doublings"]
    return _centred(_centred(rows, "doublings"), "subject_doublings"), []


def _varies_alone(rows: pl.DataFrame) -> bool:
    """Return whether the subject's total varies within models, and not with the exposures alone."""
    model = model_of(rows)
    x, total = (
        demeaned(rows[name].to_numpy(), model) for name in ("doublings", "subject_doublings")
    )
    square = float(total @ total)
    along = float(x @ x)
    open_ = square - (float(x @ total) ** 2 / along if along > 1e-9 else 0.0)
    return square > 1e-9 and open_ > _APART * square


def included(edits: pl.DataFrame) -> tuple[int, int]:
    """Return the number of rows of `prepared`, and that with the edits that it left out."""
    return prepared(edits)[0].height, doubled(timed(edits)).height


def without_subject(edits: pl.DataFrame, rows: pl.DataFrame, found: Estimate) -> Estimate:
    """Return an estimate from rows of `prepared` with the number of edits that those left out."""
    left_out = doubled(timed(edits)).height - rows.height
    if not left_out:
        return found
    said = f"without {plural_text(left_out, 'edit')} of facts about objects, which have no subject"
    return found.adding(said)


def _centred(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.with_columns(pl.col(name) - pl.col(name).mean())


def telling(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    column: NDArray[np.float64],
    model: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return which edits belong to models that carry information on a slope: bool [n].

    Models in which no edit was reached, or all were at the first evaluated step, carry none: their
    intercepts are infinite. Nor do models in which the column of the slope does not vary, since the
    intercept absorbs everything. Neither count as clusters: a cluster whose omission changes
    nothing would make an interval narrower.
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
    """Fit the columns and an intercept for each model; return the fit and the models included.

    The intercepts come after the columns. Models without information (`telling`) are excluded.
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
    """Return the rows of `prepared` that are `telling`, or all rows if none is."""
    low, high = rows["low"].to_numpy(), rows["high"].to_numpy()
    kept = telling(low, high, rows[column].cast(pl.Float64).to_numpy(), model_of(rows))
    return rows.filter(pl.Series(kept)) if kept.any() else rows


def dose_fits(
    rows: pl.DataFrame, columns: Sequence[str], *, distribution: Distribution = "lognormal"
) -> list[Estimate]:
    """Estimate coefficients of the model of the dose, with intervals by the cluster jackknife.

    Parameters
    ----------
    rows : polars.DataFrame
        Rows of `prepared`, with the columns; rows that lack one are excluded, and so are models
        without information on the slope of the first column.
    columns : sequence of str
        Columns of the model, the one of interest first.
    distribution : {'lognormal', 'weibull'}

    Returns
    -------
    list of Estimate
        One per column: the natural logarithm of the time ratio per unit of it.
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
    """Return the log time ratio per doubling of exposures.

    Parameters
    ----------
    edits : polars.DataFrame
        Rows of the `edits` frame of one method.
    adjust : sequence of str
        Further columns that are held fixed, such as ``recency``.
    distribution : {'lognormal', 'weibull'}

    Returns
    -------
    Estimate
        If above 0, more exposures need a higher dose.
    """
    rows, held = prepared(edits)
    found = dose_fits(rows, ["doublings", *adjust, *held], distribution=distribution)[0]
    return without_subject(edits, rows, of_levels(found, rows))


def direct_ratio(edits: pl.DataFrame) -> Estimate:
    """Return the log time ratio per doubling with the margin before the edit held fixed."""
    finite = pl.col("margin").is_not_null() & pl.col("margin").is_finite()
    return time_ratio(edits.filter(finite), ["margin"])


def whole_ratio(
    edits: pl.DataFrame, *, distribution: Distribution = "lognormal"
) -> Estimate | None:
    """Return the log time ratio per doubling over all edits; dose 0 counts as at most one step.

    The interval (0, 1] states only that the dose is small, so no edit is excluded because of an
    effect of its exposures. The size of the ratio depends on the distribution's lower tail.

    Returns
    -------
    Estimate or None
        None if no edit has dose 0: `time_ratio` then includes all edits.
    """
    if not already(edits)["already"].any():
        return None
    return time_ratio(within_one_step(edits), distribution=distribution)


def held_out_ratio(edits: pl.DataFrame) -> Estimate | None:
    """Return the log time ratio per doubling for held-out wordings; None without their doses."""
    if not edits["reached_held_out"].count():
        return None
    names = {"dose": "dose_held_out", "dose_low": "dose_held_out_low",
             "reached": "reached_held_out"}  # fmt: skip
    return time_ratio(edits.with_columns(pl.col(old).alias(new) for new, old in names.items()))


def curvature(edits: pl.DataFrame) -> Estimate:
    """Return the change of the log time ratio of a doubling with each further doubling.

    This is the coefficient of half the square of log2 exposures: 0 if the effect of a doubling is
    the same everywhere, below 0 if it decreases.
    """
    rows, held = prepared(edits)
    if levels(rows) < 3:
        return Estimate(None, rows=rows.height, note="fewer than three levels of exposures")
    bent = rows.with_columns((pl.col("doublings") ** 2 / 2).alias("bend"))
    return without_subject(edits, rows, dose_fits(bent, ["bend", "doublings", *held])[0])


def load_interaction(edits: pl.DataFrame, models: pl.DataFrame) -> Estimate | None:
    """Return the change of the log time ratio of a doubling with each doubling of the load.

    Parameters
    ----------
    edits : polars.DataFrame
    models : polars.DataFrame
        Columns model and load: bits of the world / (2 x parameters); optionally apart, what else
        models differ in.

    Returns
    -------
    Estimate or None
        None if the loads of models that do not differ in `apart` differ by a factor of less than
        1.2. Loads are compared within a size of models, if one has several; else with a note. Where
        some clusters have several loads, only these count: another says how slopes differ between
        clusters, not what a load does, and with two of eight of this kind 87 % of 95 % intervals
        contained the truth.
    """
    if "apart" not in models.columns:
        models = models.with_columns(pl.lit(None, pl.String).alias("apart"))
    joined = edits.join(models.select("model", "load", "apart"), on="model", how="left")
    # Models decide whether there is a contrast, not which of their edits need a step: the family
    # of tests must not depend on results.
    loaded = joined.filter(pl.col("load") > 0)
    within = ("apart", "size") if _several_loads(loaded, "apart", "size").any() else ("apart",)
    if not _several_loads(loaded, *within).any():
        return None
    whole, held = prepared(joined)
    rows = whole.filter(pl.col("load") > 0)
    if not _several_loads(rows, *within).any():
        return Estimate(None, rows=rows.height, note="one load among the edits that need a step")
    paired = _several_loads(rows, *within, *cluster_keys(rows))
    some = bool(paired.any()) and not bool(paired.all())
    rows = rows.filter(paired) if some else rows
    load = pl.col("load").log(2)
    product = (pl.col("doublings") * (load - load.mean().over(within))).alias("product")
    found = dose_fits(rows.with_columns(product), ["product", "doublings", *held])[0]
    sizes = loaded["size"].n_unique() > 1
    notes = ["loads differ with the size alone"] if sizes and "size" not in within else []
    if some:
        which = "clusters and sizes" if sizes and not notes else "clusters"
        notes.append(f"{which} with several loads alone")
    found = found.saying("; ".join(notes)) if notes else found
    return without_subject(edits, whole, found)


def _several_loads(rows: pl.DataFrame, *within: str) -> pl.Series:
    """Return whether each row is of several loads that do not differ in the columns `within`.

    Worlds that differ in an axis of the grid may have other bits per fact (how strongly relations
    are correlated), or other facts (tables). The load then differs, too, but what it changed could
    not be told from what the axis did: loads are compared, and centred, within its values.
    """
    load = pl.col("load")
    return rows.select(several=load.max().over(within) >= _SEVERAL * load.min().over(within))[
        "several"
    ]


def within_fact_ratio(edits: pl.DataFrame) -> Estimate | None:
    """Return the log time ratio per doubling of exposures between twins of the same fact.

    Twin corpora of one world have the same fact at other exposures: all facts with rotations, some
    pairs with swaps. In addition to a fact's log exposures the model includes their mean over its
    twins, which absorbs differences between facts (Mundlak, 1978, Econometrica 46), so that the
    slope is within facts. The subject's total, if `prepared` holds it fixed and it differs between
    twins (with rotations; swaps keep it), is included in the same way. Without censoring the slope
    equals that with an intercept for each fact; with censoring, thousands of intercepts of a few
    edits each would bias the scale and the slope, and most would be infinite. The jackknife
    accounts for the correlation of a fact's twins.

    Returns
    -------
    Estimate or None
        None if no fact has several exposures, whatever the doses of its edits. Without a value if
        the subject's total is held fixed, and changes between twins only together with the fact's
        own exposures.
    """
    # Include the world: in worlds of one seed and several sizes, a number means different facts.
    keys = list(dict.fromkeys([*cluster_keys(edits), "world", "size", "fact"]))
    several = pl.col("doublings").n_unique().over(keys) > 1
    if not doubled(edits).select(several.any()).item():
        return None
    whole, held = prepared(edits)
    means = [pl.col("doublings").mean().over(keys).alias("between")]
    if held:
        means.append(pl.col("subject_doublings").mean().over(keys).alias("subject_between"))
    rows = whole.filter(several).with_columns(means)
    if not rows.height:
        return Estimate(None, note="no fact needs steps at several exposures")
    columns = ["doublings", *_varied(rows, "between")]
    if held:
        inside = rows.with_columns(
            pl.col("doublings") - pl.col("between"),
            pl.col("subject_doublings") - pl.col("subject_between"),
        )
        if _varied(inside, "subject_doublings"):
            if not _varies_alone(inside):
                return Estimate(None, rows=rows.height, note=_TOGETHER)
            columns += [*held, *_varied(rows, "subject_between")]
    for name in columns:
        rows = _centred(rows, name)
    facts = rows.select(pl.struct(keys)).n_unique()
    found = dose_fits(rows, columns)[0].saying(f"{facts:,} facts")
    return without_subject(edits, whole, found)


def _varied(rows: pl.DataFrame, name: str) -> list[str]:
    """Return the name of a column if it varies within models, else nothing."""
    spread = demeaned(rows[name].to_numpy(), model_of(rows))
    return [name] if float(spread @ spread) > 1e-6 * rows.height else []


def already_slope(edits: pl.DataFrame) -> Estimate:
    """Return the log odds ratio, per doubling of exposures, that an edit has dose 0."""
    rows = already(edits)
    if not rows["already"].any():
        return Estimate(None, rows=rows.height, note="no edit has dose 0")
    return outcome_slope(rows.with_columns(pl.col("already").cast(pl.Float64)), "already")
