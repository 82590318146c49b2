"""How locate-and-edit methods look for their target vectors.

The defaults are those of ROME's published code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from behemoth.support.errors import ArgumentError

__all__ = ["TargetBudget", "Token"]

Token = Literal["subject", "prompt"]
"""Which token of a prompt is edited at: the last of the subject, or the last of all."""


@dataclass(frozen=True)
class TargetBudget:
    """How target vectors are looked for.

    Attributes
    ----------
    steps : int
        Most Adam steps.
    learning_rate : float
        Step size.
    keep : float
        Weight of the divergence from the unedited model on other relations of the subject.
    decay : float
        Weight of the vector's norm, over the squared norm of what it is added to.
    decay_power : int
        Power of the vector's norm: 1 as in the published code of ROME and MEMIT, or 2, which
        weighs the same whatever the scale of the model's activations.
    clamp : float
        Largest norm of the vector, as a multiple of that of what it is added to.
    stop_loss : float
        A vector is done when its loss falls below this.
    """

    steps: int = 20
    learning_rate: float = 0.5
    keep: float = 0.0625
    decay: float = 0.5
    decay_power: int = 1
    clamp: float = 4.0
    stop_loss: float = 0.05

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ArgumentError("steps", self.steps, "at least 1")
        for name in ("learning_rate", "clamp"):
            if not getattr(self, name) > 0:
                raise ArgumentError(name, getattr(self, name), "above 0")
        if self.decay_power not in (1, 2):
            raise ArgumentError("decay_power", self.decay_power, "1 or 2")
        for name in ("keep", "decay", "stop_loss"):
            if not getattr(self, name) >= 0:
                raise ArgumentError(name, getattr(self, name), "from 0")
