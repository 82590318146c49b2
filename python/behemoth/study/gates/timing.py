"""Gate 11: facts seen only early are forgotten by the end; recall follows the last exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from behemoth.recall.facts import recall
from behemoth.study.analysis.ranges import CHANGE, SHARE

from .conditions import Condition
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, Units, model_unit

__all__ = ["Timing"]

_KNOWN = 0.5  # minimum recall at which early facts count as known
_HISTORY = 32  # log-spaced checkpoints, one of which comes soon after the first part


@dataclass(frozen=True)
class Timing:
    """Facts of equal exposures whose copies are only in an early, or in the late, part."""

    number: ClassVar[int] = 11
    name: ClassVar[str] = "timing"
    title: ClassVar[str] = "Timing: facts seen early only are forgotten; recall follows last sight"
    source: ClassVar[str] = "Hubble, arXiv 2510.19811"
    pilot: ClassVar[str] = (
        "with 16 exposures and a falling learning rate, three models met a weaker rule: early "
        "facts had hardly been known (0.14 at the end of their part), and the last group of facts "
        "was excluded from the order, which it would have broken at 0.20. Four settings of "
        "one other seed were then tried. With 48 exposures early facts were known (0.88 or more) "
        "and forgotten in all four; with a constant rate the order held throughout, with a "
        "falling one facts of the last fifth alone came after those of the first four"
    )
    revised: ClassVar[bool] = True
    smaller: ClassVar[str] = ""
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("an early fact has too many exposures to be forgotten: a third of them",
               {"exposures": 16}),
        Reason("a constant rate forgets more than one that falls", {"schedule": "cosine"}),
        Reason("later facts displace too little in a world far below capacity"),
    )  # fmt: skip

    subjects: int = 300
    relations: int = 4
    objects: int = 50
    exposures: int = 48
    others: int = 64
    windows: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    batch_size: int = 8
    rate: float = 4e-3
    schedule: str = "wsd"
    seeds: int = 3

    @property
    def setting(self) -> str:
        """World and model."""
        return (
            f"{self.subjects * self.relations:,} facts of {self.objects} objects, half of them "
            f"{self.others} times throughout the corpus, half {self.exposures} times: a fifth of "
            f"these each only in its first {', '.join(f'{w:.0%}' for w in self.windows)}, and a "
            f"fifth only in its last {self.windows[0]:.0%} (so copies are farther apart if they "
            f"end later); pico, one pass, batches of {self.batch_size} x 128 tokens, learning "
            f"rate {self.rate:g}, schedule {self.schedule}"
        )

    def units(self, seed: int, threads: int) -> Units:
        """A model."""
        share = 1 / (len(self.windows) + 1)
        schedule: list[dict[str, Any]] = [
            {"kind": "early", "window": window, "share": share, "exposures": self.exposures}
            for window in self.windows
        ]
        schedule.append({"kind": "late", "window": self.windows[0], "share": share,
                         "exposures": self.exposures})  # fmt: skip
        world = {"subjects": self.subjects, "relations": self.relations, "objects": self.objects}
        corpus = {"exposures": f"groups:{self.exposures},{self.others}", "schedule": schedule}
        train = {"batch_size": self.batch_size, "learning_rate": self.rate,
                 "schedule": self.schedule, "checkpoint_history": _HISTORY}  # fmt: skip
        return Units({"model": model_unit(world, corpus, seed=seed, threads=threads, **train)})

    def measure(self, results: GateResults) -> Row:
        """Recall by the position of the last copy."""
        frame, corpus = results.recall("model"), results.run("model").corpus
        facts = frame.filter(pl.col("exposures") == self.exposures)
        last = (
            corpus.ledger(facts["fact"].to_numpy())
            .group_by("fact", maintain_order=True)
            .agg(pl.col("document").max().alias("last"), pl.col("document").min().alias("first"))
            .with_columns(pl.col("first", "last") / corpus.num_documents)
        )
        edges = [*self.windows, 1.0]
        rows = facts.join(last, on="fact").with_columns(
            # The window is the first part whose end is not before the last copy.
            pl.col("last").map_elements(
                lambda at: next((i for i, edge in enumerate(edges) if at <= edge), len(edges) - 1),
                return_dtype=pl.Int64,
            ).alias("window")
        )  # fmt: skip
        table = (
            rows.group_by("window", maintain_order=True)
            .agg(
                pl.col("exact_match").cast(pl.Float64).mean().alias("recall"),
                pl.col("log_probability").mean(),
                pl.len(),
            )
            .sort("window")
        )
        early = rows.filter(pl.col("window") == 0)["fact"].to_numpy()
        steps, over = results.steps("model"), self.windows[0] * results.model("model").steps
        then = next((step for step in steps if step >= over), steps[-1])
        asked = recall(results.load("model", then), corpus, facts=early, templates=["default"])
        return {
            "then": float(asked["exact_match"].mean()),  # type: ignore[arg-type]
            "last": [edges[at] for at in table["window"]],
            "recall": table["recall"].to_list(),
            "log_probability": table["log_probability"].to_list(),
            "facts": table["len"].to_list(),
            "of_others": float(
                frame.filter(pl.col("exposures") == self.others)["exact_match"].mean()  # type: ignore[arg-type]
            ),
            "about": results.about("model"),
        }

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Early facts were known and are forgotten, late ones are not, and the order holds."""
        known = [row["then"] for row in rows]
        late = [row["recall"][-1] - row["recall"][0] for row in rows]
        lost = [row["then"] - row["recall"][0] for row in rows]
        slopes = [float(np.polyfit(row["last"], row["recall"], 1)[0]) for row in rows]
        return [
            Condition("recall of facts seen early only, when their part was over", known,
                      _KNOWN, 0.1, within=SHARE),
            Condition("recall of facts seen early only, when their part was over less at the end",
                      lost, 0.0, 0.1, within=CHANGE),
            Condition("recall, seen late less seen early only", late, 0.0, 0.1,
                      within=CHANGE),
            Condition("slope of recall on the place of the last copy (share of the corpus)",
                      slopes, 0.0, 0.1),
        ]  # fmt: skip

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Recall by the position of the last copy."""
        points = [
            (f"{self.exposures} exposures, in the end", last, share, model)
            for model, row in enumerate(rows)
            for last, share in zip(row["last"], row["recall"], strict=True)
        ]
        points += [
            ("when that part was over", row["last"][0], row["then"], model)
            for model, row in enumerate(rows)
        ]
        return Picture("last copy stands before this share of the corpus (1: late only)",
                       "facts recalled (share)", points,
                       "The longer ago a fact was last seen, the less of it is left.",
                       "Recall by the place of the last copy in the corpus.",
                       within=SHARE)  # fmt: skip
