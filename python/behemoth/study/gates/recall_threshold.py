"""Gate 1: recall is a sigmoid in log exposures, and its threshold falls with model size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from behemoth.study.analysis.ranges import SHARE

from .conditions import Condition
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, SharedWorld, Units

__all__ = ["Curve", "RecallThreshold", "fits", "threshold"]

Curve = Sequence[Sequence[float]]
"""(exposures, recall) by level, in ascending order of exposures."""
_LOW, _HALF, _HIGH = 0.25, 0.5, 0.75
_APART = 0.25  # smallest difference in doublings that would count


def threshold(curve: Curve) -> float:
    """Return the exposures at which half of the facts are recalled, interpolated on a log scale.

    NaN if recall does not cross a half between two levels.

    Examples
    --------
    >>> threshold([(4, 0.0), (16, 1.0)])
    8.0
    """
    for (before, low), (after, high) in itertools.pairwise(curve):
        if low < _HALF <= high:
            return float(before * (after / before) ** ((_HALF - low) / (high - low)))
    return math.nan


def fits(curve: Curve) -> tuple[float, float]:
    """Return R^2 of a logistic curve and of a line in log2 exposures, fitted by least squares."""
    from scipy.optimize import least_squares

    x, y = (np.asarray(column, np.float64) for column in zip(*curve, strict=True))
    x = np.log2(x)
    spread = float(((y - y.mean()) ** 2).sum()) or 1.0

    def logistic(place: Any) -> Any:
        return 0.5 * (1 + np.tanh((x - place[0]) / (2 * place[1])))

    middle = threshold(curve)
    start = (float(np.log2(middle)) if math.isfinite(middle) else float(x.mean()), 1.0)
    bounds = ([x[0] - 20, 1e-2], [x[-1] + 20, 20.0])
    best: Any = least_squares(lambda place: logistic(place) - y, start, bounds=bounds).x
    line = np.polyval(np.polyfit(x, y, 1), x)
    one, other = (1 - float(((y - fit) ** 2).sum()) / spread for fit in (logistic(best), line))
    return one, other


@dataclass(frozen=True)
class RecallThreshold:
    """Two sizes on the same corpus."""

    number: ClassVar[int] = 1
    name: ClassVar[str] = "recall-threshold"
    title: ClassVar[str] = "Recall is a sigmoid in log exposures; larger models need fewer"
    source: ClassVar[str] = "Allen-Zhu and Li 2024, arXiv 2404.05405"
    pilot: ClassVar[str] = (
        "four models of a world twice as large were run, pico at two learning rates and two "
        "batch sizes and nano at one; the rule has not changed since"
    )
    revised: ClassVar[bool] = False
    smaller: ClassVar[str] = (
        "The design asks for 3,200 facts with 2 to 1,024 exposures. Here are 800 with 2 to 256, "
        "which are 13 times fewer sentences, so that all gates run in about two hours on two cores"
    )
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("the learning rates of the two sizes are not equally good", {"rates": (8e-3, 5e-3)}),
        Reason("the two sizes are too similar: `micro` in place of `nano`",
               {"sizes": ("pico", "micro")}),
        Reason("the load is far below capacity, where size does not matter: 10 times as many facts",
               {"world.subjects": 2_000}),
    )  # fmt: skip

    world: SharedWorld = field(default_factory=SharedWorld)
    sizes: tuple[str, str] = ("pico", "nano")
    rates: tuple[float, float] = (4e-3, 2.5e-3)
    seeds: int = 3

    @property
    def setting(self) -> str:
        """World and models."""
        return f"{self.world.told}; {self.sizes[0]} and {self.sizes[1]} on the same corpus"

    def units(self, seed: int, threads: int) -> Units:
        """Models, one per size."""
        return Units(
            {
                size: self.world.model(seed, threads, model=size, learning_rate=rate)
                for size, rate in zip(self.sizes, self.rates, strict=True)
            }
        )

    def measure(self, results: GateResults) -> Row:
        """Recall by exposures."""
        found: dict[str, Any] = {}
        for size in self.sizes:
            curve = results.curve(size)
            logistic, line = fits(curve)
            found[size] = {"curve": curve, "threshold": threshold(curve), "logistic": logistic,
                           "line": line, **results.about(size)}  # fmt: skip
        return found

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Recall is low at first, high at last, sigmoid between, and its threshold falls."""
        held: list[Condition] = []
        for size in self.sizes:
            curves = [row[size]["curve"] for row in rows]
            first, last = ([curve[at][1] for curve in curves] for at in (0, -1))
            better = [row[size]["logistic"] - row[size]["line"] for row in rows]
            held += [
                Condition(f"{size}: recall at the fewest exposures", first, _LOW, 0.1, below=True,
                          within=SHARE),
                Condition(f"{size}: recall at the most exposures", last, _HIGH, 0.1,
                          within=SHARE),
                Condition(
                    f"{size}: R^2 of a logistic curve in log2 exposures less that of a line",
                    better, 0.0, 0.05,
                ),
            ]  # fmt: skip
        small, large = ([row[size]["threshold"] for row in rows] for size in self.sizes)
        falls = [math.log2(one / other) for one, other in zip(small, large, strict=True)]
        what = f"exposures for half recall, {self.sizes[0]} over {self.sizes[1]}, in doublings"
        return [*held, Condition(what, falls, 0.0, _APART)]

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Recall against exposures by size."""
        points = [
            (f"{size} ({row[size]['parameters'] / 1e6:.2f} M parameters)", level, recall, model)
            for size in self.sizes
            for model, row in enumerate(rows)
            for level, recall in row[size]["curve"]
        ]
        return Picture("exposures of the fact", "facts recalled (share)", points,
                       "Recall rises with exposures along an S-curve, earlier in the larger model.",
                       "Recall against exposures for two sizes of model.",
                       log=True, within=SHARE)  # fmt: skip
