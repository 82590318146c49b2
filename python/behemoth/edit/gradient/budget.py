"""Settings of the optimisation loop of all gradient methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from behemoth.edit.bounds import ABOVE_0, FROM_0, Bounds, at_least, check_values

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

    bounds: ClassVar[Bounds] = {
        "steps": at_least(1), "edit_rows": at_least(1), "retain_rows": at_least(0),
        "learning_rate": ABOVE_0, "clip": ABOVE_0, "stop_loss": FROM_0,
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_values(self)
