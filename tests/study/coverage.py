"""How often intervals of time ratios hold the truth, and how often a family raises a false alarm.

Simulated studies with known effects: clusters whose slopes and intercepts are drawn, doses that are
seen between whole steps, some beyond the last step and some 0, two loads and two rotations to each
cluster. `python tests/study/coverage.py CLUSTERS RUNS [NOISE]` prints a table. Doses are
`lognormal`, or `exponential`, a Weibull of shape 1; both likelihoods are fitted to either.
"""

import math
import runpy
import sys
from pathlib import Path

import numpy as np

from behemoth.study.analysis.dose import filtered
from behemoth.study.analysis.family import gatekept
from behemoth.study.analysis.time_ratio import (
    curvature,
    direct_ratio,
    load_interaction,
    time_ratio,
    within_fact_ratio,
)

draw = runpy.run_path(str(Path(__file__).parent / "synthetic.py"))["draw"]

FAMILY = ("all", "known", "curvature", "within fact", "margin held fixed", "load")
NAMES = (*FAMILY, "all, Weibull", "known, Weibull")
NOISES = ("lognormal", "exponential")
SCENARIOS = {
    # What is true of each: on log doses, so a log hazard or rate of the other sign.
    "no effect": {"slope": 0.0, "through_margin": 0.0},
    "an effect": {"slope": -0.08, "through_margin": 0.0},
    "an effect through the margin": {"slope": 0.0, "through_margin": -0.08},
    "an effect of the subject's total": {"slope": 0.0, "through_margin": 0.0, "by_total": -0.15},
}


def truth(slope, through_margin, by_total=0.0):
    """The log time ratios, in the order of `NAMES`; the margin grows by one nat a doubling.

    They hold the subject's total fixed, so that its own effect is in none of them.
    """
    total = -slope - through_margin
    return np.array([total, total, 0.0, total, -slope, 0.0, total, total])


def estimates(clusters, scenario, seed, noise):
    """The six of the family, and two with the other likelihood, of one simulated study."""
    frames = draw(
        probes=0, worlds=clusters, edits=6, rotations=2, loads=(1, 2), noise=noise,
        already=0.05, limit=40, scatter=0.3, wander=0.04, seed=seed, **SCENARIOS[scenario],
    )  # fmt: skip
    edits = frames.edits.collect()
    known = filtered(edits, "known")
    return [
        time_ratio(edits),
        time_ratio(known),
        curvature(edits),
        within_fact_ratio(edits),
        direct_ratio(edits),
        load_interaction(edits, frames.models.collect()),
        time_ratio(edits, distribution="weibull"),
        time_ratio(known, distribution="weibull"),
    ]


def simulate(clusters, scenario, runs, noise="lognormal"):
    """Give the share of intervals that hold the truth, by name, and the share of false alarms."""
    true = truth(**SCENARIOS[scenario])
    held, alarms = np.zeros(len(NAMES)), 0
    for seed in range(runs):
        found = estimates(clusters, scenario, seed, noise)
        held += [each.low <= value <= each.high for each, value in zip(found, true, strict=True)]
        p = [each.p for each in found[: len(FAMILY)]]
        adjusted = gatekept(p[:2], p[2:])
        alarms += any(
            q <= 0.05 and value == 0 for q, value in zip(adjusted, true[: len(FAMILY)], strict=True)
        )
    return dict(zip(NAMES, (held / runs).tolist(), strict=True)), alarms / runs


if __name__ == "__main__":
    clusters, runs = int(sys.argv[1]), int(sys.argv[2])
    noise = sys.argv[3] if len(sys.argv) > 3 else NOISES[0]
    error = math.sqrt(0.05 * 0.95 / runs)
    write = sys.stdout.write
    write(f"{clusters} clusters, {runs} runs, {noise} doses, ")
    write(f"Monte Carlo standard error at 5 %: {error:.1%}\n")
    for scenario in SCENARIOS:
        held, alarms = simulate(clusters, scenario, runs, noise)
        said = ", ".join(f"{name} {share:.1%}" for name, share in held.items())
        write(f"{scenario}: {said}; false alarms {alarms:.1%}\n")
