"""Gate 3: a plateau of the loss before recall, and a shorter one where frequencies are skewed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from .bench import Bench, Units, model_unit
from .record import Judgement, Seen, shown

__all__ = ["Plateau", "judge", "plateau"]

_TOP, _BOTTOM = 1.05, 0.8  # of the loss of one who knows the objects but no fact
_SMOOTH = 5  # steps of the running mean
_LONG = 0.1  # share of the run that makes a plateau
_UNKNOWN = 0.2  # recall up to which nothing is known yet
_KNOWN = 0.5
_SHORTER = 0.9
_ANSWER_TOKENS = 2  # the object's word and the period


def plateau(loss: ArrayLike, chance: float) -> tuple[int, int | None]:
    """Where a plateau begins and ends, in steps.

    Parameters
    ----------
    loss : array_like
        A value a step.
    chance : float
        Loss of one who knows the objects of a relation but no fact.

    Returns
    -------
    int, int or None
        The first step at which the running mean is at most 1.05 x chance, and the first at
        which it is at most 0.8 x chance; None where it does not come to that.
    """
    values = np.asarray(loss, np.float64)
    mean: NDArray[np.float64] = np.convolve(values, np.ones(_SMOOTH) / _SMOOTH, "valid")
    begins, ends = (np.flatnonzero(mean <= share * chance) for share in (_TOP, _BOTTOM))
    begin = int(begins[0]) + _SMOOTH if len(begins) else len(values)
    return begin, int(ends[0]) + _SMOOTH if len(ends) else None


def judge(found: Mapping[str, Mapping[str, Any]], steps: int) -> Judgement:
    """Judge the plateaus of two runs.

    Parameters
    ----------
    found : mapping
        For ``uniform`` and ``skewed``: begin and end (steps; end may be None),
        recall_at_end (of the plateau) and recall (of the run).
    steps : int
        Of each run.
    """
    uniform, skewed = found["uniform"], found["skewed"]
    said = "; ".join(
        f"{name}: from step {row['begin']} to {shown(row['end'])} of {steps}, recall then "
        f"{shown(row['recall_at_end'])}, in the end {shown(row['recall'])}"
        for name, row in (("uniform", uniform), ("skewed", skewed))
    )
    if uniform["end"] is None or uniform["recall"] < _KNOWN:
        return Judgement(
            "not shown at this size", said, "a longer run: the uniform one must leave its plateau"
        )
    length = uniform["end"] - uniform["begin"]
    if skewed["end"] is None or skewed["end"] - skewed["begin"] > _SHORTER * length:
        return Judgement("not reproduced", said)
    if length < _LONG * steps or uniform["recall_at_end"] > _UNKNOWN:
        return Judgement(
            "not shown at this size",
            f"{said}: shorter where frequencies are skewed, but recall rises on the shoulder of "
            "the curve and there is nothing flat before it",
            "tens of thousands of facts: the plateau grows with the number of subjects, and a few "
            "hundred are learned as soon as the objects are",
        )
    return Judgement("reproduced", said)


@dataclass(frozen=True)
class Plateau:
    """Two corpora of the same world, trained for the same steps: uniform and Zipf exposures."""

    number: ClassVar[int] = 3
    title: ClassVar[str] = "The loss has a plateau before recall; skewed frequencies shorten it"
    rule: ClassVar[str] = (
        f"loss on answers stays between {_TOP:g} and {_BOTTOM:g} times that of guessing among the "
        f"objects for at most {_SHORTER:g} times as many steps in the skewed run as in the uniform "
        f"one, and in that for at least {_LONG:.0%} of the run with recall up to {_UNKNOWN:g} at "
        "its end (shorter than that or with more recall: no plateau is shown; nor where the "
        f"uniform run ends on it, or below a recall of {_KNOWN:g})"
    )
    source: ClassVar[str] = "Zucchet et al. 2025, arXiv 2503.21676"

    subjects: int = 200
    relations: int = 4
    objects: int = 50
    uniform: str = "64"
    skewed: str = "zipf:alpha=1,min=16,max=4000"
    steps: int = 176
    batch_size: int = 16

    def units(self, threads: int) -> Units:
        """A model on each corpus."""
        world = {"subjects": self.subjects, "relations": self.relations, "objects": self.objects}
        train = {
            "steps": self.steps, "batch_size": self.batch_size, "answers_only": True,
            "log_interval": 1, "eval_interval": max(1, self.steps // 16), "probe_facts": 400,
        }  # fmt: skip
        exposures: dict[str, str | int] = {"uniform": int(self.uniform), "skewed": self.skewed}
        return Units(
            {
                name: model_unit(world, {"exposures": form}, threads=threads, **train)
                for name, form in exposures.items()
            }
        )

    def look(self, bench: Bench) -> Seen:
        """Judge the loss curves."""
        chance = math.log(self.objects) / _ANSWER_TOKENS
        found: dict[str, dict[str, Any]] = {}
        for name in ("uniform", "skewed"):
            metrics = bench.metrics(name)
            loss = metrics.filter(pl.col("kind") == "train").sort("step")["loss"]
            begin, end = plateau(loss.to_numpy(), chance)
            probed = (
                metrics.filter(pl.col("kind") == "recall")
                .group_by("step")
                .agg((pl.col("recall") * pl.col("n")).sum() / pl.col("n").sum())
                .sort("step")
            )
            at = self.steps if end is None else end
            recall = np.interp(at, probed["step"].to_numpy(), probed["recall"].to_numpy())
            found[name] = {
                "begin": begin,
                "end": end,
                "recall_at_end": float(recall),
                "recall": bench.model(name).recall,
                "loss": [round(value, 4) for value in loss.to_list()],
            }
        done = (
            f"{self.subjects * self.relations:,} facts of {self.objects} objects, exposures "
            f"{self.uniform} for all or {self.skewed}, loss on answers only; "
            f"{bench.steps('uniform')} each"
        )
        return Seen(done, {"chance": chance, **found}, judge(found, self.steps))
