"""Gate 9: the reference's claims on the rank of an update, and on attention beside the MLP.

Ranks and parts are compared at equal success: of two arms, each is evaluated at the rate with the
least KL of bystanders among those at which as many edits succeed as in the weaker arm at its best
rate. At one rate for all, ranks would also differ in the size of a step (alpha / r).

The best rank and part are chosen on the other models and evaluated on the remaining one: the best
of four differences is above 0 even if they are noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import polars as pl

from behemoth.study.analysis.ranges import AMOUNT, CHANGE

from .conditions import Condition
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, SharedWorld, Units, consequences, mean_of, trial_unit

__all__ = ["RankAndPart", "cheapest", "matched"]

_SUCCESS = 0.9  # minimum share of successful edits for an arm's damage to count
_PARTS = ("mlp", "both")


def cheapest(arms: Mapping[str, Mapping[str, float]], success: float = _SUCCESS) -> str | None:
    """Return the rate of an arm with the least damage among those with enough success.

    Parameters
    ----------
    arms : mapping
        By rate: success (share) and kl (nats, of bystanders).

    Returns
    -------
    str or None
        None if no rate has enough success and a KL.
    """
    enough = [
        rate
        for rate, row in arms.items()
        if row["success"] >= success and not math.isnan(row["kl"])
    ]
    return min(enough, key=lambda rate: arms[rate]["kl"], default=None)


def matched(
    one: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]]
) -> tuple[Mapping[str, float], Mapping[str, float]] | None:
    """Return success and KL of two arms at their rates of least damage with equal success.

    Among rates at which as many edits succeed as in the weaker arm at its best rate.

    Parameters
    ----------
    one, other : mapping
        By rate: success (share) and kl.

    Returns
    -------
    pair of mapping, or None
        None if less than 90% of an arm's edits succeed at every rate.

    Examples
    --------
    >>> weak = {"1": {"success": 0.92, "kl": 0.1}, "3": {"success": 1.0, "kl": 0.3}}
    >>> strong = {"1": {"success": 1.0, "kl": 0.2}}
    >>> matched(weak, strong)[0]["kl"]
    0.3
    """
    asked = min(max((row["success"] for row in arm.values()), default=0.0) for arm in (one, other))
    rates = [cheapest(arm, max(asked, _SUCCESS)) for arm in (one, other)]
    if rates[0] is None or rates[1] is None:
        return None
    return one[rates[0]], other[rates[1]]


@dataclass(frozen=True)
class RankAndPart:
    """Single edits of a nested world, by rank, part and rate."""

    number: ClassVar[int] = 9
    name: ClassVar[str] = "rank-and-part"
    title: ClassVar[str] = "A lower rank is sometimes better; attention beside the MLP is better"
    source: ClassVar[str] = "Behemoth, arXiv 2601.23153"
    pilot: ClassVar[str] = (
        "nothing was run at this size. Afterwards the first condition was replaced: it "
        "had taken the best of four differences, which noise alone puts above 0, at unequal "
        "success. Numbers differ between runs of the same rule and seeds: an earlier run, on "
        "another processor and with earlier code, gave 0.060 [0.005, 0.115] for consequences that "
        "follow, and this one -0.008 [-0.087, 0.071], both by the earlier rule; by the present "
        "rule they give 0.103 [-0.004, 0.210] and 0.043 [-0.025, 0.111], and the same outcomes"
    )
    revised: ClassVar[bool] = True
    smaller: ClassVar[str] = ""
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("too few steps for full rank at a low learning rate: twice as many", {"steps": 60}),
        Reason("the learning rates do not enclose the best: one more on each side",
               {"rates": (0.1, 0.25, 1.0, 4.0, 10.0)}),
        Reason("a larger model (the reference's has 31 M parameters) derives what this one stores: "
               "`nano`",
               {"size": "nano", "rate": 2.5e-3}),
    )  # fmt: skip

    world: SharedWorld = field(default_factory=SharedWorld)
    size: str = "pico"
    rate: float = 4e-3
    nested: int = 10
    ranks: tuple[int, ...] = (1, 16)
    rates: tuple[float, ...] = (0.3, 1.0, 3.0)
    edits: int = 3
    steps: int = 30
    seeds: int = 3

    @property
    def setting(self) -> str:
        """World, model and methods."""
        return (
            f"{self.world.told}, each with a nested relation of {self.nested} objects; "
            f"{self.size}; {self.edits} single edits per level by LoRA of rank "
            f"{', '.join(map(str, self.ranks))} and by full fine-tuning, on the MLP alone or on "
            f"attention as well, {self.steps} steps, each at "
            f"{', '.join(f'{rate:g}' for rate in self.rates)} times its default learning rate. "
            "Two arms are compared at the share of successful edits that both can reach, at least "
            f"{_SUCCESS:.0%}: each at the rate with the lowest KL of bystanders "
            "among those that reach it. A pair in which one arm has no such rate is excluded from "
            "the means"
        )

    def _arms(self) -> list[tuple[str, str, str]]:
        return [
            (f"{part} {rank}", part, rank)
            for part in _PARTS
            for rank in (*map(str, self.ranks), "full")
        ]

    def units(self, seed: int, threads: int) -> Units:
        """A model of a nested world, and a trial for each part, rank and rate."""
        model = self.world.model(seed, threads, world={"nested": self.nested},
                                 model=self.size, learning_rate=self.rate)  # fmt: skip
        request = self.world.request(self.edits, target="subject")
        trials = {}
        for name, part, rank in self._arms():
            common = {"part": part, "steps": self.steps, "edit_rows": 1, "retain_rows": 8}
            for factor in self.rates:
                method, own = ("ft", 3e-4) if rank == "full" else ("lora", 2e-3)
                settings: dict[str, Any] = {**common, "learning_rate": own * factor}
                if rank != "full":
                    settings["rank"] = int(rank)
                trials[f"{name} {factor:g}"] = trial_unit(model, request, method, settings, name)
        return Units({"model": model}, trials)

    def measure(self, results: GateResults) -> Row:
        """Success, damage and consequences of each arm and rate."""
        return {
            name: {f"{factor:g}": _row(results, f"{name} {factor:g}") for factor in self.rates}
            for name, _, _ in self._arms()
        }

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """A lower rank somewhere does less damage; attention does too, and keeps dependencies."""
        ranks = _better_rank(rows, self.ranks)
        remaps = [_better_part(row, self.ranks) for row in rows]
        follows = [_followed(row, self.ranks) for row in rows]
        return [
            Condition("KL of bystanders, full rank over a lower one, log2, of the rank and part "
                      "that are the best in the other models", ranks, 0.0, 0.5),
            Condition("KL of bystanders, MLP alone over attention too, mean over ranks, log2",
                      remaps, 0.0, 0.5),
            Condition("consequences that follow, attention too less MLP alone, mean over ranks",
                      follows, 0.0, 0.05, within=CHANGE),
        ]  # fmt: skip

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Damage at the best rate, by rank and part."""
        names = tuple(f"rank {rank}" for rank in (*self.ranks, "full"))
        points = [
            (what, place, math.nan if (at := _least(row[f"{part} {rank}"])) is None else at["kl"],
             model)
            for part, what in zip(_PARTS, ("MLP alone", "attention too"), strict=True)
            for place, rank in enumerate((*map(str, self.ranks), "full"))
            for model, row in enumerate(rows)
        ]  # fmt: skip
        return Picture("rank of the update", "KL of bystanders, nats", points,
                       "If at least 90% of the edits succeed, the cheapest update is not always "
                       "of full rank, and attention helps.",
                       "KL of bystanders at the best learning rate, by rank and part of the model.",
                       names=names, within=AMOUNT,
                       missing="fewer than 90% of its edits succeed at every learning "
                               "rate")  # fmt: skip


