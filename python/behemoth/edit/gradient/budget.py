"""Settings of the optimisation loop of all gradient methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from behemoth.support.errors import ArgumentError

__all__ = ["Budget", "Optimiser"]

Optimiser = Literal["adam", "sgd"]


@dataclass(frozen=True)
class Budget:
    """Settings of the optimisation loop of a gradient method.

    Attributes
    ----------
    steps : int
        Maximum number of steps.
    optimiser : {'adam', 'sgd'}
        Adam, or plain gradient descent without momentum.
    learning_rate : float
        Step size.
    edit_rows : int
        Number of edit rows per step (fewer if the plan has fewer).
    retain_rows : int
        Number of retained rows per step; 0 for none.
    clip : float
        Maximum norm of a plan's gradient.
    stop_loss : float, optional
        A plan stops when its loss on the edit's rows falls below this, or, if old answers are to be
        forgotten, rises above it: mean nats per token. By default no plan stops early.
    """

    steps: int = 40
    optimiser: Optimiser = "adam"
    learning_rate: float = 3e-4
    edit_rows: int = 8
    retain_rows: int = 8
    clip: float = 1.0
    stop_loss: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("edit_rows", 1), ("retain_rows", 0)):
            if getattr(self, name) < least:
                raise ArgumentError(name, getattr(self, name), f"at least {least}")
        if self.optimiser not in get_args(Optimiser):
            raise ArgumentError.unknown("optimiser", self.optimiser, get_args(Optimiser))
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ArgumentError(name, getattr(self, name), "above 0")
        if self.stop_loss is not None and not self.stop_loss >= 0:
            raise ArgumentError("stop_loss", self.stop_loss, "from 0")
