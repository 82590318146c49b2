"""How much of the effect of exposures goes through the margin before the edit.

Slopes of nonlinear models with and without a mediator are on different scales, so the parts are
those of Karlson, Holm and Breen (2012, Sociological Methodology 42): direct is the slope with the
margin held fixed, indirect the slope of the margin on exposures times that of the hazard on the
margin, total their sum. That the margin may be called a mediator and not only a companion rests
on exposures being assigned by the engine; the margin itself is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .dose import dosed
from .estimate import Estimate, cluster_of, jackknife
from .hazard import binomial, person_periods
from .slope import doubled, hazard_fits, hazard_slope

__all__ = ["BINS", "Mediation", "margin_bins", "mediation"]

BINS = 5
"""Bins of equal margin, about equally many edits to each."""
_GRAIN = 4.0  # margins are rounded to quarters of a nat, so that equal edits can be counted
_FEWEST = 20  # edits, below which there is nothing to take apart


@dataclass(frozen=True)
class Mediation:
    """The slope of the dose taken apart; all are log hazard ratios per doubling but the share.

    Attributes
    ----------
    plain : Estimate
        The slope with no margin in the model.
    direct, indirect, total : Estimate
        As above.
    share : Estimate
        indirect / total; no number where total is not clearly different from 0, or where both
        parts do not point the same way (see its note).
    margin : Estimate
        Nats that the margin grows per doubling.
    within : Estimate
        The slope among facts of one bin of margin.
    bins : polars.DataFrame
        bin, margin_low, margin_high (nats), slope, low, high, edits, clusters: the slope within
        each bin alone.
    """

    plain: Estimate
    direct: Estimate
    indirect: Estimate
    total: Estimate
    share: Estimate
    margin: Estimate
    within: Estimate
    bins: pl.DataFrame


def margin_bins(edits: pl.DataFrame, bins: int = BINS) -> pl.DataFrame:
    """Add ``bin``, from 0: the quantile of the margin among the edits; equal margins stay together.

    Edits without a margin are left out.
    """
    kept = edits.filter(pl.col("margin").is_not_null() & pl.col("margin").is_finite())
    if not kept.height:
        return kept.with_columns(pl.lit(0).alias("bin"))
    cuts = np.unique(np.quantile(kept["margin"].to_numpy(), np.arange(1, bins) / bins))
    place = np.searchsorted(cuts, kept["margin"].to_numpy(), side="right")
    return kept.with_columns(pl.Series("bin", place, dtype=pl.Int64))


def mediation(edits: pl.DataFrame) -> Mediation | None:
    """Take the slope of the dose apart.

    Parameters
    ----------
    edits : polars.DataFrame
        The study's frame of edits, of one method.

    Returns
    -------
    Mediation or None
        None without enough edits that have both a dose and a margin, at two levels or more.
    """
    rows = margin_bins(doubled(dosed(edits))).with_columns(
        ((pl.col("margin") * _GRAIN).round() / _GRAIN).alias("rounded")
    )
    if rows.height < _FEWEST or rows["doublings"].n_unique() < 2:
        return None
    plain, direct, indirect, total, share, margin = _parts(rows)
    if total.low is not None and not total.clear:
        share = replace(share, value=None, low=None, high=None, p=None,
                        note="the total is not clearly different from 0")  # fmt: skip
    elif share.value is not None and not 0 <= share.value <= 1:
        share = share.saying("direct and indirect parts point to opposite sides")
    within = hazard_fits(rows, ["doublings"], strata=["bin"])[0]
    return Mediation(plain, direct, indirect, total, share, margin, within, _bins(rows))


def _parts(rows: pl.DataFrame) -> list[Estimate]:
    extra = ["model"] if "model" in rows.columns else []
    own = cluster_of(rows)
    table = person_periods(
        rows.with_columns(pl.Series("_cluster", own)), ["doublings"], [*extra, "_cluster"]
    )
    full = person_periods(
        rows.with_columns(pl.Series("_cluster", own)),
        ["doublings", "rounded"],
        [*extra, "_cluster"],
    )
    model = _ranks(rows, extra or ["_one"])
    x, m = rows["doublings"].to_numpy(), rows["rounded"].to_numpy()

    def fit(chosen: NDArray[np.bool_]) -> list[float]:
        clusters = np.unique(own[chosen])
        (plain,) = _hazards(table, ["doublings"], clusters, extra)
        direct, effect = _hazards(full, ["doublings", "rounded"], clusters, extra)
        growth = _growth(x[chosen], m[chosen], model[chosen])
        indirect = growth * effect
        total = direct + indirect
        share = indirect / total if total else np.nan
        return [plain, direct, indirect, total, share, growth]

    return jackknife(fit, own)


def _ranks(frame: pl.DataFrame, names: list[str]) -> NDArray[np.int64]:
    if names == ["_one"]:
        return cluster_of(frame)
    return frame.select(pl.struct(names).rank("dense")).to_series().to_numpy().astype(np.int64)


def _hazards(
    table: pl.DataFrame, names: list[str], clusters: NDArray[np.int64], extra: list[str]
) -> NDArray[np.float64]:
    part = table.filter(pl.col("_cluster").is_in(clusters.tolist()))
    groups = [
        part["interval"].to_numpy().astype(np.int64),
        _ranks(part, extra or ["_cluster"]),
    ]
    return binomial(
        part["events"].to_numpy(), part["risk"].to_numpy(), part.select(names).to_numpy(), groups
    )


def _growth(x: NDArray[np.float64], m: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """Slope of the margin on log2 exposures within models, by least squares."""
    _, place = np.unique(group, return_inverse=True)
    size = np.bincount(place)
    apart = x - (np.bincount(place, x) / size)[place]
    square = float((apart**2).sum())
    return float((apart * m).sum()) / square if square > 1e-12 else float("nan")


def _bins(rows: pl.DataFrame) -> pl.DataFrame:
    found = []
    for (bin_,), part in rows.group_by("bin"):
        estimate = hazard_slope(part)
        found.append(
            {
                "bin": bin_,
                "margin_low": part["margin"].min(),
                "margin_high": part["margin"].max(),
                "slope": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "edits": part.height,
                "clusters": estimate.clusters,
            }
        )
    schema = {"bin": pl.Int64, "margin_low": pl.Float64, "margin_high": pl.Float64,
              "slope": pl.Float64, "low": pl.Float64, "high": pl.Float64, "edits": pl.UInt32,
              "clusters": pl.UInt32}  # fmt: skip
    return pl.DataFrame(found, schema=schema).sort("bin")