def _least(arms: Mapping[str, Mapping[str, float]]) -> Mapping[str, float] | None:
    rate = cheapest(arms)
    return None if rate is None else arms[rate]


def _undercut(row: Row, dear: str, cheap: str) -> float:
    """Return log2 of `dear`'s KL over `cheap`'s at matched success; NaN if it cannot be matched."""
    pair = matched(row[dear], row[cheap])
    if pair is None:
        return math.nan
    more, less = (max(one["kl"], 1e-6) for one in pair)
    return math.log2(more / less)


def _better_rank(rows: Sequence[Row], ranks: Sequence[int]) -> list[float]:
    """Return for each model log2 of the KL of full rank over that of the other models' best arm."""
    places = [(part, rank) for part in _PARTS for rank in ranks]
    found = [[_undercut(row, f"{part} full", f"{part} {rank}") for part, rank in places]
             for row in rows]  # fmt: skip
    values: list[float] = []
    for number, own in enumerate(found):
        others = [_mean([row[place] for other, row in enumerate(found) if other != number])
                  for place in range(len(places))]  # fmt: skip
        best = max(range(len(places)), key=lambda place: _or_least(others[place]))
        values.append(own[best])
    return values


def _better_part(row: Row, ranks: Sequence[int]) -> float:
    """Return log2 of the KL of the MLP alone over that with attention too, mean over ranks."""
    return _mean([_undercut(row, f"mlp {rank}", f"both {rank}") for rank in (*ranks, "full")])


def _followed(row: Row, ranks: Sequence[int]) -> float:
    """Return the difference of the shares of consequences that follow, both - MLP alone."""
    pairs = [matched(row[f"both {rank}"], row[f"mlp {rank}"]) for rank in (*ranks, "full")]
    return _mean([pair[0]["followed"] - pair[1]["followed"] for pair in pairs if pair])


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the finite values; NaN if there are none."""
    there = [value for value in values if math.isfinite(value)]
    return sum(there) / len(there) if there else math.nan


def _or_least(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _row(results: GateResults, name: str) -> dict[str, float]:
    after = results.after(name)
    follows = consequences(after)
    return {
        "success": mean_of(results.frame(name, "edits")["success"]),
        "kl": mean_of(after.filter(~pl.col("must_change"))["kl"]),
        "followed": mean_of(follows),
        "consequences": len(follows),
    }
