"""Gate 4: with one wording facts are stored but poorly extracted from another; with many, well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from behemoth.recall.facts import recall

from .bench import Bench, Units, model_unit
from .record import Judgement, Seen, shown

__all__ = ["Paraphrases", "judge"]

_STORED = 0.8
_POOR = 0.5  # of what is stored
_GAIN = 0.2


def judge(one: tuple[float, float], many: tuple[float, float]) -> Judgement:
    """Judge recall in (written, held-out) wordings, after one wording and after many."""
    said = (
        f"one wording: recall {shown(one[0])} in it and {shown(one[1])} in unseen ones; many: "
        f"{shown(many[0])} and {shown(many[1])}"
    )
    if min(one[0], many[0]) < _STORED:
        return Judgement(
            "not shown at this size",
            said,
            f"more exposures: at least {_STORED} of the facts must be stored in both models",
        )
    holds = one[1] <= _POOR * one[0] and many[1] >= one[1] + _GAIN
    return Judgement("reproduced" if holds else "not reproduced", said)


@dataclass(frozen=True)
class Paraphrases:
    """Two corpora of the same world, with one written wording and with many."""

    number: ClassVar[int] = 4
    title: ClassVar[str] = "Facts of one wording are not extracted by another; of many they are"
    rule: ClassVar[str] = (
        f"at least {_STORED} of the facts are recalled in written wordings by both models, at "
        f"most {_POOR} times that in unseen wordings after one, and at least {_GAIN} more in "
        "unseen wordings after many"
    )
    source: ClassVar[str] = "Allen-Zhu and Li 2023, arXiv 2309.14316"

    subjects: int = 200
    relations: int = 2
    objects: int = 50
    exposures: int = 128
    wordings: int = 16
    held_out: int = 4
    batch_size: int = 16

    def units(self, threads: int) -> Units:
        """A model on each corpus."""
        world = {"subjects": self.subjects, "relations": self.relations, "objects": self.objects}
        models = {
            name: model_unit(
                world,
                {
                    "exposures": self.exposures,
                    "paraphrases": count + self.held_out,
                    "held_out": self.held_out,
                },
                threads=threads,
                batch_size=self.batch_size,
            )
            for name, count in (("one", 1), ("many", self.wordings))
        }
        return Units(models)

    def look(self, bench: Bench) -> Seen:
        """Judge recall in written and in unseen wordings."""
        shares: dict[str, tuple[float, float]] = {}
        turned: dict[str, float] = {}
        for name in ("one", "many"):
            model, corpus = bench.load(name), bench.run(name).corpus
            turned[name] = float(
                recall(model, corpus, templates=["rso"])["exact_match"].cast(pl.Float64).mean()  # type: ignore[arg-type]
            )
            frame = recall(model, corpus, templates=["default"])
            by = dict(
                frame.group_by("held_out")
                .agg(pl.col("exact_match").cast(pl.Float64).mean())
                .iter_rows()
            )
            shares[name] = by[False], by[True]
        numbers = {
            name: {"written": written, "held_out": unseen, "another_order": turned[name]}
            for name, (written, unseen) in shares.items()
        }
        done = (
            f"{self.subjects * self.relations:,} facts of {self.objects} objects, "
            f"{self.exposures} exposures in 1 or {self.wordings} wordings, {self.held_out} unseen "
            f"ones asked; {bench.steps('one')} each"
        )
        return Seen(done, numbers, judge(shares["one"], shares["many"]))
