"""Gate 6: forgetting is a power law of the steps of training that goes on without the fact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth._gen import digest
from behemoth.recall.facts import recall
from behemoth.study.file.identity import canonical
from behemoth.study.trial.durability import log_steps, train_on
from behemoth.support.files import replacing

from .bench import Bench, Frequency, Units
from .record import Judgement, Seen, shown

__all__ = ["Forgetting", "judge", "power_law"]

_FITS = 0.8
_FORGOTTEN = 0.5  # retention that must be fallen below: above it all laws are nearly straight
_POINTS = 5


def power_law(steps: Sequence[int], retained: Sequence[float]) -> dict[str, float | None]:
    """Fit retention by a power of the steps, and by an exponential.

    Parameters
    ----------
    steps : sequence of int
        0 is left out, and so is what is not above 0.
    retained : sequence of float
        Share that is left.

    Returns
    -------
    dict
        exponent (of the power law, below 0), power and exponential (R^2 of least squares on the
        logarithm of retention); None where there are fewer than five points.

    Examples
    --------
    >>> fit = power_law([1, 2, 4, 8, 16], [1.0, 0.5, 0.25, 0.125, 0.0625])
    >>> round(fit["exponent"], 6), round(fit["power"], 6), fit["exponential"] < 0.9
    (-1.0, 1.0, True)
    """
    kept = [
        (step, share) for step, share in zip(steps, retained, strict=True) if step and share > 0
    ]
    if len(kept) < _POINTS:
        return {"exponent": None, "power": None, "exponential": None}
    x, y = np.array(kept, np.float64).T
    slope, power = _line(np.log(x), np.log(y))
    return {"exponent": slope, "power": power, "exponential": _line(x, np.log(y))[1]}


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    slope, offset = np.polyfit(x, y, 1)
    spread = float(((y - y.mean()) ** 2).sum())
    left = float(((y - slope * x - offset) ** 2).sum())
    return float(slope), 1 - left / spread if spread else 0.0


def judge(steps: Sequence[int], retained: Sequence[float]) -> Judgement:
    """Judge retention: the share of the log-probability above chance that is left."""
    fit = power_law(steps, retained)
    said = (
        f"retention {shown(retained[0])} to {shown(retained[-1])} after {steps[-1]} steps; "
        f"exponent {shown(fit['exponent'])}, R^2 {shown(fit['power'])} of a power law and "
        f"{shown(fit['exponential'])} of an exponential"
    )
    if min(retained) > _FORGOTTEN:
        return Judgement(
            "not shown at this size",
            said,
            "more steps, or a model nearer to its capacity: what is left must fall below "
            f"{_FORGOTTEN} before its course can be told",
        )
    power, exponential, exponent = fit["power"], fit["exponential"], fit["exponent"]
    if power is None or exponential is None or exponent is None:
        return Judgement("not reproduced", f"{said}: fewer than {_POINTS} points are above 0")
    holds = exponent < 0 and power >= _FITS and power > exponential
    return Judgement("reproduced" if holds else "not reproduced", said)


@dataclass(frozen=True)
class Forgetting:
    """The shared model trains on without a part of the facts that it knows."""

    number: ClassVar[int] = 6
    title: ClassVar[str] = "Forgetting is a power law when training goes on without the fact"
    rule: ClassVar[str] = (
        "retention is (log p - log chance) of the left-out facts against its value at step 0; on "
        f"log-spaced steps from 1 a power law fits its logarithm with R^2 of at least {_FITS} and "
        f"better than an exponential (not shown where it stays above {_FORGOTTEN})"
    )
    source: ClassVar[str] = "Chang et al. 2024, arXiv 2406.11813"

    world: Frequency = field(default_factory=Frequency)
    share: int = 4
    steps: int = 256
    rate: float = 1.0
    least_exposures: int = 32

    def units(self, threads: int) -> Units:
        """The shared model."""
        return Units({"model": self.world.model(threads=threads)})

    def look(self, bench: Bench) -> Seen:
        """Train on, unless that was done, and judge what is left."""
        known = bench.recall("model").filter(
            pl.col("exact_match")
            & (pl.col("exposures") >= self.least_exposures)
            & (pl.col("fact") % self.share == 0)
        )
        chance = -float(np.log(self.world.objects))
        frame = self._followed(bench, known["fact"].to_numpy())
        table = (
            frame.group_by("step")
            .agg(pl.col("log_probability").mean(), pl.col("exact_match").cast(pl.Float64).mean())
            .sort("step")
        )
        above = (table["log_probability"] - chance).to_numpy()
        retained = (above / above[0]).tolist() if len(above) else [1.0]
        steps = [int(step) for step in table["step"]] or [0]
        numbers = {
            "facts": known.height,
            "steps": steps,
            "retained": retained,
            "recall": table["exact_match"].to_list(),
            **power_law(steps, retained),
        }
        done = (
            f"{bench.steps('model')} on {self.world.told}; then {self.steps} steps at "
            f"{self.rate:g} of the peak rate without {known.height} facts that it knew (exposures "
            f"from {self.least_exposures})"
        )
        return Seen(done, numbers, judge(steps, retained))

    def _followed(self, bench: Bench, facts: NDArray[np.uint64]) -> pl.DataFrame:
        """Log-probabilities of the facts while training goes on without them, kept on disk."""
        what = [bench.units.models["model"].id, self.share, self.steps, self.rate,
                self.least_exposures]  # fmt: skip
        name = digest(canonical(what).encode())[:16]
        file: Path = bench.directory.path / "forgetting" / f"{name}.parquet"
        if file.is_file():
            return pl.read_parquet(file)
        run, model = bench.run("model"), bench.load("model")
        twin = run.corpus.without(facts)
        config = run.config
        looked = set(log_steps(self.steps))

        def ask(step: int) -> pl.DataFrame:
            asked = recall(model, run.corpus, facts=facts, templates=["default"])
            return asked.select(
                pl.lit(step, pl.UInt32).alias("step"), "fact", "log_probability", "exact_match"
            )

        frames = [ask(0)]
        going_on: Any = train_on(model, twin, config, self.steps, self.rate)
        frames += [ask(step) for step in going_on if step in looked]
        frame = pl.concat(frames)
        with replacing(file) as temporary:
            frame.write_parquet(temporary)
        return frame
