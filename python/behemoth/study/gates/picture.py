"""What the figure of a gate shows: means over models with intervals, and every model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

__all__ = ["Picture", "Point", "means"]

Point = tuple[str, float, float, int]
"""(series, x, y, model)"""


@dataclass(frozen=True)
class Picture:
    """What is drawn.

    Attributes
    ----------
    x, y : str
        Titles of the axes, with units.
    points : list of (series, x, y, model)
    log : bool
        x on a logarithmic axis.
    names : tuple of str
        What x = 0, 1, ... stand for, where they are no numbers.
    claim : str
        What the figure is to show, in a sentence.
    """

    x: str
    y: str
    points: Sequence[Point]
    claim: str
    log: bool = False
    names: tuple[str, ...] = ()

    @property
    def frame(self) -> pl.DataFrame:
        """series, x, y, model: one row a model and point."""
        schema = {"series": pl.String, "x": pl.Float64, "y": pl.Float64, "model": pl.Int64}
        return pl.DataFrame(list(self.points), schema=schema, orient="row").filter(
            pl.col("y").is_finite()
        )


def means(frame: pl.DataFrame) -> pl.DataFrame:
    """Mean, low and high (95%, Student's t over models) by series and x; models."""
    from scipy import stats

    rows = []
    for (series, x), part in frame.group_by("series", "x", maintain_order=True):
        values = part["y"].to_numpy()
        count, mean = len(values), float(values.mean())
        half = (
            float(stats.t.ppf(0.975, count - 1)) * float(values.std(ddof=1)) / math.sqrt(count)
            if count > 1
            else 0.0
        )
        rows.append((series, x, mean, mean - half, mean + half, count))
    return pl.DataFrame(rows, schema=["series", "x", "mean", "low", "high", "models"], orient="row")
