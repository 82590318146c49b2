"""Gate 2: bits stored per parameter rise with exposures and never exceed about 2."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import polars as pl

from behemoth.study.analysis.capacity import stored_bits

from .bench import Bench, Frequency, Units
from .record import Judgement, Seen, shown

__all__ = ["Capacity", "judge"]

_LIMIT = 2.1  # bits a parameter: "about 2"
_AT_100 = (0.5, 2.0)  # "about 1 at 100 exposures"
_OFFERED = 1.0  # bits a parameter that a world must offer for its ceiling to be seen


def judge(density: Sequence[tuple[int, float]], offered: float, objects: int) -> Judgement:
    """Judge bits stored per parameter.

    Parameters
    ----------
    density : sequence of (int, float)
        Exposures, and bits per parameter if all facts were stored as well as those of that
        level.
    offered : float
        Bits per parameter that the world holds.
    objects : int
        Of a relation.
    """
    (fewest, low), (most, high) = density[0], density[-1]
    said = (
        f"{shown(low)} bits a parameter at {fewest} exposures, {shown(high)} at {most}, of "
        f"{shown(offered)} that the world offers"
    )
    rises = all(b >= a - 0.02 * high for (_, a), (_, b) in itertools.pairwise(density))
    if not rises or high <= low or max(bits for _, bits in density) > _LIMIT:
        return Judgement("not reproduced", said)
    if offered < _OFFERED:
        facts = math.ceil(2 / math.log2(objects) * 1e6)
        return Judgement(
            "not shown at this size",
            f"{said}: they rise, and stay below 2 because there is no more to store",
            f"a world that offers 2 bits a parameter (about {facts:,} facts of {objects} objects "
            "for each million parameters) at 100 to 1,000 exposures: 1 bit is expected at 100",
        )
    near = min(density, key=lambda pair: abs(math.log(pair[0] / 100)))
    said += f", {shown(near[1])} at {near[0]}"
    fits = _AT_100[0] <= near[1] <= _AT_100[1]
    return Judgement("reproduced" if fits else "not reproduced", said)


@dataclass(frozen=True)
class Capacity:
    """The shared model, level by level."""

    number: ClassVar[int] = 2
    title: ClassVar[str] = "Bits stored per parameter rise with exposures, up to about 2"
    rule: ClassVar[str] = (
        f"bits per parameter rise from level to level and never exceed {_LIMIT}; where the world "
        f"offers at least {_OFFERED:g} a parameter, {_AT_100[0]} to {_AT_100[1]:g} are stored at "
        "the level nearest to 100 exposures; where it offers less the ceiling is not shown"
    )
    source: ClassVar[str] = "Allen-Zhu and Li 2024, arXiv 2404.05405, section 2"

    world: Frequency = field(default_factory=Frequency)

    def units(self, threads: int) -> Units:
        """The shared model."""
        return Units({"model": self.world.model(threads=threads)})

    def look(self, bench: Bench) -> Seen:
        """Judge bits stored by exposures."""
        frame = bench.recall("model")
        parameters = bench.model("model").parameters
        per_parameter = frame.height / parameters
        levels = frame.group_by("exposures").agg(stored_bits().alias("bits"), facts=pl.len())
        levels = levels.sort("exposures")
        pairs = levels.select("exposures", "bits").iter_rows()
        density = [(int(level), bits * per_parameter) for level, bits in pairs]
        stored = float((levels["bits"] * levels["facts"]).sum()) / parameters
        offered = frame.height * math.log2(self.world.objects) / parameters
        numbers = {
            "exposures": [level for level, _ in density],
            "bits_per_parameter": [bits for _, bits in density],
            "stored_per_parameter": stored,
            "offered_per_parameter": offered,
        }
        done = f"{self.world.told}; {bench.steps('model')}"
        return Seen(done, numbers, judge(density, offered, self.world.objects))
