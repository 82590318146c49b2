"""Settings of the optimisation loop of all gradient methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from behemoth.edit.bounds import ABOVE_0, FROM_0, Bounds, at_least, check_values

__all__ = ["COUNTED_STEPS", "Budget", "Optimiser", "counted_share"]

Optimiser = Literal["adam", "sgd"]
COUNTED_STEPS = (2, 3, 4)
"""Steps of the edits from which the cost of more steps follows (`behemoth.edit.cost`). Memory is at
its peak in the second step, when a gradient is there beside Adam's moments."""


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
        A plan stops when the loss of the edit's new answers, or refusals, falls below this, or, for
        a method that trains on old answers alone, theirs rises above it: mean nats per token over
        all edit rows. Of a plan with more than `edit_rows`, each counts with the loss of the last
        step that had it, and all have to be seen first. By default no plan stops early.
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


def counted_share(method: object) -> float:
    """Return how many steps of a method are made to count their cost, as a share of all of them."""
    if not isinstance(method, Budget) or method.stop_loss is not None:
        return 1.0
    return min(1.0, sum(COUNTED_STEPS) / method.steps)
