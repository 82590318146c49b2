"""Mediation: the part of the effect of exposures on the dose that the pre-edit margin explains.

The total effect is the slope of the log dose on log2 exposures, the direct effect the same slope
with the margin held fixed, and the indirect effect their difference. In a model of the logarithm of
time a coefficient keeps its scale when the margin is added (the noise shrinks instead), so the two
may be subtracted; slopes of logistic and hazard models may not (Karlson, Holm and Breen, 2012,
Sociological Methodology 42). The margin may be called a mediator, not only a correlate, because the
engine assigns exposures; the margin itself is not assigned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .estimate import Estimate, cluster_of, jackknife
from .slope import demeaned, levels, model_of
from .time_ratio import dose_fits, prepared, told, within_models, without_subject

__all__ = ["BINS", "Mediation", "margin_bins", "mediation"]

BINS = 5
"""Number of bins of similar margin, with about the same number of edits each, dose 0 included."""
_FEWEST = 20  # minimum number of edits


@dataclass(frozen=True)
class Mediation:
    """Decomposition of the slope of the dose; log time ratios per doubling except share and margin.

    Attributes
    ----------
    total, direct, indirect : Estimate
        Total, direct and indirect effect.
    share : Estimate
        indirect / total; no value if the interval of total includes 0. Outside of 0 to 1 the direct
        and indirect effects have opposite signs (see its note). Without an interval of total (one
        cluster) it is descriptive only.
    margin : Estimate
        Increase of the margin per doubling, in nats.
    within : Estimate
        The slope with an intercept per bin of margin. It does not assume linearity, but margins
        still rise with exposures inside a bin: where the margin explains everything, about a sixth
        of the total effect is left in five bins.
    """

    total: Estimate
    direct: Estimate
    indirect: Estimate
    share: Estimate
    margin: Estimate
    within: Estimate


def margin_bins(edits: pl.DataFrame) -> pl.DataFrame:
    """Add ``bin``, from 0: the quantile bin of the margin; equal margins share a bin.

    Edits without a finite margin are dropped.
    """
    kept = edits.filter(pl.col("margin").is_not_null() & pl.col("margin").is_finite())
    if not kept.height:
        return kept.with_columns(pl.lit(0).alias("bin"))
    cuts = np.unique(np.quantile(kept["margin"].to_numpy(), np.arange(1, BINS) / BINS))
    place = np.searchsorted(cuts, kept["margin"].to_numpy(), side="right")
    return kept.with_columns(pl.Series("bin", place, dtype=pl.Int64))


def mediation(edits: pl.DataFrame) -> Mediation | None:
    """Decompose the slope of the dose.

    Parameters
    ----------
    edits : polars.DataFrame
        Rows of the `edits` frame of one method.

    Returns
    -------
    Mediation or None
        None if fewer than 20 edits have both a dose above 0 and a margin, or at only one level.
    """
    placed = margin_bins(edits)
    whole, held = prepared(placed)
    rows = told(whole, "doublings")
    if rows.height < _FEWEST or levels(rows) < 2:
        return None
    total, direct, indirect, share, margin = _parts(rows, held)
    total = without_subject(placed, whole, total)
    if total.low is not None and not total.clear:
        share = replace(share, value=None, low=None, high=None, p=None,
                        note="no clear total effect")  # fmt: skip
    elif share.value is not None and not 0 <= share.value <= 1:
        share = share.saying("direct and indirect parts point to opposite sides")
    bins = rows["bin"].unique().sort().to_list()[1:]
    binned = rows.with_columns(
        (pl.col("bin") == name).cast(pl.Float64).alias(f"bin_{name}") for name in bins
    )
    columns = ["doublings", *(f"bin_{name}" for name in bins), *held]
    return Mediation(total, direct, indirect, share, margin, dose_fits(binned, columns)[0])


def _parts(rows: pl.DataFrame, held: list[str]) -> list[Estimate]:
    low, high, model = rows["low"].to_numpy(), rows["high"].to_numpy(), model_of(rows)
    columns = rows.select("doublings", *held, "margin").cast(pl.Float64).to_numpy()
    x, m = columns[:, 0], columns[:, -1]

    def fit(chosen: NDArray[np.bool_]) -> list[float]:
        part = low[chosen], high[chosen]
        without = within_models(*part, columns[chosen, :-1], model[chosen])[0]
        beside = within_models(*part, columns[chosen], model[chosen])[0]
        total, direct = float(without.coefficients[0]), float(beside.coefficients[0])
        share = (total - direct) / total if total else np.nan
        return [total, direct, total - direct, share, _growth(x[chosen], m[chosen], model[chosen])]

    return jackknife(fit, cluster_of(rows))


def _growth(x: NDArray[np.float64], m: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """Return the slope of the margin on log2 exposures within models, by least squares."""
    apart = demeaned(x, group)
    square = float((apart**2).sum())
    return float((apart * m).sum()) / square if square > 1e-12 else float("nan")
