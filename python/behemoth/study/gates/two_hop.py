"""Gate 12: the reversal curse, the two-hop curse, and consequences that do not follow an edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import polars as pl

from behemoth.plan.request import EditRequest
from behemoth.recall.facts import recall
from behemoth.study.analysis.ranges import CHANGE, SHARE

from .conditions import Condition
from .inversion import Inversion, answered
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, Units, consequences, mean_of, model_unit, trial_unit

__all__ = ["TwoHop"]

_KNOWN = 0.8
_RARELY = 0.25  # maximum share of consequences that follow


@dataclass(frozen=True)
class TwoHop:
    """A world with composed facts, half of which are written, and the models of gate 5."""

    number: ClassVar[int] = 12
    name: ClassVar[str] = "two-hop"
    title: ClassVar[str] = "The reversal and the two-hop curse; consequences rarely follow an edit"
    source: ClassVar[str] = (
        "Berglund et al. 2023, arXiv 2309.12288; Balesni et al. 2024, arXiv 2411.16353; Cohen et "
        "al. 2023, arXiv 2307.12976"
    )
    pilot: ClassVar[str] = (
        "one model of another seed was run, with 32 edits: 15 consequences were too few, so "
        "there are now 80 edits and 5 models instead of 3; the rule has not changed since"
    )
    revised: ClassVar[bool] = False
    smaller: ClassVar[str] = ""
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("so few nested objects that a good guess looks like a derivation: 2.5 times as "
               "many, which lowers chance from 0.1 to 0.04 under the same bounds and so makes the "
               "rule easier as well",
               {"nested": 25}),
        Reason("the composition is learned from the written half: a quarter of the exposures",
               {"exposures": 16}),
        Reason("the two hops need layers in sequence: three (`nano`) in place of two",
               {"size": "nano", "rate": 2.5e-3}),
    )  # fmt: skip

    subjects: int = 400
    objects: int = 50
    nested: int = 10
    exposures: int = 64
    links: int = 256
    size: str = "pico"
    batch_size: int = 8
    rate: float = 4e-3
    edits: int = 80
    steps: int = 40
    inverse: Inversion = field(default_factory=Inversion)
    seeds: int = 5

    @property
    def setting(self) -> str:
        """World, models and edits."""
        return (
            f"{self.subjects} subjects with one of {self.objects} objects, and a composed fact "
            f"(the object's own object, one of {self.nested}); half of the facts of each kind, "
            f"drawn independently, are written {self.exposures} times and half never, links from "
            f"object to nested object {self.links} times; {self.size}, batches of "
            f"{self.batch_size} x 128 tokens, learning rate {self.rate:g}; composed facts are "
            f"asked about subjects whose own fact was written. "
            f"{self.edits} of the written facts are edited by LoRA of rank 16 on the MLP and "
            "attention. The reversal is that of gate 5"
        )

    def units(self, seed: int, threads: int) -> Units:
        """A model with composed facts, edits of it, and one without the inverse order."""
        world = {
            "subjects": self.subjects,
            "relations": [
                {"kind": "independent", "objects": self.objects},
                {"kind": "composed", "of": 0, "objects": self.nested},
            ],
        }
        corpus = {"exposures": f"groups:0,{self.exposures}", "nested_exposures": self.links}
        model = model_unit(world, corpus, seed=seed, threads=threads, model=self.size,
                           batch_size=self.batch_size, learning_rate=self.rate)  # fmt: skip
        request = EditRequest(
            edits=self.edits, exposures=(self.exposures,), independent=True, relation=0,
            repeats=8, same_object=8, same_relation=16, regular=0, probes=5,
        )  # fmt: skip
        settings = {"part": "both", "rank": 16, "steps": self.steps, "edit_rows": 1,
                    "retain_rows": 8}  # fmt: skip
        trial = trial_unit(model, request, "lora", settings, "LoRA, rank 16")
        one = self.inverse.units(seed, threads).models["one"]
        return Units({"model": model, "one order": one}, {"edits": trial})

    def measure(self, results: GateResults) -> Row:
        """Recall of facts, links and composed facts; consequences; the reversal."""
        frame, corpus = results.recall("model"), results.run("model").corpus
        world = corpus.world
        first = frame.filter((pl.col("relation") == 0) & (pl.col("exposures") > 0))
        composed = frame.filter(
            (pl.col("relation") == 1) & pl.col("subject").is_in(first["subject"].implode())
        )
        links = np.arange(world.num_subject_facts, world.num_facts, dtype=np.uint64)
        asked = recall(results.load("model"), corpus, facts=links)
        follows = consequences(results.after("edits"))
        inverse = results.run("one order").corpus
        return {
            "first": mean_of(first["exact_match"]),
            "links": mean_of(asked["exact_match"]),
            "trained": mean_of(composed.filter(pl.col("exposures") > 0)["exact_match"]),
            "untrained": mean_of(composed.filter(pl.col("exposures") == 0)["exact_match"]),
            "asked": composed.filter(pl.col("exposures") == 0).height,
            "chance": 1 / self.nested,
            "edited": mean_of(results.frame("edits", "edits")["success"]),
            "followed": mean_of(follows),
            "consequences": len(follows),
            "reversed": float(answered(results.load("one order"), inverse).mean()),
            "about": results.about("model"),
        }

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Parts are known, compositions only if written, and consequences rarely follow edits."""

        def of(name: str) -> list[float]:
            return [row[name] for row in rows]

        gap = [row["trained"] - row["untrained"] for row in rows]
        chance = 1 / self.inverse.subjects + 0.05
        return [
            Condition("facts recalled (first hop)", of("first"), _KNOWN, 0.1, within=SHARE),
            Condition("links recalled (second hop)", of("links"), _KNOWN, 0.1, within=SHARE),
            Condition("composed facts recalled that were written", of("trained"), _KNOWN, 0.1,
                      within=SHARE),
            Condition(f"composed facts recalled that were not written (chance {1 / self.nested:g})",
                      of("untrained"), 0.5, 0.1, below=True, within=SHARE),
            Condition("composed facts, written less not written", gap, 0.3, 0.1, within=CHANGE),
            Condition("edits that succeed", of("edited"), _KNOWN, 0.1, within=SHARE),
            Condition("consequences of an edit that follow", of("followed"), _RARELY, 0.1,
                      below=True, within=SHARE),
            Condition("inverse questions answered, inverse order untrained", of("reversed"),
                      chance, 0.05, below=True, within=SHARE),
        ]  # fmt: skip

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Shares by kind of question."""
        named = {
            "first": "fact", "links": "link", "trained": "composed, written",
            "untrained": "composed, not written", "followed": "consequence",
            "reversed": "inverse",
        }  # fmt: skip
        points = [
            ("recalled", place, row[key], model)
            for place, key in enumerate(named)
            for model, row in enumerate(rows)
        ]
        return Picture("what is asked", "share answered", points,
                       "Facts that were not written explicitly are not answered.",
                       "Share of questions answered, by what is asked.",
                       names=tuple(named.values()), within=SHARE)  # fmt: skip
