"""Gate 6: forgetting is a power law of the steps when training continues without the fact.

A model is trained at a constant rate, then on new facts, then without them; the optimiser is the
same from the first to the last step. So the effect is forgetting alone, without warm-up, decay or
fresh optimiser moments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.world import World
from behemoth.study.analysis.ranges import SHARE
from behemoth.train.config import TrainConfig, default_config

from .conditions import Condition
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, Units

__all__ = ["Forgetting", "aicc", "laws", "readings"]

_COPIES = 32  # copies of a fact per pass
_FORGOTTEN = 0.6  # retention must fall below this: above it all laws are nearly straight lines


def readings(steps: int, count: int) -> list[int]:
    """Return `count` different log-spaced steps from 1 to `steps`, or all if there are fewer.

    Examples
    --------
    >>> readings(100, 6)
    [1, 3, 6, 16, 40, 100]
    """
    for asked in range(count, 100 * count):
        found = np.unique(np.geomspace(1, steps, asked).round().astype(int))
        if len(found) >= count:
            return [int(step) for step in found[-count:]] if count < steps else list(found)
    return [int(step) for step in range(1, steps + 1)]


def aicc(residuals: ArrayLike, parameters: int) -> float:
    """Return Akaike's criterion for small samples of a least-squares fit.

    Hurvich and Tsai, 1989.

    Parameters
    ----------
    residuals : array_like
    parameters : int
        Number of parameters of the curve; the variance is one more.
    """
    left = np.asarray(residuals, np.float64)
    count, free = len(left), parameters + 1
    variance = max(float((left**2).mean()), 1e-300)
    return count * math.log(variance) + 2 * free + 2 * free * (free + 1) / (count - free - 1)


def laws(steps: ArrayLike, retained: ArrayLike) -> dict[str, float]:
    """Fit retention by a - b ln t and by exponentials, and compare them by AICc.

    Parameters
    ----------
    steps, retained : array_like
        Steps from 1, and the retention at each.

    Returns
    -------
    dict
        a, b (of the law in log time), power (its AICc), exponential (the better AICc of
        a exp(-t / s) and c + a exp(-t / s), with s up to the last step: with larger s they are
        nearly straight lines), scale (its s in steps).

    Examples
    --------
    >>> t = np.geomspace(1, 1000, 30)
    >>> found = laws(t, 1 - 0.1 * np.log(t))
    >>> round(found["b"], 6), found["power"] < found["exponential"]
    (0.1, True)
    """
    t, y = np.asarray(steps, np.float64), np.asarray(retained, np.float64)
    slope, start = np.polyfit(np.log(t), y, 1)
    best, scale = math.inf, math.nan
    # For a given scale an exponential is linear in its other parameters, so a fine grid of scales
    # finds the best fit without starting values.
    for tried in np.geomspace(t[0] / 4, t[-1], 600):
        wave = np.exp(-t / tried)
        for columns in ([wave], [wave, np.ones_like(t)]):
            design = np.stack(columns, 1)
            fit, *_ = np.linalg.lstsq(design, y, rcond=None)
            value = aicc(y - design @ fit, len(columns) + 1)
            if value < best:
                best, scale = value, float(tried)
    power = aicc(y - (start + slope * np.log(t)), 2)
    return {"a": float(start), "b": -float(slope), "power": power, "exponential": best,
            "scale": scale}  # fmt: skip


@dataclass(frozen=True)
class Forgetting:
    """Facts are injected during a run at a constant rate, which then continues without them."""

    number: ClassVar[int] = 6
    name: ClassVar[str] = "forgetting"
    title: ClassVar[str] = "Forgetting is a power law when training goes on without the fact"
    source: ClassVar[str] = "Chang et al. 2024, arXiv 2406.11813"
    pilot: ClassVar[str] = (
        "short runs of one other seed were made to measure speed. Afterwards exponentials whose "
        "scale is longer than the run were excluded, because they are straight lines within it"
    )
    revised: ClassVar[bool] = True
    smaller: ClassVar[str] = ""
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("the learning rate is so high that facts are forgotten immediately: a quarter of it",
               {"rate": 1e-3}),
        Reason("facts were said too often, and hardly anything is forgotten: a quarter of the "
               "injection steps", {"injection": 40}),
        Reason("the model has room for all facts, and further training displaces few of them: "
               "20,000 facts, which are about as many bits as it can store",
               {"subjects": 10_000, "before": 8_800}),
    )  # fmt: skip

    subjects: int = 600
    relations: int = 2
    objects: int = 50
    injected: int = 200
    size: str = "pico"
    blocks: int = 4
    rate: float = 4e-3
    before: int = 300
    injection: int = 160
    after: int = 800
    looks: int = 30
    seeds: int = 5

    @property
    def setting(self) -> str:
        """World, model and steps."""
        return (
            f"{self.subjects * self.relations:,} facts of {self.objects} objects; {self.size}; a "
            f"warm-up and then a constant learning rate of {self.rate:g}, one optimiser "
            f"throughout, batches of {2 * self.blocks} x 128 tokens: {self.before} steps without "
            f"{self.injected} facts, {self.injection} steps in which these are half of each batch, "
            f"{self.after} steps without them, with {self.looks} log-spaced readings. Retention is "
            "log p(object) - log(1/objects), mean over the facts, divided by its value at the end "
            "of the injection"
        )

    def units(self, seed: int, threads: int) -> Units:
        """No units: the gate trains its own model."""
        return Units({})

    def measure(self, results: GateResults) -> Row:
        """Train, inject, continue training, and measure retention."""
        looks = readings(self.after, self.looks)
        found = list(_followed(self, results.seed, results.threads, {0, *looks}))
        chance = -math.log(self.objects)
        steps, scores, recalls = (list(column) for column in zip(*found, strict=True))
        above = [score - chance for score in scores]
        retained = [value / above[0] for value in above[1:]]
        return {
            "steps": steps[1:],
            "retained": retained,
            "recall": recalls,
            "above_chance": above[0],
        }

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Facts are learned, then forgotten, and a - b ln t fits better than exponentials."""
        found = [laws(row["steps"], row["retained"]) for row in rows]
        return [
            Condition("recall of the injected facts at the end of the injection",
                      [row["recall"][0] for row in rows], 0.8, 0.1, within=SHARE),
            Condition("retention at the last reading", [row["retained"][-1] for row in rows],
                      _FORGOTTEN, 0.1, below=True),
            Condition("AICc of the better exponential less that of a - b ln t",
                      [one["exponential"] - one["power"] for one in found], 0.0, 10.0),
        ]  # fmt: skip

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Retention against steps, with the fit of a - b ln t."""
        points = [
            ("retention", step, kept, model)
            for model, row in enumerate(rows)
            for step, kept in zip(row["steps"], row["retained"], strict=True)
        ]
        steps = np.array(rows[0]["steps"], np.float64)
        for model, row in enumerate(rows):
            law = laws(row["steps"], row["retained"])
            fit: NDArray[np.float64] = law["a"] - law["b"] * np.log(steps)
            points += [("a - b ln t", float(x), float(y), model)
                       for x, y in zip(steps, fit, strict=True)]  # fmt: skip
        return Picture("steps without the facts", "retention", points,
                       "Retention falls along a line in the logarithm of the steps.",
                       "Retention of the injected facts against steps without them, and the mean "
                       "of the fits a - b ln t.",
                       log=True)  # fmt: skip


def _followed(
    gate: Forgetting, seed: int, threads: int, looks: set[int]
) -> Iterator[tuple[int, float, float]]:
    """Yield (steps without the facts, their mean log-probability, their recall) at each reading."""
    from behemoth.model.build import build_model, padded_vocabulary
    from behemoth.model.sizes import find_size
    from behemoth.recall.facts import recall
    from behemoth.train.data import BlockStream, DataConfig
    from behemoth.train.device import Machine
    from behemoth.train.schedule import learning_rate
    from behemoth.train.update import Updater

    world = World(subjects=gate.subjects, relations=gate.relations, objects=gate.objects, seed=seed)
    facts = np.random.default_rng(seed).permutation(world.num_facts)[: gate.injected]
    chosen = np.zeros(world.num_facts, np.uint32)
    chosen[facts] = 1
    others = Corpus(world, exposures=_COPIES * (1 - chosen))
    inside = Corpus(world, exposures=_COPIES * chosen)
    config = _config(gate, seed, threads)
    machine = Machine.find(config)
    with machine.settings():
        model = build_model(
            find_size(gate.size),
            padded_vocabulary(others.vocabulary_size, 8),
            seed=seed,
            block_length=config.block_length,
            end_of_document=others.end_of_document,
        )
        update = Updater(model, config, machine, compiled=False)
        data = DataConfig(config.block_length, gate.blocks, config.document_mask)
        streams = [iter(BlockStream(corpus, data)) for corpus in (others, inside)]

        def batches(second: int) -> Iterator[Any]:
            while True:
                yield next(streams[0])
                yield next(streams[second])

        total = gate.before + gate.injection + gate.after
        phases = [(batches(0), gate.before), (batches(1), gate.injection),
                  (batches(0), gate.after)]  # fmt: skip
        done = 0
        for number, (some, steps) in enumerate(phases):
            for step in range(steps + 1):
                if number == 2 and step in looks:
                    model.eval()
                    asked = recall(model, others, facts=np.sort(facts), templates=["default"])
                    score, known = asked.select(
                        pl.col("log_probability").mean(),
                        pl.col("exact_match").cast(pl.Float64).mean(),
                    ).row(0)
                    yield step, float(score), float(known)
                    model.train()
                if step < steps:
                    update(some, learning_rate(config, done, total))
                    done += 1


def _config(gate: Forgetting, seed: int, threads: int) -> TrainConfig:
    """Return a configuration with a constant rate after warm-up, and two parts per batch."""
    return default_config(
        gate.size,
        batch_size=2 * gate.blocks,
        accumulate=2,
        learning_rate=gate.rate,
        schedule="wsd",
        warmup=0.03,
        decay=0.0,
        seed=seed,
        threads=threads,
        device="cpu",
        tensorboard=False,
    )
