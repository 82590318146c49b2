"""Gate 3: the loss has a plateau before recall, which is shorter with skewed frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from behemoth.study.analysis.ranges import AMOUNT, SHARE

from .conditions import Condition
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, Units, model_unit

__all__ = ["Plateau", "plateau"]

_TOP, _BOTTOM = 1.05, 0.8  # shares of the loss of guessing among the objects
_SMOOTH = 5  # readings per running mean
_LONG = 0.1  # minimum length of a plateau, as a share of the uniform run
_UNKNOWN = 0.2  # recall below which facts count as not known
_KNOWN = 0.5
_DRAWN = 60  # approximate number of points per curve in the figure


def plateau(loss: ArrayLike, chance: float) -> tuple[int, int | None]:
    """Return the readings at which a plateau begins and ends.

    Parameters
    ----------
    loss : array_like
        Loss of each reading.
    chance : float
        Loss of guessing among the objects of the relation.

    Returns
    -------
    int, int or None
        The first reading at which the running mean is at most 1.05 x chance, and the first at
        which it is at most 0.8 x chance; None if there is no such reading.
    """
    values = np.asarray(loss, np.float64)
    mean: NDArray[np.float64] = np.convolve(values, np.ones(_SMOOTH) / _SMOOTH, "valid")
    begins, ends = (np.flatnonzero(mean <= share * chance) for share in (_TOP, _BOTTOM))
    begin = int(begins[0]) + _SMOOTH if len(begins) else len(values)
    return begin, int(ends[0]) + _SMOOTH if len(ends) else None


@dataclass(frozen=True)
class Plateau:
    """Two corpora of the same world, with uniform and Zipf exposures, and equal training tokens."""

    number: ClassVar[int] = 3
    name: ClassVar[str] = "plateau"
    title: ClassVar[str] = "The loss has a plateau before recall; skewed frequencies shorten it"
    source: ClassVar[str] = "Zucchet et al. 2025, arXiv 2503.21676"
    pilot: ClassVar[str] = (
        "a uniform run of one other seed showed that objects are two tokens here, and the loss "
        "of guessing among them; the bounds have not changed since"
    )
    revised: ClassVar[bool] = False
    smaller: ClassVar[str] = (
        "The design asks for 14 million tokens per model. Here are 3.67 million (one relation), so "
        "that all gates run in about two hours on two cores"
    )
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("the learning rate ends the plateau before its length shows: half of it",
               {"rate": 2e-3}),
        Reason("names of three tokens are learned equally late in both runs: one token",
               {"base": 4096}),
        Reason("the world is too small, and the plateau grows with the number of subjects: twice "
               "as many, of three tokens still",
               {"subjects": 4096, "skewed": "zipf:alpha=0.7,min=1,max=13929"}),
    )  # fmt: skip

    subjects: int = 2048
    relations: int = 1
    objects: int = 50
    base: int = 16
    uniform: int = 128
    skewed: str = "zipf:alpha=0.7,min=1,max=7864"
    size: str = "pico"
    batch_size: int = 16
    rate: float = 4e-3
    probed: int = 400
    seeds: int = 3

    @property
    def setting(self) -> str:
        """World and models."""
        return (
            f"{self.subjects * self.relations:,} facts ({self.subjects:,} subjects of three tokens "
            f"in base {self.base}, {self.relations} relation, {self.objects} objects), exposures "
            f"{self.uniform} for all or {self.skewed}, the same number of tokens in both; "
            f"{self.size}, batches of {self.batch_size} x 128 tokens, learning rate {self.rate:g}, "
            f"loss on answers only. The plateau is the part in which the loss is between {_TOP:g} "
            f"and {_BOTTOM:g} times that of guessing among the objects"
        )

    def units(self, seed: int, threads: int) -> Units:
        """Models, one per corpus; both are trained for the steps of one pass of the uniform one."""
        world = {"subjects": self.subjects, "relations": self.relations, "objects": self.objects}
        train: dict[str, Any] = {"model": self.size, "batch_size": self.batch_size,
                                 "learning_rate": self.rate, "answers_only": True,
                                 "log_interval": 4, "probe_facts": self.probed}  # fmt: skip
        uniform = model_unit(
            world, {"exposures": self.uniform, "base": self.base}, seed=seed, threads=threads,
            **train,
        )  # fmt: skip
        blocks = uniform.corpus.make().count_tokens() // uniform.config.block_length
        steps = blocks // self.batch_size
        train |= {"steps": steps, "eval_interval": max(1, steps // 24)}
        return Units(
            {
                name: model_unit(
                    world, {"exposures": form, "base": self.base}, seed=seed, threads=threads,
                    **train,
                )
                for name, form in (("uniform", self.uniform), ("skewed", self.skewed))
            }
        )  # fmt: skip

    def measure(self, results: GateResults) -> Row:
        """Begin and end of the plateaus, and recall at their end."""
        some = results.run("uniform").corpus.probes(np.arange(min(self.subjects, 200)), ["default"])
        # Mean over the tokens of the object and the period, which costs nothing once it is known.
        chance = math.log(self.objects) / (float(some["answer"].list.len().mean()) + 1)  # type: ignore[arg-type]
        found: dict[str, Any] = {"chance": chance}
        for name in ("uniform", "skewed"):
            metrics = results.metrics(name)
            train = metrics.filter(pl.col("kind") == "train").sort("step")
            step, loss = train["step"].to_numpy(), train["loss"].to_numpy()
            begin, end = plateau(loss, chance)
            probed = (
                metrics.filter(pl.col("kind") == "recall")
                .group_by("step", maintain_order=True)
                .agg((pl.col("recall") * pl.col("n")).sum() / pl.col("n").sum())
                .sort("step")
            )
            first = float(step[min(begin, len(step)) - 1])
            last = math.nan if end is None else float(step[end - 1])
            at = step[-1] if end is None else last
            recall = np.interp(at, probed["step"].to_numpy(), probed["recall"].to_numpy())
            every = max(1, len(step) // _DRAWN)
            found[name] = {
                "begin": first, "end": None if end is None else last, "steps": int(step[-1]),
                "recall_at_end": float(recall), "recall": results.model(name).recall,
                "curve": [[int(s), round(float(x), 4)]
                          for s, x in zip(step[::every], loss[::every], strict=True)],
                **results.about(name),
            }  # fmt: skip
        return found

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """There is a plateau, without recall, and it is shorter with skewed exposures."""
        length = {
            name: [
                math.nan if row[name]["end"] is None else row[name]["end"] - row[name]["begin"]
                for row in rows
            ]
            for name in ("uniform", "skewed")
        }
        share = [
            x / row["uniform"]["steps"] for x, row in zip(length["uniform"], rows, strict=True)
        ]
        shorter = [
            math.log2(max(one, 1) / max(other, 1)) if math.isfinite(one + other) else math.nan
            for one, other in zip(length["uniform"], length["skewed"], strict=True)
        ]
        return [
            Condition("length of the plateau in the uniform run, share of its steps", share,
                      _LONG, 0.05, within=SHARE),
            Condition("recall at the end of that plateau",
                      [row["uniform"]["recall_at_end"] for row in rows], _UNKNOWN, 0.1,
                      below=True, within=SHARE),
            Condition("recall at the end of the uniform run",
                      [row["uniform"]["recall"] for row in rows], _KNOWN, 0.1,
                      within=SHARE),
            Condition("length of the plateau, uniform over skewed, in doublings", shorter,
                      0.0, 0.15),
        ]  # fmt: skip

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Loss against steps."""
        points = [
            (f"{name} exposures", step, loss / rows[0]["chance"], model)
            for name in ("uniform", "skewed")
            for model, row in enumerate(rows)
            for step, loss in row[name]["curve"]
        ]
        return Picture("steps", "loss on answers / loss of guessing among the objects", points,
                       "The loss has a plateau while objects are known and facts are not, and "
                       "leaves it sooner if some facts are written more often.",
                       "Loss on answers against steps, with uniform and with skewed exposures.",
                       within=AMOUNT)  # fmt: skip
