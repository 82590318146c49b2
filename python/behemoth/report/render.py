"""Figures as Vega-Lite specs, for the page and for files."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt
import vl_convert

from .style import SCREEN, Figure, Style, config

__all__ = ["embedded", "exported", "javascript", "pdf", "png", "svg"]

_VERSION = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
_PNG_SCALE = 2.5


@cache
def javascript(snippet: str) -> str:
    """Return a bundle of Vega, Vega-Lite, Vega-Embed and a snippet that may use ``vegaEmbed``.

    A bundle takes more than a second.
    """
    return vl_convert.javascript_bundle(snippet, vl_version=_VERSION)


def embedded(figure: Figure) -> list[dict[str, Any]]:
    """Return one spec per panel, as wide as its container."""
    specs = []
    for panel in figure.panels:
        chart = panel.chart.properties(
            width="container", height=panel.height,
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )  # fmt: skip
        specs.append({**chart.to_dict(), "config": config()})
    return specs


def exported(figure: Figure, style: Style = SCREEN) -> dict[str, Any]:
    """Return one spec of all panels in a grid, with their titles and the legend, for files."""
    charts = []
    for panel in figure.panels:
        wide = style.panel if len(figure.panels) > 1 else style.one
        chart = panel.chart.properties(width=wide, height=round(style.height * panel.height))
        charts.append(chart.properties(title=panel.title) if panel.title else chart)
    columns = min(style.most, len(charts) if len(charts) <= 3 else (2 if len(charts) == 4 else 3))
    whole = alt.concat(*charts, columns=columns, spacing=36)
    if figure.own_colours:  # by default, panels of one chart share a scale
        whole = whole.resolve_scale(color="independent")
    spec = whole.to_dict()
    _resize(spec, style.size / SCREEN.size)
    if figure.legend:
        _with_legend(spec, figure)
    return {**spec, "config": config(style)}


def _resize(node: Any, times: float) -> None:
    """Multiply the sizes of texts in charts, which otherwise are those of the page."""
    if isinstance(node, dict):
        mark = node.get("mark")
        if isinstance(mark, dict) and "fontSize" in mark:
            mark["fontSize"] *= times
        for child in node.values():
            _resize(child, times)
    elif isinstance(node, list):
        for child in node:
            _resize(child, times)


def _with_legend(spec: dict[str, Any], figure: Figure) -> None:
    """Add to the spec the legend of colours, which on the page is HTML."""
    legend = {"title": figure.legend_title or None, "orient": "bottom", "direction": "horizontal",
              "columns": 4, "symbolOpacity": 1}  # fmt: skip
    if not figure.shapes:  # otherwise the legend also shows the shapes
        legend["symbolType"] = "circle"

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for channel in ("color", "shape") if figure.shapes else ("color",):
                encoded = node.get(channel)
                if isinstance(encoded, dict) and "legend" in encoded and encoded["legend"] is None:
                    encoded["legend"] = legend
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(spec.get("concat", []))


def png(drawn: str) -> bytes:
    """Return a figure that was drawn as SVG as a PNG file.

    The bytes are those of drawing the specification, which takes twice as long.
    """
    return vl_convert.svg_to_png(drawn, scale=_PNG_SCALE)


def svg(spec: dict[str, Any]) -> str:
    """Return an exported figure as an SVG file."""
    return vl_convert.vegalite_to_svg(spec, vl_version=_VERSION)


def pdf(spec: dict[str, Any]) -> bytes:
    """Return an exported figure as a PDF file in which text stays text."""
    return vl_convert.vegalite_to_pdf(spec, vl_version=_VERSION)
