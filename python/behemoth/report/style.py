"""Style of the report's charts: one theme, one palette for methods, one for exposures.

Methods have the colours of Okabe and Ito (2008), which can be distinguished with any kind of colour
vision, and some more; exposures have viridis, dark for few and light for many, without its palest
end. Exposures are on a log2 axis with plain numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import polars as pl

__all__ = [
    "BLUE",
    "INK",
    "NOTHING",
    "ORANGE",
    "PAPER",
    "QUIET",
    "SCREEN",
    "SHAPES",
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
    "heat_map",
    "label_colours",
    "label_shapes",
    "log_axis",
    "number",
    "only",
    "positions",
    "repeated_shapes",
    "rows",
    "shape_of",
    "wide",
]

BLUE, ORANGE, INK, QUIET = "#0072B2", "#D55E00", "#1f2328", "#59636e"
_OKABE_ITO = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C7A00",
              "#7F7F7F", "#5B3A8E")  # fmt: skip
_VIRIDIS = ("#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58",
            "#b5de2b")  # fmt: skip
NOTHING = "\u2013"
"""Written where there is no number."""
SHAPES = ("circle", "diamond", "square", "triangle-up")
"""Shapes of points, which a page's legend draws too."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"
SERIF = "'Nimbus Roman', 'Times New Roman', 'Liberation Serif', 'DejaVu Serif', serif"


@dataclass(frozen=True)
class Style:
    """Style of figures in files.

    Attributes
    ----------
    font : str
    size : int
        Size of axis labels in pixels, which are points in a PDF.
    one, panel : int
        Width of the only panel of a figure, and of one of several, in pixels.
    most : int
        Maximum number of panels in a row.
    height : float
        Height of panels as a share of their height on screen.
    ink, quiet, lines : str
        Colours of titles, labels and axes.
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
"""For print: a serif font, black axes, two panels across a page, one across a column."""
STYLES = {"screen": SCREEN, "paper": PAPER}


@dataclass(frozen=True)
class Panel:
    """One chart of a figure.

    Attributes
    ----------
    title : str
        Title; empty for figures of one panel.
    chart : altair.Chart or altair.LayerChart
        Chart without a width.
    height : int
        Height in pixels.
    """

    title: str
    chart: Any
    height: int = 280


@dataclass(frozen=True)
class Figure:
    """A figure: its panels, texts, and the frame that it shows.

    Attributes
    ----------
    name : str
        Name of its files.
    title, caption : str
        Title, and caption with n and the kind of intervals.
    panels : tuple of Panel
    frame : polars.DataFrame
    legend : tuple of (str, str)
        Entries and their colours, shared by all panels.
    legend_title : str
    marks : str
        Text beside the legend that explains marks such as open points.
    finding : str
        Main result with its size, or empty.
    shapes : mapping of str to str
        Shapes of entries that are not circles, of `SHAPES`: those that share a colour with another
        entry, or that must differ without colours.
    own_colours : bool
        Whether each panel has its own scale of colours, also in files.
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
    shapes: Mapping[str, str] = field(default_factory=dict)
    own_colours: bool = False


@dataclass(frozen=True)
class Absent:
    """A figure that cannot be drawn for lack of data.

    Attributes
    ----------
    name, title : str
    why : str
        The reason, as a sentence.
    """

    name: str
    title: str
    why: str


def config(style: Style = SCREEN) -> dict[str, Any]:
    """Return the theme as Vega-Lite's config."""
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
        # The title is above the axis: rotated titles need width that phones do not have.
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
    """Return a colour for each method (or size), by its position."""
    return {label: _OKABE_ITO[place % len(_OKABE_ITO)] for place, label in enumerate(labels)}


