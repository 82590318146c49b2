"""What the figure of a gate shows: means over models with intervals, and every model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    missing : str
        Why a model may have no number at a point, in a clause.
    note : str
        What else a reader has to know, in sentences.
    """

    x: str
    y: str
    points: Sequence[Point]
    claim: str
    log: bool = False
    names: tuple[str, ...] = ()
    missing: str = "it has no number there"
    note: str = ""

    @property
    def frame(self) -> pl.DataFrame:
        """series, x, y, model: one row a model and point; y is null where there is no number."""
        schema = {"series": pl.String, "x": pl.Float64, "y": pl.Float64, "model": pl.Int64}
        frame = pl.DataFrame(list(self.points), schema=schema, orient="row")
        return frame.with_columns(pl.when(pl.col("y").is_finite()).then("y").alias("y"))


def means(frame: pl.DataFrame) -> pl.DataFrame:
    """Mean of the models that have a number, by series and x.

    Returns
    -------
    polars.DataFrame
        series, x, mean, low, high (95%, Student's t over models; null for one alone), models
        (that have a number) and missing (that have none). No row where none has one.
    """
    from scipy import stats

    rows: list[tuple[Any, ...]] = []
    for (series, x), part in frame.group_by("series", "x", maintain_order=True):
        values = part["y"].drop_nulls().to_numpy()
        count = len(values)
        if not count:
            continue
        mean, low, high = float(values.mean()), None, None
        if count > 1:
            edge = float(stats.t.ppf(0.975, count - 1))
            half = edge * float(values.std(ddof=1)) / math.sqrt(count)
            low, high = mean - half, mean + half
        rows.append((series, x, mean, low, high, count, part.height - count))
    schema: dict[str, Any] = {
        "series": pl.String, "x": pl.Float64, "mean": pl.Float64, "low": pl.Float64,
        "high": pl.Float64, "models": pl.Int64, "missing": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
