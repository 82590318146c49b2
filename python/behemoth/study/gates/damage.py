"""Gate 8: damage grows with closeness to the edited fact, and with the number of edits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from behemoth.corpus.corpus import Corpus
from behemoth.delta.delta import Change, EditDelta, add_changes
from behemoth.edit.protocol import EditContext, answers
from behemoth.edit.registry import get_method
from behemoth.edit.sequential import Sums
from behemoth.plan.compile import compile_plan
from behemoth.plan.edit_plan import EditPlan
from behemoth.recall.facts import recall
from behemoth.recall.generation import generate
from behemoth.study.analysis.ranges import ANY, SHARE

from .conditions import Condition
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, SharedWorld, Units, trial_unit

__all__ = ["CLOSE", "Damage", "closeness"]

CLOSE = ("same_subject", "same_relation", "same_object")
"""Groups of bystanders that share something with the edited fact."""
_FAR = "unrelated"
_LEAST = 1e-6  # nats; smaller values are rounding


def closeness(damage: pl.DataFrame) -> dict[str, float]:
    """Compare the KL of groups of bystanders with that of unrelated bystanders of the same edits.

    Parameters
    ----------
    damage : polars.DataFrame
        Columns edit, group and kl: nats of KL at the bystander's object, averaged over the
        bystanders of a group.

    Returns
    -------
    dict
        By group: log2 of its mean KL divided by that of unrelated bystanders, over edits that have
        both; NaN if there are none.
    """
    far = damage.filter(pl.col("group") == _FAR).select("edit", pl.col("kl").alias("far"))
    found: dict[str, float] = {}
    for group in CLOSE:
        pairs = damage.filter(pl.col("group") == group).join(far, on="edit")
        if pairs.is_empty():
            found[group] = math.nan
            continue
        own, other = (float(pairs[name].mean()) for name in ("kl", "far"))  # type: ignore[arg-type]
        found[group] = math.log2(max(own, _LEAST) / max(other, _LEAST))
    return found


@dataclass(frozen=True)
class Damage:
    """Single edits and one long sequence of edits of the shared model."""

    number: ClassVar[int] = 8
    name: ClassVar[str] = "damage"
    title: ClassVar[str] = "Damage grows with closeness and with the number of edits"
    source: ClassVar[str] = (
        "Meng et al. 2022, arXiv 2210.07229; Gupta et al. 2024, arXiv 2401.07453"
    )
    pilot: ClassVar[str] = (
        "single edits and a sequence of 16 edits of one other seed were run; rule and size "
        "have not changed since. In an earlier run on the same models a fifth of the retained "
        "rows of edits 65 to 256 taught the old object of an earlier edit, and all conditions "
        "held; since the sequence retains no fact that it edits, the models agree less"
    )
    revised: ClassVar[bool] = False
    smaller: ClassVar[str] = ""
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("retained rows in the mixture hold bystanders in place: none", {"retained": 0}),
        Reason("LoRA of rank 16 changes little at a time: the rank of full fine-tuning",
               {"rank": 64}),
        Reason("the damage depends on the method: `rome`, `memit` or `alphaedit`",
               cost="a gate of its own, with a sequence for each method"),
    )  # fmt: skip

    world: SharedWorld = field(default_factory=SharedWorld)
    edits: int = 6
    sequence: tuple[int, ...] = (1, 4, 16, 64, 256)
    steps: int = 25
    rank: int = 16
    retained: int = 8
    seeds: int = 3

    @property
    def setting(self) -> str:
        """World, model and edits."""
        return (
            f"{self.world.told}; pico; {self.edits} single edits per level, and sequences of "
            f"{', '.join(map(str, self.sequence))} edits, each applied to the model that the "
            f"edits before it left; LoRA of rank {self.rank} on the MLP, {self.steps} steps with "
            f"{self.retained} retained rows each. Damage by closeness: log2 of "
            "KL(unedited || edited) at the bystander's object over that of unrelated facts. Damage "
            "by number of edits: fall of log p(object) of facts that were known and are not edited"
        )

    @property
    def _settings(self) -> dict[str, Any]:
        return {"part": "mlp", "rank": self.rank, "steps": self.steps, "edit_rows": 1,
                "retain_rows": self.retained}  # fmt: skip

    def units(self, seed: int, threads: int) -> Units:
        """The shared model and single edits."""
        model = self.world.model(seed, threads)
        request = self.world.request(self.edits)
        label = f"LoRA, rank {self.rank}"
        single = trial_unit(model, request, "lora", self._settings, label)
        return Units({"model": model}, {"singles": single})

    def measure(self, results: GateResults) -> Row:
        """Damage of single edits by closeness, and damage after each length of the sequence."""
        kept = results.after("singles").filter(~pl.col("must_change"))
        by = (
            kept.group_by("edit", "group", maintain_order=True)
            .agg(pl.col("kl").mean())
            .drop_nulls("kl")
        )
        return {"closeness": closeness(by), "sequence": self._followed(results)}

    def _followed(self, results: GateResults) -> list[dict[str, float]]:
        """Measure bystanders, and edits that are still in place, after each length of sequence."""
        run, model = results.run("model"), results.load("model")
        corpus = run.corpus
        context = EditContext(corpus=corpus, seed=results.seed, cache=results.directory.cache,
                              run=run.directory)  # fmt: skip
        some = self._plans(corpus, results.seed)
        asked = pl.concat([plan.training.filter(role="edit").head(1) for plan in some])
        deltas, held = self._in_sequence(model, some, asked, context)
        edited = set(asked["fact"].to_list())
        before = recall(
            model, corpus, templates=["default"], facts=np.arange(corpus.world.num_facts)
        )
        known = before.filter(pl.col("exact_match") & ~pl.col("fact").is_in(edited))
        found: list[dict[str, float]] = []
        total: dict[str, Change] = {}
        for first, last in itertools.pairwise((0, *self.sequence)):
            for delta in deltas[first:last]:
                total = add_changes(total, delta.changes)
            with _sum(deltas[0], total).apply(model):
                after = recall(model, corpus, facts=known["fact"], templates=["default"])
            fall = (known["log_probability"] - after["log_probability"]).mean()
            found.append(
                {
                    "edits": last,
                    "fall": float(fall),  # type: ignore[arg-type]
                    "lost": 1 - float(after["exact_match"].mean()),  # type: ignore[arg-type]
                    "held": held[last],
                    "bystanders": known.height,
                }
            )
        return found

    def _plans(self, corpus: Corpus, seed: int) -> list[EditPlan]:
        """Return the edits of the longest sequence in order, each of them as a plan.

        No edit retains a fact that another one changes, as late ones would teach old objects back.
        """
        most = self.sequence[-1]
        request = self.world.request(-(-most // len(self.world.levels)), probed=1)
        plans = compile_plan(corpus, request).as_batch().singles()
        order = np.random.default_rng(seed).permutation(len(plans))[:most]
        return [plans[at] for at in order]

    def _in_sequence(
        self, model: Any, plans: Sequence[EditPlan], asked: pl.DataFrame, context: EditContext
    ) -> tuple[list[EditDelta], dict[int, float]]:
        """Carry out plans, each on the model that those before it left.

        Parameters
        ----------
        model : PreTrainedModel
            Restored bit by bit at the end.
        plans : sequence of EditPlan
        asked : polars.DataFrame
            The first wording of each plan's edit, with its answer.
        context : EditContext

        Returns
        -------
        tuple of list of EditDelta and dict
            By length of the sequence: the share of its edits whose answers are generated.
        """
        delta_of = answers(get_method("lora", self._settings)).in_sequence(model, context)
        prompts, expected = asked["prompt"].to_list(), asked["answer"].to_list()
        most = 1 + max(map(len, expected))
        deltas: list[EditDelta] = []
        held: dict[int, float] = {}
        sums = Sums(model, {})
        try:
            for length in self.sequence:
                for plan in plans[len(deltas) : length]:
                    deltas.append(delta_of(plan))
                    sums.add(deltas[-1].changes)
                texts = generate(model, prompts, most=most)
                right = [text == answer for text, answer in zip(texts, expected, strict=True)]
                held[length] = float(np.mean(right[:length]))
        finally:
            sums.restore()
        return deltas, held

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Each group is damaged more than unrelated facts, and longer sequences damage more."""
        held = [
            Condition(
                f"KL of {group.replace('_', ' ')} over that of unrelated facts, log2",
                [row["closeness"][group] for row in rows], 0.0, 0.5,
            )
            for group in CLOSE
        ]  # fmt: skip
        for place, (fewer, more) in enumerate(itertools.pairwise(self.sequence)):
            falls = [[row["sequence"][at]["fall"] for row in rows] for at in (place, place + 1)]
            growth = [
                math.log2(max(b, _LEAST) / max(a, _LEAST)) for a, b in zip(*falls, strict=True)
            ]
            held.append(
                Condition(f"fall of log p after {more} edits over that after {fewer}, log2",
                          growth, 0.0, 0.5)
            )  # fmt: skip
        return held

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Damage against the number of edits."""
        apart = {"known facts lost (share)": SHARE, "fall of log p (nats)": ANY}
        points = [
            (what, one["edits"], one[key], model)
            for key, what in zip(("lost", "fall"), apart, strict=True)
            for model, row in enumerate(rows)
            for one in row["sequence"]
        ]
        return Picture("edits in a row", "damage to facts that are not edited", points,
                       "Each further edit damages what else the model knew.",
                       "Known facts lost, and the fall of their log p, against edits in a row.",
                       log=True, apart=apart)  # fmt: skip


def _sum(first: EditDelta, changes: dict[str, Change]) -> EditDelta:
    return replace(first, changes=changes, failure=None)
