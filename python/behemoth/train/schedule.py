"""The learning rate at a step: a pure function, so that there is no state to save."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Give the learning rate of an update.

    Parameters
    ----------
    config : TrainConfig
    step : int
        From 0.
    steps : int
        Updates of the run.

    Returns
    -------
    float
        It rises linearly over the warm-up and reaches the peak at its last step. Then it
        follows half a cosine (Loshchilov and Hutter 2017), or stays and falls linearly at the
        end ("warm-up, stable, decay", Hu et al. 2024).
    """
    peak, final = config.learning_rate, config.final_learning_rate
    warm = round(config.warmup * steps)
    if step < warm:
        return peak * (step + 1) / warm
    if config.schedule == "cosine":
        # The last update has a step to make, so that the end of the cosine is one behind it.
        done = (step - warm) / max(1, steps - warm)
        return peak * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)
    falling = round(config.decay * steps)
    left = (steps - step) / falling if falling else 1.0
    return peak * (final + (1 - final) * min(1.0, left))
