"""Gate 7: facts of more exposures take a higher dose to edit, and to unlearn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from behemoth.study.analysis.dose import dosed, filtered

from .bench import Bench, Frequency, Units, trial_unit
from .record import Judgement, Seen, shown

__all__ = ["Doses", "judge", "trend"]

_P = 0.05


def trend(edits: pl.DataFrame) -> dict[str, Any]:
    """How doses go with exposures.

    Parameters
    ----------
    edits : polars.DataFrame
        Columns exposures, dose and reached, as a trial's frame of edits has them.

    Returns
    -------
    dict
        exposures, ed50 (medians in steps; None where most were not reached) and edits by level;
        rho (Spearman's; what was not reached counts as more than all that was) and p (one-sided,
        for more); None where there is no trend to be had.
    """
    from scipy.stats import spearmanr

    rows = dosed(edits).with_columns(
        pl.when("reached").then(pl.col("dose").cast(pl.Float64)).otherwise(float("inf"))
    )
    by = rows.group_by("exposures").agg(pl.col("dose").median(), pl.len()).sort("exposures")
    found: dict[str, Any] = {
        "exposures": by["exposures"].to_list(),
        "ed50": [value if np.isfinite(value) else None for value in by["dose"]],
        "edits": by["len"].to_list(),
        "rho": None,
        "p": None,
    }
    if rows["exposures"].n_unique() > 1 and rows["dose"].n_unique() > 1:
        test: Any = spearmanr(rows["exposures"], rows["dose"].rank(), alternative="greater")
        found |= {"rho": float(test.statistic), "p": float(test.pvalue)}
    return found


def judge(trends: Mapping[str, Mapping[str, Any]]) -> Judgement:
    """Judge the trends of an editing and of an unlearning method (`trend`)."""
    said = "; ".join(
        f"{name}: ED50 {', '.join(map(shown, found['ed50']))} steps at "
        f"{', '.join(map(str, found['exposures']))} exposures, Spearman {shown(found['rho'])} "
        f"(p {shown(found['p'])})"
        for name, found in trends.items()
    )
    tests = [(found["rho"], found["p"]) for found in trends.values()]
    if any(rho is not None and p >= 1 - _P for rho, p in tests):
        return Judgement("not reproduced", said)
    if all(rho is not None and p < _P for rho, p in tests):
        return Judgement("reproduced", said)
    return Judgement(
        "not shown at this size",
        said,
        "more edits a level and several worlds (`behemoth study run frequency --size quick`): "
        "a trend that is there was too weak for the edits of one model",
    )


@dataclass(frozen=True)
class Doses:
    """Single edits, and single facts unlearned, of the shared model."""

    number: ClassVar[int] = 7
    title: ClassVar[str] = "More exposures: a higher edit dose, and harder to unlearn"
    rule: ClassVar[str] = (
        "among facts that the model knew, Spearman's correlation of exposures with the dose is "
        f"above 0 with one-sided p < {_P} both for editing and for unlearning; below 0 with the "
        "same certainty for either: not reproduced; else not shown. (Facts of one model are not "
        "independent: p is a threshold here, no test of the claim in general.)"
    )
    source: ClassVar[str] = (
        "arXiv 2504.05058; DUET, arXiv 2602.19612; our trial at 0.5 M parameters"
    )

    world: Frequency = field(default_factory=Frequency)
    edits: int = 12
    steps: int = 40

    def units(self, threads: int) -> Units:
        """The shared model, a method that edits and one that unlearns."""
        model = self.world.model(threads=threads)
        request = self.world.request(self.edits)
        common = {"part": "mlp", "steps": self.steps, "edit_rows": 1}
        trials = {
            "edit": trial_unit(
                model, request, "lora", {**common, "rank": 1, "retain_rows": 8}, "LoRA, rank 1"
            ),
            "unlearn": trial_unit(
                model, request, "grad_ascent", {**common, "learning_rate": 3e-4}, "gradient ascent"
            ),
        }
        return Units({"model": model}, trials)

    def look(self, bench: Bench) -> Seen:
        """Judge the doses of facts that were known."""
        trends = {
            name: trend(filtered(bench.frame(name, "edits"), "known"))
            for name in ("edit", "unlearn")
        }
        every = {name: trend(bench.frame(name, "edits"))["rho"] for name in ("edit", "unlearn")}
        done = (
            f"{bench.steps('model')} on {self.world.told}; {self.edits} single edits a level by "
            f"LoRA of rank 1 on the MLP, and the same facts unlearned by gradient ascent, up to "
            f"{self.steps} steps"
        )
        return Seen(done, {**trends, "rho_of_all_facts": every}, judge(trends))
