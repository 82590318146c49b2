"""The family of contrasts that a study tests, specified in advance and in a fixed order.

There are at most six, with a probability of at most 5 % that any true null hypothesis among them is
rejected, whichever of them are true (strong control of the family-wise error):

1. the effect over all facts, at 5 %;
2. if its null hypothesis is rejected, the effect over facts known before the edit, at 5 %;
3. if that one is rejected, too, the others by Holm's method (1979) at 5 % together.

Each gate is passed only by a rejection, so later tests may use the full 5 % again (Maurer, Hothorn
and Lehmacher, 1995; Dmitrienko and Tamhane, 2007, serial gatekeeping). All other estimates of a
study are descriptive: they have intervals and no test.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["GATES", "REST", "gatekept"]

GATES = ("all", "known")
"""Filters of the primary contrast, in the order in which they are tested."""
REST = ("dose_curvature", "dose_within_fact", "dose_margin", "dose_load")
"""Contrasts of the dose tested after both gates, over all facts. A study without rotated and
swapped worlds, or with one load among models that differ in nothing else, has fewer: its design
determines this, not its results."""


def gatekept(gates: Sequence[float | None], rest: Sequence[float | None]) -> list[float]:
    """Adjust the p-values of the family: those up to 0.05 are rejected at a family-wise 5 %.

    Parameters
    ----------
    gates : sequence of float or None
        Two-sided p-values in the order of the gates; None if a contrast could not be tested, which
        counts as not rejected.
    rest : sequence of float or None
        p-values of the contrasts after the gates.

    Returns
    -------
    list of float
        Adjusted p-values of the gates, then of the rest; none is below that of a gate before it.
    """
    passed, found = 0.0, []
    for p in gates:
        passed = max(passed, 1.0 if p is None else p)
        found.append(passed)
    values = [1.0 if p is None else p for p in rest]
    adjusted, worst = [1.0] * len(values), passed
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        worst = max(worst, min(1.0, values[index] * (len(values) - place)))
        adjusted[index] = worst
    return found + adjusted
