"""How the report's charts look: one theme, one palette for methods, one for exposures.

Methods have the colours of Okabe and Ito (2008), which people with any kind of colour vision tell
apart; exposures have viridis, dark for few and light for many, without its palest end. Exposures
stand on a log2 axis with plain numbers, on all charts alike.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

__all__ = [
    "BLUE",
    "INK",
    "ORANGE",
    "PAPER",
    "QUIET",
    "SCREEN",
    "STYLES",
    "Absent",
    "Figure",
    "Panel",
    "Style",
    "colour_of",
    "config",
    "decades",
    "exposure_axis",
    "exposure_colours",
    "faded",
    "label_colours",
    "log_axis",
    "number",
    "only",
    "positions",
    "rows",
    "shape_of",
]

BLUE, ORANGE, INK, QUIET = "#0072B2", "#D55E00", "#1f2328", "#59636e"
_OKABE_ITO = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C7A00",
              "#7F7F7F", "#5B3A8E")  # fmt: skip
_VIRIDIS = ("#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58",
            "#b5de2b")  # fmt: skip
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"
SERIF = "'Nimbus Roman', 'Times New Roman', 'Liberation Serif', 'DejaVu Serif', serif"


@dataclass(frozen=True)
class Style:
    """How figures are written to files.

    Attributes
    ----------
    font : str
    size : int
        Of the words on axes, in pixels, which are points of a PDF.
    one, panel : int
        Width of the only panel of a figure, and of one of several.
    most : int
        Panels in a row.
    height : float
        Of panels, as a share of what a screen gives them.
    ink, quiet, lines : str
        Colours of titles, of labels, and of axes.
    """

    font: str
    size: int
    one: int
    panel: int
    most: int
    height: float
    ink: str
    quiet: str
    lines: str


SCREEN = Style(FONT, 11, 520, 340, 3, 1.0, INK, QUIET, "#9aa1a9")
PAPER = Style(SERIF, 9, 300, 205, 2, 0.6, "#000000", "#000000", "#000000")
"""For print: a serif, black axes, two panels across the width of a page, one in a column."""
STYLES = {"screen": SCREEN, "paper": PAPER}


@dataclass(frozen=True)
class Panel:
    """One chart of a figure.

    Attributes
    ----------
    title : str
        Empty for figures of one panel.
    chart : altair.Chart or altair.LayerChart
        As wide as its container.
    height : int
        Pixels.
    """

    title: str
    chart: Any
    height: int = 280


@dataclass(frozen=True)
class Figure:
    """A figure: panels, what they say, and the frame behind them.

    Attributes
    ----------
    name : str
        Of its files.
    title, caption : str
        Captions say n and what intervals are.
    panels : tuple of Panel
    frame : polars.DataFrame
    legend : tuple of (str, str)
        Entry and colour; shared by all panels.
    legend_title : str
    marks : str
        A line beside the legend that explains open points and the like.
    finding : str
        What it shows, in one sentence with the size of the effect; empty where nothing can be said.
    diamonds : frozenset of str
        Entries whose points are diamonds, for those that share a colour with another.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    frame: pl.DataFrame
    legend: tuple[tuple[str, str], ...] = ()
    legend_title: str = ""
    marks: str = ""
    finding: str = ""
    diamonds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Absent:
    """A figure that there is no data for.

    Attributes
    ----------
    name, title : str
    why : str
        A sentence.
    """

    name: str
    title: str
    why: str


def config(style: Style = SCREEN) -> dict[str, Any]:
    """The theme, as Vega-Lite's config."""
    axis = {"labelColor": style.quiet, "titleColor": style.ink, "gridColor": "#e6e8eb",
            "domainColor": style.lines,
            "tickColor": style.lines, "labelFontSize": style.size, "titleFontSize": style.size + 1,
            "titleFontWeight": "normal", "labelFont": style.font,
            "titleFont": style.font}  # fmt: skip
    return {
        "background": "white",
        "font": style.font,
        "padding": 4,
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False, "titlePadding": 8, "labelOverlap": "greedy"},
        # The title lies over the axis: upright titles cost width that phones do not have.
        "axisY": {"domain": False, "ticks": False, "titleAngle": 0, "titleAlign": "left",
                  "titleAnchor": "end", "titleX": -34, "titleY": -14, "titleBaseline": "bottom"},
        "line": {"strokeWidth": 2},
        "point": {"filled": True, "size": 48},
        "rule": {"strokeWidth": 1.5},
        "legend": {"labelFont": style.font, "titleFont": style.font, "titleFontWeight": "normal",
                   "labelFontSize": style.size, "titleFontSize": style.size + 1,
                   "labelLimit": 260},
        "title": {"font": style.font, "fontSize": style.size + 2, "fontWeight": 600,
                  "anchor": "start", "offset": 22, "color": style.ink},
    }  # fmt: skip


