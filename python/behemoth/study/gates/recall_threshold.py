"""Gate 1: recall is a sigmoid in log exposures, and its threshold falls with model size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .bench import Bench, Frequency, Units
from .record import Judgement, Seen, shown

__all__ = ["Curve", "RecallThreshold", "judge"]

Curve = Sequence[tuple[int, float]]
"""(exposures, recall) by level, rising in exposures."""
_LOW, _HALF, _HIGH = 0.25, 0.5, 0.75
_DIP = 0.05  # recall that a level may lie below the one before it
_APART = 0.25  # doublings by which thresholds must differ to count as different


def threshold(curve: Curve) -> float | None:
    """Exposures at which half of the facts are recalled, between levels on a log scale.

    Examples
    --------
    >>> threshold([(4, 0.0), (16, 1.0)])
    8.0
    """
    for (before, low), (after, high) in itertools.pairwise(curve):
        if low < _HALF <= high:
            return float(before * (after / before) ** ((_HALF - low) / (high - low)))
    return None


def fits(curve: Curve) -> tuple[float, float]:
    """R^2 of a logistic curve and of a straight line in log2 exposures, by least squares."""
    from scipy.optimize import curve_fit

    x, y = (np.asarray(column, np.float64) for column in zip(*curve, strict=True))
    x = np.log2(x)
    spread = float(((y - y.mean()) ** 2).sum()) or 1.0

    def logistic(x: NDArray[np.float64], middle: float, width: float) -> NDArray[np.float64]:
        return 0.5 * (1 + np.tanh((x - middle) / (2 * width)))

    middle = threshold(curve)
    start = (float(x.mean()) if middle is None else float(np.log2(middle)), 1.0)
    bounds = ([x[0] - 20, 1e-2], [x[-1] + 20, 20.0])
    best, _ = curve_fit(logistic, x, y, p0=start, bounds=bounds)
    line = np.polyval(np.polyfit(x, y, 1), x)
    return tuple(1 - float(((y - fit) ** 2).sum()) / spread for fit in (logistic(x, *best), line))  # type: ignore[return-value]


def judge(curves: Mapping[str, Curve]) -> Judgement:
    """Judge recall by exposures.

    Parameters
    ----------
    curves : mapping of size to curve
        From the smallest model to the largest.
    """
    thresholds = {size: threshold(curve) for size, curve in curves.items()}
    said = "; ".join(
        f"{size}: recall {shown(curve[0][1])} at {curve[0][0]} to {shown(curve[-1][1])} at "
        f"{curve[-1][0]} exposures, half at {shown(thresholds[size])}"
        for size, curve in curves.items()
    )
    if any(curve[-1][1] <= _HIGH or curve[0][1] >= _LOW for curve in curves.values()):
        return Judgement(
            "not shown at this size",
            said,
            "exposures that go from hardly any recall to nearly all: the foot and the head of "
            "the curve must both lie within the levels",
        )
    for size, curve in curves.items():
        recalls = [recall for _, recall in curve]
        if any(b < a - _DIP for a, b in itertools.pairwise(recalls)):
            return Judgement("not reproduced", f"{said}; recall of {size} does not rise throughout")
        sigmoid, line = fits(curve)
        said += f"; {size}: R^2 {shown(sigmoid)} of a logistic curve, {shown(line)} of a line"
        if sigmoid <= line:
            return Judgement("not reproduced", said)
    values = [np.log2(value) for value in thresholds.values() if value is not None]
    falls = float(values[0] - values[-1])
    said += f"; from the smallest to the largest the threshold falls by {shown(falls)} doublings"
    if falls > _APART:
        return Judgement("reproduced", said)
    if falls < -_APART:
        return Judgement("not reproduced", said)
    return Judgement(
        "not shown at this size",
        said,
        "models whose capacity matters: a tenfold range of sizes at a load near 1 (bits of the "
        "world / 2 x parameters), several seeds",
    )


@dataclass(frozen=True)
class RecallThreshold:
    """Two sizes on the same corpus."""

    number: ClassVar[int] = 1
    title: ClassVar[str] = "Recall is a sigmoid in log exposures; larger models need fewer"
    rule: ClassVar[str] = (
        f"recall goes from below {_LOW} to above {_HIGH}, never falls by more than {_DIP} from "
        "level to level, a logistic curve in log2 exposures fits better than a line, and half "
        f"recall comes over {_APART} doublings earlier in the larger model (within "
        f"{_APART} either way: not shown)"
    )
    source: ClassVar[str] = "Allen-Zhu and Li 2024, arXiv 2404.05405; our trial at 0.5 M parameters"

    world: Frequency = field(default_factory=Frequency)
    sizes: tuple[str, ...] = ("nano", "micro")

    def units(self, threads: int) -> Units:
        """A model of each size."""
        return Units({size: self.world.model(size, threads) for size in self.sizes})

    def look(self, bench: Bench) -> Seen:
        """Judge recall by exposures."""
        curves = {
            size: [
                (int(level), float(recall))
                for level, recall in bench.recall(size)
                .group_by("exposures")
                .agg(pl.col("exact_match").cast(pl.Float64).mean())
                .sort("exposures")
                .iter_rows()
            ]
            for size in self.sizes
        }
        numbers = {
            size: {
                "exposures": [level for level, _ in curve],
                "recall": [recall for _, recall in curve],
                "threshold": threshold(curve),
            }
            for size, curve in curves.items()
        }
        done = f"{self.world.told}; {'; '.join(map(bench.steps, self.sizes))}"
        return Seen(done, numbers, judge(curves))
