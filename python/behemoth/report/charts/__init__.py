"""The figures of a report, one module each, in the order of the page.

Each module of `CHARTS` has a function that takes a `Summary` and returns a `Figure`, or an `Absent`
with the reason why it cannot be drawn.
"""

from __future__ import annotations

from collections.abc import Callable

from behemoth.report.style import Absent, Figure
from behemoth.study.analysis.summary import Summary

from .capacity import capacity
from .consequences import consequences
from .damage import damage
from .dose import dose
from .flip import flip
from .geometry import geometry
from .heat import heat
from .matched import matched
from .mediation import mediation
from .placement import placement
from .recall import recall
from .retention import retention
from .slopes import slopes
from .tradeoff import tradeoff

__all__ = ["CHARTS"]

CHARTS: tuple[Callable[[Summary], Figure | Absent], ...] = (
    dose,
    slopes,
    mediation,
    flip,
    tradeoff,
    damage,
    heat,
    consequences,
    placement,
    matched,
    retention,
    geometry,
    recall,
    capacity,
)