def label_colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each method (or size), in the order given."""
    return {label: _OKABE_ITO[place % len(_OKABE_ITO)] for place, label in enumerate(labels)}


def exposure_colours(levels: Sequence[int]) -> dict[str, str]:
    """A colour for each level of exposures, by its rank, dark for few."""
    ordered = sorted(set(levels))
    steps = max(1, len(ordered) - 1)
    found = {}
    for place, level in enumerate(ordered):
        at = place / steps * (len(_VIRIDIS) - 1)
        low = min(int(at), len(_VIRIDIS) - 2)
        found[f"{level:,}"] = _between(_VIRIDIS[low], _VIRIDIS[low + 1], at - low)
    return found


def _between(one: str, other: str, share: float) -> str:
    pairs = [(int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def colour_of(field: str, colours: dict[str, str]) -> alt.Color:
    """Colour by a field whose legend the page draws itself."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=None)


def shape_of(field: str, entries: Iterable[str], diamonds: Container[str]) -> alt.Shape:
    """Shape by the same field: circles, and diamonds for entries that share a colour with one."""
    names = list(entries)
    shapes = ["diamond" if name in diamonds else "circle" for name in names]
    return alt.Shape(f"{field}:N", scale=alt.Scale(domain=names, range=shapes), legend=None)


def faded(field: str, strong: float = 1.0) -> Any:
    """Opacity that fades all but what was clicked on in the page's legend."""
    chosen = f"only === '' || datum.{field} === only"
    return alt.condition(chosen, alt.value(strong), alt.value(0.12))


def only() -> Any:
    """The parameter that the page's legend sets."""
    return alt.param(name="only", value="")


def positions(exposures: str = "exposures", dodge: str | None = None) -> pl.Expr:
    """Where exposures stand on a log axis: those of 0 at one half, with a shift in doublings."""
    at = pl.col(exposures).cast(pl.Float64).clip(lower_bound=0.5)
    return at if dodge is None else at * pl.lit(2.0) ** pl.col(dodge)


def exposure_axis(
    levels: Sequence[int], title: str = "exposures of the fact (log scale)", field: str = "at"
) -> alt.X:
    """The log2 axis of exposures, with plain numbers."""
    ticks = sorted({max(0.5, float(level)) for level in levels})
    low, high = ticks[0] / 1.35, ticks[-1] * 1.35
    return alt.X(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", base=2, domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks, labelExpr="datum.value < 1 ? '0' : format(datum.value, ',')"),
    )


def log_axis(
    field: str, title: str, low: float, high: float, *, zero: float | None = None
) -> alt.Y:
    """A log2 axis with plain numbers; a linear one from 0 where the range is narrow.

    What stands at `zero` is called 0.
    """
    if low <= 0 or high / low < 6:
        return alt.Y(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, high * 1.08]))
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high * 1.02))
    ticks = [2.0**power for power in range(first, last + 1)]
    expression = "format(datum.value, '~g')"
    if zero is not None:
        expression = f"datum.value <= {zero} ? '0' : {expression}"
    return alt.Y(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", base=2, domain=[ticks[0], ticks[-1]], nice=False),
        axis=alt.Axis(values=ticks, labelExpr=expression),
    )


def decades(low: float, high: float) -> list[float]:
    """Ticks of a log10 axis: 1, 2 and 5 times powers of ten, fewer over many decades."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 3 else (1,)
    return [
        tick for power in powers for step in steps if low <= (tick := step * 10.0**power) <= high
    ]


def rows(frame: pl.DataFrame) -> alt.Data:
    """The rows of a frame inside the spec: what is infinite or no number becomes null."""
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    kept = frame.with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name).round_sig_figs(6)).alias(name)
        for name in floats
    )
    return alt.Data(values=kept.to_dicts())


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: thousands apart, `digits` significant digits; a dash for none."""
    if value is None or math.isnan(value):
        return "\u2013"
    if math.isinf(value):
        return "∞" if value > 0 else "\u2212∞"
    if value == 0:
        return "0"
    # To the digits first: 0.0999 to two of them is 0.10 and not 0.100.
    rounded = float(f"{value:.{digits - 1}e}")
    places = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    if places > 6:
        return f"{value:.1e}".replace("-", "\u2212")
    return f"{value:,.{places}f}".replace("-", "\u2212")
