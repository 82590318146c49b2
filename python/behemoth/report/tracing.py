"""Results of causal tracing as heat maps: tokens by layers, one panel per kind of state."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.evaluate.trace import KINDS, ROLES
from behemoth.support.text import plural_text

from .style import Figure, Panel, heat_map, number, rows

__all__ = ["tracing"]

_TITLE = "Causal tracing: how much of an answer a restored state recovers under noise"
_INTERVALS = "; 95% intervals of the bootstrap over facts are in the tooltips"
_PANELS = {"block": "block's output", "mlp": "MLP", "attention": "attention"}


def tracing(summary: pl.DataFrame) -> Figure:
    """Draw mean indirect effects.

    Parameters
    ----------
    summary : polars.DataFrame
        See `behemoth.evaluate.Traced`.
    """
    most = int(summary["facts"].max())  # type: ignore[arg-type]
    caption = (
        f"Mean indirect effect on the probability of the answer, n = {plural_text(most, 'fact')}"
        f"{_INTERVALS if most > 1 else ''}. All panels have the same colour scale."
    )
    panels = [
        Panel(_PANELS[kind], _chart(summary.filter(pl.col("kind") == kind), summary), 180)
        for kind in KINDS
    ]
    return Figure("trace", _TITLE, caption, tuple(panels), summary)


def _chart(part: pl.DataFrame, whole: pl.DataFrame) -> Any:
    high = max(float(whole["indirect_effect"].max()), 1e-6)  # type: ignore[arg-type]
    drawn = part.with_columns(
        pl.col("layer").cast(pl.String).alias("at"),
        pl.col("role").str.replace("_", " ").alias("token"),
        pl.col("indirect_effect")
        .map_elements(lambda value: number(value, 2), pl.String)
        .alias("said"),
        (pl.col("indirect_effect") > high / 2).alias("light"),
    )
    base = alt.Chart(rows(drawn)).encode(
        x=alt.X("at:N", sort=[str(layer) for layer in sorted(part["layer"].unique())],
                title="layer", axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("token:N", sort=[role.replace("_", " ") for role in ROLES], title=None),
        tooltip=[
            alt.Tooltip("token:N"),
            alt.Tooltip("layer:Q"),
            alt.Tooltip("indirect_effect:Q", format=".3f", title="indirect effect"),
            alt.Tooltip("low:Q", format=".3f"),
            alt.Tooltip("high:Q", format=".3f"),
            alt.Tooltip("facts:Q", format=","),
        ],
    )  # fmt: skip
    scale = alt.Scale(scheme="viridis", domain=[0, high], clamp=True)
    return heat_map(base, "indirect_effect", "indirect effect", scale)
