"""Settings of the search for target vectors in locate-and-edit methods.

The defaults are those of ROME's published code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from behemoth.edit.bounds import ABOVE_0, FROM_0, Bounds, at_least, check_values
from behemoth.support.errors import ArgumentError

__all__ = ["TargetBudget", "Token"]

Token = Literal["subject", "prompt"]
"""Token of a prompt at which is edited: the last of the subject, or the last of the prompt."""


@dataclass(frozen=True)
class TargetBudget:
    """Settings of the search for target vectors.

    Attributes
    ----------
    steps : int
        Maximum number of Adam steps.
    learning_rate : float
        Step size.
    keep : float
        Weight of the divergence from the unedited model on other relations of the subject; without
        effect at the prompt's last token, where these have keys of their own.
    decay : float
        Weight of the vector's norm, divided by the squared norm of the vector it is added to.
    decay_power : int
        Power of the vector's norm: 1 as in the published code of ROME and MEMIT, or 2, whose weight
        does not depend on the scale of the model's activations.
    clamp : float
        Maximum norm of the vector, as a multiple of the norm of the vector it is added to.
    stop_loss : float
        Loss, with the divergence and the norm at their weights, below which the search for a vector
        stops.
    """

    steps: int = 20
    learning_rate: float = 0.5
    keep: float = 0.0625
    decay: float = 0.5
    decay_power: int = 1
    clamp: float = 4.0
    stop_loss: float = 0.05

    bounds: ClassVar[Bounds] = {
        "steps": at_least(1), "learning_rate": ABOVE_0, "clamp": ABOVE_0, "keep": FROM_0,
        "decay": FROM_0, "stop_loss": FROM_0,
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_values(self)
        if self.decay_power not in (1, 2):
            raise ArgumentError("decay_power", self.decay_power, "1 or 2")

    def further_steps(self) -> int | None:
        """Return the steps after the one at which every edited sentence gives its new answer.

        With none, which is the default, the search does not end for that.
        """
        return None
