"""The family of contrasts that a study tests, stated beforehand and in a fixed order.

At most six, with a chance of 5 % that any true null hypothesis among them is rejected, whichever
of them are true (strong control of the family-wise error):

1. the effect over all facts, at 5 %;
2. if that was rejected, the effect over facts known before the edit, at 5 %;
3. if that was, too, the others by Holm's method (1979) at 5 % together.

Each gate is passed only by a rejection, so what comes after it may use the whole 5 % again
(Maurer, Hothorn and Lehmacher, 1995; Dmitrienko and Tamhane, 2007, serial gatekeeping). Everything
else that a study estimates is descriptive: it has intervals and no test.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["GATES", "REST", "gatekept"]

GATES = ("all", "known")
"""Filters of the primary contrast, in the order in which they are tested."""
REST = ("dose_curvature", "dose_within_fact", "dose_margin", "dose_load")
"""What is tested of the dose after both, over all facts. A study without twins, or of one load, has
fewer: its design decides that, and not what came of it."""


def gatekept(gates: Sequence[float | None], rest: Sequence[float | None]) -> list[float]:
    """Adjust the p-values of the family: what is at most 0.05 is rejected at 5 % of the whole.

    Parameters
    ----------
    gates : sequence of float or None
        Two-sided p-values in the order of the gates; None for what could not be tested, which is
        not rejected.
    rest : sequence of float or None
        Those after the gates.

    Returns
    -------
    list of float
        First of the gates, then of the rest: none is below any of the gates before it.
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
