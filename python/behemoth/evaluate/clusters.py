"""Resampling of complete clusters: facts of one model are not independent, models are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.support.checks import whole_number
from behemoth.support.errors import ArgumentError

__all__ = ["check_bootstrap", "groups_of", "interval", "names_of", "numbered", "numbered_rows",
           "proper", "resampled_weights", "weight_parts"]  # fmt: skip

_MOST = 1 << 22  # weights in memory at a time
_STILL = 1e-12  # a width up to this share of the ends is rounding


def names_of(names: str | Iterable[str]) -> list[str]:
    """Return a list of names; a string is one name, not its letters."""
    return [names] if isinstance(names, str) else list(names)


def groups_of(
    frame: pl.DataFrame, by: Sequence[str]
) -> Iterator[tuple[tuple[object, ...], pl.DataFrame]]:
    """Yield the groups of a frame with their keys; without columns, all rows are one group."""
    if by:
        yield from frame.group_by(list(by), maintain_order=True)
    elif not frame.is_empty():
        yield (), frame


def numbered(values: pl.Series) -> NDArray[np.int64]:
    """Return the number of each value in the order of distinct values: int64[n], from 0."""
    if not len(values):
        return np.zeros(0, np.int64)
    return (values.rank("dense") - 1).to_numpy().astype(np.int64)


def numbered_rows(frame: pl.DataFrame, by: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each row's group: int64[rows], from 0; without columns all are 0."""
    if not by:
        return np.zeros(frame.height, np.int64)
    return numbered(frame.select(pl.struct(by)).to_series())


def check_bootstrap(resamples: object, level: float, seed: object) -> None:
    """Refuse what no bootstrap can be drawn or read with.

    Raises
    ------
    ArgumentError
        When `resamples` is not a whole number from 1, `level` not between 0 and 1, or `seed` not a
        whole number from 0.
    """
    whole_number("resamples", resamples, 1)
    if not 0 < level < 1:
        raise ArgumentError("level", level, "between 0 and 1")
    whole_number("seed", seed)


def resampled_weights(clusters: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return how often each cluster occurs in each bootstrap sample.

    Efron's bootstrap with clusters in place of observations (Cameron, Gelbach and
    Miller, 2008, section III.A: pairs cluster bootstrap).

    Returns
    -------
    float64[resamples, clusters]
        Whole numbers; each row sums to `clusters`.
    """
    return np.concatenate(list(weight_parts(clusters, resamples, seed)))


def weight_parts(clusters: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of `resampled_weights` in parts that fit in memory: float64[n, clusters]."""
    generator = np.random.default_rng(seed)
    chances = np.full(clusters, 1 / clusters)
    step = max(1, _MOST // clusters)
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        yield generator.multinomial(clusters, chances, size=size).astype(np.float64)


def interval(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Return the percentile interval of bootstrap values; NaN values are excluded.

    Infinite values are kept: an end of the interval may be infinite.
    """
    kept = np.sort(values[~np.isnan(values)])
    if not len(kept):
        return np.nan, np.nan
    tail = (1 - level) / 2
    # Ranks without interpolation: between a number and infinity it would return NaN.
    low = kept[int(np.floor(tail * (len(kept) - 1)))]
    high = kept[int(np.ceil((1 - tail) * (len(kept) - 1)))]
    return float(low), float(high)


def proper(low: float, high: float) -> tuple[float, float] | tuple[None, None]:
    """Return an interval, or (None, None) if it has no width or its ends are NaN.

    A number is not certain because all samples agree: one unit agrees with itself, a few agree by
    chance, and shares of 0 or 1 and medians of whole steps do so often.

    Examples
    --------
    >>> proper(0.25, 0.75), proper(1.0, 1.0)
    ((0.25, 0.75), (None, None))
    """
    infinite = low != high and np.inf in (-low, high)
    wide = infinite or high - low > _STILL * max(abs(low), abs(high))
    return (low, high) if wide else (None, None)
