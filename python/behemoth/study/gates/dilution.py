"""Gate 10: at equal exposures more background means less recall; relative frequency decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from behemoth.study.analysis.ranges import CHANGE, SHARE

from .conditions import Condition
from .picture import Picture
from .recall_threshold import threshold
from .record import Reason, Row
from .units import GateResults, SharedWorld, Units

__all__ = ["Dilution"]


@dataclass(frozen=True)
class Dilution:
    """The shared corpus with background documents: none, or some multiples of its own tokens."""

    number: ClassVar[int] = 10
    name: ClassVar[str] = "dilution"
    title: ClassVar[str] = "Dilution: more background, less recall; relative frequency decides"
    source: ClassVar[str] = "Hubble, arXiv 2510.19811"
    pilot: ClassVar[str] = "nothing was run at this size"
    revised: ClassVar[bool] = False
    smaller: ClassVar[str] = ""
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("more background means more updates, which a short run lacks: the batch grows with "
               "the corpus", {"growing": True}),
        Reason("documents without facts do not compete with facts: their language is too simple",
               {"words": 2_000}),
        Reason("the model has room for all facts and the background: 12.5 times as many facts, in "
               "1 and 4 times their tokens",
               {"world.subjects": 2_500, "ratios": (1, 4)}),
    )  # fmt: skip

    world: SharedWorld = field(
        default_factory=lambda: SharedWorld(levels=(1, 2, 4, 8, 16, 32, 64, 128))
    )
    ratios: tuple[int, ...] = (1, 2, 4, 8)
    words: int = 300
    growing: bool = False
    seeds: int = 3

    @property
    def setting(self) -> str:
        """World and models."""
        return (
            f"{self.world.told}; pico, one pass; the same facts with the same exposures in a "
            f"corpus of {', '.join(map(str, self.ratios))} times their tokens; the rest is "
            f"documents of a Zipf bigram language of {self.words} words"
            + ("; the batch grows with the corpus" if self.growing else "")
        )

    def units(self, seed: int, threads: int) -> Units:
        """A model for each amount of background."""
        tokens = self.world.model(seed, threads).corpus.make().count_tokens()
        models = {}
        for ratio in self.ratios:
            # Every vocabulary has the same words, so that models differ only in tokens.
            filler: dict[str, Any] = {"kind": "zipf", "words": self.words, "seed": seed,
                                      "tokens": (ratio - 1) * tokens}  # fmt: skip
            batch = self.world.train["batch_size"] * (ratio if self.growing else 1)
            models[str(ratio)] = self.world.model(
                seed, threads, corpus={"filler": filler}, batch_size=batch
            )
        return Units(models)

    def measure(self, results: GateResults) -> Row:
        """Recall by exposures and background."""
        found: dict[str, Any] = {}
        for ratio in self.ratios:
            curve = results.curve(str(ratio))
            found[str(ratio)] = {"curve": curve, "threshold": threshold(curve),
                                 **results.about(str(ratio))}  # fmt: skip
        return found

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Recall falls at the same exposures, and the threshold rises with the tokens."""
        least, most = str(self.ratios[0]), str(self.ratios[-1])
        falls = [row[least]["recall"] - row[most]["recall"] for row in rows]
        doublings = math.log2(self.ratios[-1] / self.ratios[0])
        slopes = [
            math.log2(row[most]["threshold"] / row[least]["threshold"]) / doublings for row in rows
        ]
        return [
            Condition(f"recall over all levels, {least} less {most} times the tokens", falls,
                      0.0, 0.05, within=CHANGE),
            Condition("exposures for half recall, in doublings for each doubling of the tokens "
                      "(0: their number decides, 1: their share)", slopes, 0.5, 0.25),
        ]  # fmt: skip

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Recall against exposures by background."""
        points = [
            (f"{ratio} times the facts' tokens", level, share, model)
            for ratio in self.ratios
            for model, row in enumerate(rows)
            for level, share in row[str(ratio)]["curve"]
        ]
        return Picture("exposures of the fact", "facts recalled (share)", points,
                       "The same number of exposures is recalled less among more other text.",
                       "Recall against exposures, by the amount of background.",
                       log=True, within=SHARE)  # fmt: skip
