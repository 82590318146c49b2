"""Gate 7: facts with more exposures need a higher dose to be edited, and to be unlearned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from behemoth.study.analysis.dose import dosed, filtered
from behemoth.study.analysis.ranges import CHANGE

from .conditions import Condition
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, SharedWorld, Units, trial_unit

__all__ = ["Doses", "trend"]

_KINDS = {"edit": "edited by LoRA of rank 1", "unlearn": "unlearned by gradient ascent"}


def trend(edits: pl.DataFrame) -> dict[str, Any]:
    """Return the trend of doses over exposures.

    Parameters
    ----------
    edits : polars.DataFrame
        Columns exposures, dose and reached, as in the `edits` frame of a trial.

    Returns
    -------
    dict
        exposures, ed50 (medians in steps; None if half or more were not reached) and edits by
        level; rho: Spearman's correlation, in which doses that were not reached rank above all
        others, None if it is undefined.
    """
    from scipy.stats import spearmanr

    rows = dosed(edits).with_columns(
        pl.when("reached").then(pl.col("dose").cast(pl.Float64)).otherwise(float("inf"))
    )
    by = (
        rows.group_by("exposures", maintain_order=True)
        .agg(pl.col("dose").median(), pl.len())
        .sort("exposures")
    )
    found: dict[str, Any] = {
        "exposures": by["exposures"].to_list(),
        "ed50": [value if np.isfinite(value) else None for value in by["dose"]],
        "edits": by["len"].to_list(),
        "rho": None,
    }
    if rows["exposures"].n_unique() > 1 and rows["dose"].n_unique() > 1:
        test: Any = spearmanr(rows["exposures"], rows["dose"].rank())
        found["rho"] = float(test.statistic)
    return found


@dataclass(frozen=True)
class Doses:
    """Single edits, and single facts unlearned, of the shared model."""

    number: ClassVar[int] = 7
    name: ClassVar[str] = "dose"
    title: ClassVar[str] = "More exposures: a higher edit dose, and harder to unlearn"
    source: ClassVar[str] = "arXiv 2504.05058; DUET, arXiv 2602.19612"
    pilot: ClassVar[str] = "nothing was run, and the rule has not changed since"
    revised: ClassVar[bool] = False
    smaller: ClassVar[str] = ""
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason(
            "doses are whole steps, too coarse at this learning rate: half of it", {"slower": 2.0}
        ),
        Reason("too few edits per level: 24", {"edits": 24}),
        Reason("a small model knows every fact of 16 or more exposures by heart"),
    )

    world: SharedWorld = field(default_factory=SharedWorld)
    edits: int = 12
    steps: int = 40
    slower: float = 1.0
    seeds: int = 3

    @property
    def setting(self) -> str:
        """World, model and methods."""
        return (
            f"{self.world.told}; pico; {self.edits} single edits per level by LoRA of rank 1 on "
            f"the MLP (learning rate {2e-3 / self.slower:g}) and the same facts unlearned by "
            f"gradient ascent (learning rate {3e-4 / self.slower:g}), up to {self.steps} steps. "
            "Only facts known before count, and there are fewer of them at few exposures"
        )

    def units(self, seed: int, threads: int) -> Units:
        """The shared model, a method that edits and one that unlearns."""
        model = self.world.model(seed, threads)
        request = self.world.request(self.edits)
        common = {"part": "mlp", "steps": self.steps, "edit_rows": 1}
        edit = {**common, "rank": 1, "retain_rows": 8, "learning_rate": 2e-3 / self.slower}
        ascent = {**common, "learning_rate": 3e-4 / self.slower}
        trials = {
            "edit": trial_unit(model, request, "lora", edit, "LoRA, rank 1"),
            "unlearn": trial_unit(model, request, "grad_ascent", ascent, "gradient ascent"),
        }
        return Units({"model": model}, trials)

    def measure(self, results: GateResults) -> Row:
        """Trends of doses over known facts, and over all."""
        return {
            name: {
                **trend(filtered(results.frame(name, "edits"), "known")),
                "rho_of_all": trend(results.frame(name, "edits"))["rho"],
            }
            for name in _KINDS
        }

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Doses rise with exposures, for editing and for unlearning."""
        return [
            Condition(
                f"Spearman's correlation of exposures and dose, facts that were known, {what}",
                [math.nan if row[name]["rho"] is None else row[name]["rho"] for row in rows],
                0.0,
                0.2,
                within=CHANGE,
            )
            for name, what in _KINDS.items()
        ]

    def picture(self, rows: Sequence[Row]) -> Picture:
        """ED50 against exposures."""
        points = [
            (what, level, math.nan if dose is None else dose, model)
            for name, what in _KINDS.items()
            for model, row in enumerate(rows)
            for level, dose in zip(row[name]["exposures"], row[name]["ed50"], strict=True)
        ]
        edits = [count for row in rows for name in _KINDS for count in row[name]["edits"]]
        return Picture(
            "exposures of the fact",
            "median dose (steps)",
            points,
            "Facts that were written more often take more steps to change.",
            "Median dose against exposures, for edits and for unlearning.",
            log=True,
            within=(0.0, float(self.steps)),
            missing="half of its known facts are not changed by the last step",
            note=f"Each model's median is over {min(edits)} to {max(edits)} facts."
            if edits
            else "",
        )
