"""The learning rate at a step, as a pure function: no state has to be saved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Return the learning rate of an update.

    Parameters
    ----------
    config : TrainConfig
    step : int
        Index of the update, from 0.
    steps : int
        Number of updates of the run.

    Returns
    -------
    float
        It rises linearly over the warm-up and reaches the peak at its last step. Then it follows
        half a cosine (Loshchilov and Hutter 2017), or stays constant and decays linearly at the end
        ("warm-up, stable, decay", Hu et al. 2024).
    """
    peak, final = config.learning_rate, config.final_learning_rate
    warm = round(config.warmup * steps)
    if step < warm:
        return peak * (step + 1) / warm
    if config.schedule == "cosine":
        # The cosine ends one step after the last update, so that its rate is not yet the final one.
        done = (step - warm) / max(1, steps - warm)
        return peak * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)
    falling = round(config.decay * steps)
    left = (steps - step) / falling if falling else 1.0
    return peak * (final + (1 - final) * min(1.0, left))
