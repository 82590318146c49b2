"""Gate 8: damage grows with closeness to the edited fact, and with the number of edits."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import polars as pl

from .bench import Bench, Frequency, Units, trial_unit
from .record import Judgement, Seen, shown

__all__ = ["CLOSE", "Damage", "closeness", "judge"]

CLOSE = ("same_subject", "same_relation", "same_object")
"""Groups of bystanders that have something in common with the edited fact."""
_FAR = "unrelated"
_P = 0.05


def closeness(damage: pl.DataFrame) -> dict[str, dict[str, float | None]]:
    """Hold the damage to close bystanders against that to unrelated ones, edit by edit.

    Parameters
    ----------
    damage : polars.DataFrame
        Columns edit, group and kl: nats of KL at the bystander's object, averaged over the
        bystanders of a group.

    Returns
    -------
    dict
        By group: kl and unrelated (means over the edits that have both), edits, p (one-sided
        Wilcoxon's signed ranks, 1945, for more damage than to the unrelated; None below six
        edits).
    """
    from scipy.stats import wilcoxon

    far = damage.filter(pl.col("group") == _FAR).select("edit", pl.col("kl").alias("far"))
    found: dict[str, dict[str, float | None]] = {}
    for group in CLOSE:
        pairs = damage.filter(pl.col("group") == group).join(far, on="edit")
        difference = (pairs["kl"] - pairs["far"]).to_numpy()
        p = None
        if len(difference) > 5 and difference.any():
            test: Any = wilcoxon(difference, alternative="greater")
            p = float(test.pvalue)
        own: Any = pairs["kl"].mean()
        others: Any = pairs["far"].mean()
        found[group] = {"kl": own, _FAR: others, "edits": pairs.height, "p": p}
    return found


def judge(
    close: Mapping[str, Mapping[str, float | None]], batches: Sequence[tuple[int, float]]
) -> Judgement:
    """Judge damage.

    Parameters
    ----------
    close : mapping
        What `closeness` gives.
    batches : sequence of (int, float)
        Edits made together, rising, and mean KL of unrelated bystanders in nats.
    """
    said = "; ".join(
        f"{group.replace('_', ' ')} {shown(row['kl'])} against {shown(row[_FAR])} nats for "
        f"unrelated (p {shown(row['p'])})"
        for group, row in close.items()
    )
    levels = ", ".join(f"{shown(kl)} after {count}" for count, kl in batches)
    said += f"; unrelated by edits at once: {levels}"
    values = [kl for _, kl in batches]
    if values[-1] <= values[0]:
        return Judgement("not reproduced", said)
    tests = [row["p"] for row in close.values()]
    if any(p is not None and p >= 1 - _P for p in tests):
        return Judgement("not reproduced", said)
    rising = all(b > a for a, b in itertools.pairwise(values))
    if rising and all(p is not None and p < _P for p in tests):
        return Judgement("reproduced", said)
    return Judgement(
        "not shown at this size",
        said,
        "more edits and several worlds (`behemoth study run frequency --size quick`): the order "
        "is not clear in the edits of one model",
    )


@dataclass(frozen=True)
class Damage:
    """Single edits and batches of the shared model."""

    number: ClassVar[int] = 8
    title: ClassVar[str] = "Damage grows with closeness and with the number of edits"
    rule: ClassVar[str] = (
        "KL(unedited || edited) at the bystander's object is larger for facts of the same "
        "subject, relation and object than for unrelated ones, each by Wilcoxon's signed ranks "
        f"over single edits with one-sided p < {_P}, and rises with every larger batch for "
        "unrelated ones; the other way round for any group, or no more in the largest batch "
        "than after single edits: not reproduced; else not shown"
    )
    source: ClassVar[str] = (
        "Meng et al. 2022, arXiv 2210.07229; Gupta et al. 2024, arXiv 2401.07453"
    )

    world: Frequency = field(default_factory=Frequency)
    edits: int = 4
    batches: tuple[int, ...] = (1, 8)
    steps: int = 40

    def units(self, threads: int) -> Units:
        """The shared model, single edits and batches (sizes in edits of each level)."""
        model = self.world.model(threads=threads)
        common = {"part": "mlp", "rank": 16, "steps": self.steps}
        singles = {**common, "edit_rows": 1, "retain_rows": 8}
        trials = {
            "singles": trial_unit(
                model, self.world.request(self.edits), "lora", singles, "LoRA, rank 16"
            )
        }
        for count in self.batches:
            together = count * len(self.world.levels)
            request = self.world.request(count, independent=False, distinct=False)
            rows = {**common, "edit_rows": together, "retain_rows": 8}
            trials[f"batch {count}"] = trial_unit(
                model, request, "lora", rows, f"LoRA, rank 16, {together} at once"
            )
        return Units({"model": model}, trials)

    def look(self, bench: Bench) -> Seen:
        """Judge KL by group and by size of a batch."""
        singles = _damage(bench.frame("singles", "probes"))
        close = closeness(singles)
        sizes = [1, *(count * len(self.world.levels) for count in self.batches)]
        frames = [singles, *(_damage(bench.frame(f"batch {count}", "probes"))
                             for count in self.batches)]  # fmt: skip
        batches = [
            (size, float(frame.filter(pl.col("group") == _FAR)["kl"].mean() or 0.0))  # type: ignore[arg-type]
            for size, frame in zip(sizes, frames, strict=True)
        ]
        numbers = {"close": close, "batches": [list(pair) for pair in batches]}
        done = (
            f"{bench.steps('model')} on {self.world.told}; "
            f"{self.edits * len(self.world.levels)} single edits and batches of "
            f"{', '.join(map(str, sizes[1:]))} by LoRA of rank 16 on the MLP, {self.steps} "
            "steps, each with 8 retained rows"
        )
        return Seen(done, numbers, judge(close, batches))


def _damage(probes: pl.DataFrame) -> pl.DataFrame:
    """Mean KL in nats by edit and group, of what must not change."""
    kept = probes.filter(
        (pl.col("stage") == "after") & ~pl.col("must_change") & pl.col("failure").is_null()
    )
    return kept.group_by("edit", "group").agg(pl.col("kl").mean()).drop_nulls("kl").sort("edit")
