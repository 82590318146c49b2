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
    """What is drawn.

    Attributes
    ----------
    x, y : str
        Titles of the axes, with units.
    points : list of (series, x, y, model)
    claim : str
        What the figure shows if the claim holds, in a sentence.
    shows : str
        What is drawn, whatever came of it, in a sentence.
    log : bool
        x on a logarithmic axis.
    names : tuple of str
        What x = 0, 1, ... stand for, if they are no numbers.
    within : (float, float)
        What y can be, which intervals are cut to.
    apart : mapping
        What y can be by series, if each has a panel of its own; the series is then the title of its
        axis, with the unit, and `y` is what they have in common.
    missing : str
        Why a model may have no number at a point, in a clause.
    note : str
        What else a reader has to know, in sentences.
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
    """Mean of the models that have a number, by series and x.

    Returns
    -------
    polars.DataFrame
        series, x, mean, low, high (95%, Student's t over models, cut to what y can be; null for one
        model, and if all have the same number), models (that have a number) and missing (that have
        none). No row where none has one.
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
