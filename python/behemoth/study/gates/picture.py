"""The data of a gate's figure: means over models with intervals, and every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from behemoth.study.analysis.ranges import ANY, Range

from .conditions import interval

__all__ = ["Picture", "Point", "means"]

Point = tuple[str, float, float, int]
"""(series, x, y, model)"""


@dataclass(frozen=True)
class Picture:
    """The data and texts of a figure.

    Attributes
    ----------
    x, y : str
        Titles of the axes, with units.
    points : list of (series, x, y, model)
    claim : str
        Sentence on what the figure shows if the claim holds.
    shows : str
        Sentence on what is drawn, whatever the outcome.
    log : bool
        Whether the x axis is logarithmic.
    names : tuple of str
        Names for x = 0, 1, ..., if they are not numbers.
    within : (float, float)
        Range of y, to which intervals are clipped.
    apart : mapping
        Range of y by series, if each series has its own panel; the name of the series is then the
        title of its axis, with the unit, and `y` is their common title.
    missing : str
        Clause on why a model may have no number at a point.
    note : str
        Further sentences for the reader.
    """

    x: str
    y: str
    points: Sequence[Point]
    claim: str
    shows: str
    log: bool = False
    names: tuple[str, ...] = ()
    within: Range = ANY
    apart: Mapping[str, Range] = field(default_factory=dict)
    missing: str = "it has no number there"
    note: str = ""

    @property
    def frame(self) -> pl.DataFrame:
        """One row per model and point: series, x, y, model; y is null if missing."""
        schema = {"series": pl.String, "x": pl.Float64, "y": pl.Float64, "model": pl.Int64}
        frame = pl.DataFrame(list(self.points), schema=schema, orient="row")
        return frame.with_columns(pl.when(pl.col("y").is_finite()).then("y").alias("y"))


def means(picture: Picture) -> pl.DataFrame:
    """Return the mean over models that have a number, by series and x.

    Returns
    -------
    polars.DataFrame
        Columns series, x, mean, low, high (95%, Student's t over models, clipped to the range of y;
        null for one model, and if all have the same number), models (with a number) and missing
        (models without). Points without any number have no row.
    """
    rows: list[tuple[Any, ...]] = []
    for (series, x), part in picture.frame.group_by("series", "x", maintain_order=True):
        values = part["y"].drop_nulls().to_numpy()
        count = len(values)
        if count:
            within = picture.apart.get(str(series), picture.within)
            rows.append((series, x, *interval(values, within), count, part.height - count))
    schema: dict[str, Any] = {
        "series": pl.String, "x": pl.Float64, "mean": pl.Float64, "low": pl.Float64,
        "high": pl.Float64, "models": pl.Int64, "missing": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
