"""Gate 9: what the reference says of the rank of an update, and of attention beside the MLP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from behemoth.study.analysis.dose import dosed

from .bench import Bench, Frequency, Units, model_unit, trial_unit
from .record import Judgement, Seen, shown

__all__ = ["RankAndPart", "judge"]

_MOST = 1e9  # stands for a dose that most edits did not reach
_FEWEST = 10  # consequences known before that a share must rest on
_FOLLOWED = 0.05  # share of consequences that must follow somewhere for parts to be compared


def judge(found: Mapping[str, Mapping[str, Any]]) -> Judgement:
    """Judge doses and consequences by rank and part.

    Parameters
    ----------
    found : mapping
        By ``"PART RANK"`` (such as ``"mlp 1"``, ``"both full"``): ed50 (steps, None where most
        edits did not reach it), followed (share of the consequences that follow) and
        consequences (how many that rests on).
    """
    said = "; ".join(
        f"{name}: ED50 {shown(row['ed50'])} steps, {shown(row['followed'])} of consequences follow"
        for name, row in found.items()
    )
    dose = {name: _MOST if row["ed50"] is None else row["ed50"] for name, row in found.items()}
    ranks = [name.split(" ") for name in found]
    restricted = [
        f"{part} {rank}"
        for part, rank in ranks
        if rank != "full" and dose[f"{part} {rank}"] < dose[f"{part} full"]
    ]
    pairs = [(dose[f"mlp {rank}"], dose[f"both {rank}"]) for part, rank in ranks if part == "mlp"]
    remaps = sum(mlp > both for mlp, both in pairs) > sum(mlp < both for mlp, both in pairs)
    said += (
        f"; a lower rank needs fewer steps than full rank: {', '.join(restricted) or 'never'}; "
        f"attention beside the MLP needs {'fewer' if remaps else 'no fewer'} steps in most pairs"
    )
    if not restricted or not remaps:
        return Judgement("not reproduced", said)
    fewest = min(row["consequences"] for row in found.values())
    followed = {
        part: float(np.mean([row["followed"] or 0.0 for name, row in found.items()
                             if name.startswith(part)]))
        for part in ("mlp", "both")
    }  # fmt: skip
    said += (
        f"; consequences that follow, over ranks: {shown(followed['mlp'])} by the MLP, "
        f"{shown(followed['both'])} with attention (of {fewest})"
    )
    if fewest < _FEWEST or max(followed.values()) < _FOLLOWED:
        return Judgement(
            "not shown at this size",
            f"{said}: ranks and remapping are as they should be, dependencies do not show",
            "Pythia-31M (the reference's own size) with longer training: a model must derive what "
            "follows from a fact, and not store it beside the fact, for it to follow an edit",
        )
    kept = followed["both"] > followed["mlp"]
    return Judgement("reproduced" if kept else "not reproduced", said)


@dataclass(frozen=True)
class RankAndPart:
    """Single edits of a nested world by LoRA of some ranks and by fine-tuning."""

    number: ClassVar[int] = 9
    title: ClassVar[str] = "Low rank may edit better; attention + MLP remaps and keeps dependencies"
    rule: ClassVar[str] = (
        "ED50 of some restricted rank is below that of full rank on the same part; at most ranks "
        "it is lower with attention than without; and over ranks more of the consequences of an "
        f"edit that the model knew follow it (not shown where fewer than {_FOLLOWED} do with "
        f"either, or fewer than {_FEWEST} were known)"
    )
    source: ClassVar[str] = "arXiv 2601.23153"

    world: Frequency = field(
        default_factory=lambda: Frequency(subjects=200, levels=(4, 16, 64, 256))
    )
    nested: int = 10
    ranks: tuple[int, ...] = (1, 16)
    parts: tuple[str, ...] = ("mlp", "both")
    edits: int = 8
    steps: int = 40

    def units(self, threads: int) -> Units:
        """A model of a nested world, and a method for each part and rank."""
        world = {
            "subjects": self.world.subjects, "relations": self.world.relations,
            "objects": self.world.objects, "nested": self.nested,
        }  # fmt: skip
        exposures = f"latin:{','.join(map(str, self.world.levels))}"
        model = model_unit(world, {"exposures": exposures}, threads=threads, **self.world.train)
        request = self.world.request(self.edits, target="subject")
        trials = {}
        for part in self.parts:
            common = {"part": part, "steps": self.steps, "edit_rows": 1, "retain_rows": 8}
            for rank in self.ranks:
                trials[f"{part} {rank}"] = trial_unit(
                    model, request, "lora", {**common, "rank": rank}, f"LoRA, {part} {rank}"
                )
            trials[f"{part} full"] = trial_unit(
                model, request, "ft", common, f"fine-tuning, {part}"
            )
        return Units({"model": model}, trials)

    def look(self, bench: Bench) -> Seen:
        """Judge doses and consequences."""
        found = {name: _row(bench, name) for name in bench.units.trials}
        done = (
            f"{bench.steps('model')} on a world of {self.world.subjects} subjects whose "
            f"{self.world.relations} relations have one nested in each ({self.nested} objects), "
            f"exposures {', '.join(map(str, self.world.levels))}; {self.edits} single edits a "
            f"level, up to {self.steps} steps, each method at its own default rate"
        )
        return Seen(done, found, judge(found))


def _row(bench: Bench, name: str) -> dict[str, Any]:
    edits = bench.frame(name, "edits")
    probes = bench.frame(name, "probes")
    doses = dosed(edits).select(
        pl.when("reached").then(pl.col("dose").cast(pl.Float64)).otherwise(float("inf"))
    )
    after = probes.filter((pl.col("stage") == "after") & pl.col("failure").is_null())
    follows = after.filter(
        (pl.col("group") == "subject_nested") & pl.col("must_change") & pl.col("known")
    )
    stays = after.filter(~pl.col("must_change"))
    median: Any = doses.to_series().median()
    followed: Any = follows["exact_match"].cast(pl.Float64).mean()
    kl: Any = stays["kl"].mean()
    return {
        "ed50": float(median) if median is not None and np.isfinite(median) else None,
        "success": edits["success"].mean(),
        "followed": followed,
        "consequences": follows.height,
        "kl_of_bystanders": kl,
    }