def label_shapes(labels: Sequence[str]) -> dict[str, str]:
    """Return a shape for each method whose colour in `label_colours` is that of an earlier one."""
    laps = {label: place // len(_OKABE_ITO) for place, label in enumerate(labels)}
    return {label: SHAPES[lap % len(SHAPES)] for label, lap in laps.items() if lap}


def repeated_shapes(colours: Mapping[str, str]) -> dict[str, str]:
    """Return the shapes of entries whose colour an earlier one has; empty if all colours differ."""
    repeated = len(set(colours.values())) < len(colours)
    return label_shapes(list(colours)) if repeated else {}


def exposure_colours(levels: Sequence[int]) -> dict[str, str]:
    """Return a colour for each level of exposures by its rank, dark for few."""
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
    """Return the colour encoding of a field, without a legend, which the page draws."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=None)


def shape_of(field: str, entries: Iterable[str], shapes: Mapping[str, str]) -> alt.Shape:
    """Return the shape encoding of a field: circles, except for entries in `shapes`."""
    names = list(entries)
    scale = alt.Scale(domain=names, range=[shapes.get(name, SHAPES[0]) for name in names])
    return alt.Shape(f"{field}:N", scale=scale, legend=None)


def faded(field: str) -> Any:
    """Return an opacity that fades all but the entry selected in the page's legend."""
    chosen = f"only === '' || datum.{field} === only"
    return alt.condition(chosen, alt.value(1.0), alt.value(0.12))


def only() -> Any:
    """Return the parameter that the page's legend sets."""
    return alt.param(name="only", value="")


def heat_map(base: Any, field: str, title: str, scale: alt.Scale, *, said: bool = True) -> Any:
    """Draw `base` as cells coloured by a field, with the legend of the colours below.

    Parameters
    ----------
    base : alt.Chart
        Columns `field` and, for numbers in the cells, said (their text) and light (whether the
        cell is light).
    field, title : str
        The field, and the title of its legend.
    scale : alt.Scale
    said : bool
        Whether cells have numbers.
    """
    legend = alt.Legend(title=title, orient="bottom", direction="horizontal",
                        gradientLength=160, gradientThickness=8, tickCount=3, format="~g",
                        titleOrient="left")  # fmt: skip
    cells = base.mark_rect(stroke="white", strokeWidth=1.5).encode(
        color=alt.Color(f"{field}:Q", scale=scale, legend=legend)
    )
    if not said:
        return cells
    ink = alt.condition("datum.light", alt.value(INK), alt.value("white"))
    return cells + base.mark_text(fontSize=11).encode(text="said:N", color=ink)


def positions() -> pl.Expr:
    """Return positions of exposures on a log axis: 0 at one half, shifted by ``dodge``."""
    at = pl.col("exposures").cast(pl.Float64).clip(lower_bound=0.5)
    return at * pl.lit(2.0) ** pl.col("dodge")


def exposure_axis(levels: Sequence[int]) -> alt.X:
    """Return the log2 axis of the field ``at``, exposures, labelled with plain numbers."""
    ticks = sorted({max(0.5, float(level)) for level in levels})
    low, high = ticks[0] / 1.35, ticks[-1] * 1.35
    return alt.X(
        "at:Q",
        title="exposures of the fact (log scale)",
        scale=alt.Scale(type="log", base=2, domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks, labelExpr="datum.value < 1 ? '0' : format(datum.value, ',')"),
    )


_SMALL = 0.25  # below it, powers of two are no plain numbers


def wide(low: float, high: float) -> bool:
    """Return whether `log_axis` is logarithmic for this range."""
    return low > 0 and high / low >= 6


def log_axis(
    field: str, title: str, low: float, high: float, *, zero: float | None = None
) -> alt.Y:
    """Return a logarithmic axis with plain numbers, or a linear one from 0 if the range is narrow.

    Ticks are powers of two or, below a quarter, decimal: 0.00390625 is hard to read. Ticks up to
    `zero` are labelled 0.
    """
    if not wide(low, high):
        return alt.Y(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, high * 1.08]))
    if low < _SMALL:
        ends = [low / 1.1, high * 1.1]
        return alt.Y(
            f"{field}:Q",
            title=title,
            scale=alt.Scale(type="log", domain=ends, nice=False),
            axis=alt.Axis(values=decades(*ends), format="~g"),
        )
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
    """Return ticks of a log10 axis: 1, 2 and 5 times powers of ten, or these over many decades."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low <= 100 else (1,)
    return [
        tick for power in powers for step in steps if low <= (tick := step * 10.0**power) <= high
    ]


def rows(frame: pl.DataFrame) -> alt.Data:
    """Return the rows of a frame as inline data: infinite values and NaN become null.

    Floats are rounded to six significant digits.
    """
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    kept = frame.with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name).round_sig_figs(6)).alias(name)
        for name in floats
    )
    return alt.Data(values=kept.to_dicts())


def number(value: float | None, digits: int = 3) -> str:
    """Format a number with thousands separators and `digits` significant digits; a dash if None."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "\u2212∞"
    if value == 0:
        return "0"
    # Rounded first: 0.0999 with two digits is 0.10 and not 0.100.
    rounded = float(f"{value:.{digits - 1}e}")
    places = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    if places > 6:
        return f"{value:.1e}".replace("-", "\u2212")
    return f"{value:,.{places}f}".replace("-", "\u2212")
