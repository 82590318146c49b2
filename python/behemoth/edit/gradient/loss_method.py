"""The base class of gradient methods whose loss needs only their settings and a step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.protocol import EditContext

from .method import GradientMethod
from .objectives import Positions

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.plan.edit_plan import EditPlan

    from .step import Step

__all__ = ["LossMethod"]


@dataclass(frozen=True)
class LossMethod(GradientMethod):
    """A gradient method with a loss in place of an objective.

    The loss is compared at the answers, or at the positions that a setting `positions` names.
    """

    trains_on: ClassVar[tuple[str, ...]] = ("answer",)
    """Columns of the edit rows' answers; for more than one, `columns` is their number."""
    needs_reference: ClassVar[bool] = False
    """Whether the loss needs the logits of the unedited model."""

    @abstractmethod
    def loss(self, step: Step) -> Tensor:
        """Return the loss of each plan: [K]."""

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> MethodLoss:
        """Return the loss as the loop takes it."""
        positions: Positions = getattr(self, "positions", "answers")
        return MethodLoss(self.loss, self.trains_on, self.needs_reference, positions)


@dataclass(frozen=True)
class MethodLoss:
    """The loss of a method, as an `Objective`."""

    loss: Callable[[Step], Tensor]
    columns: tuple[str, ...]
    needs_reference: bool
    positions: Positions
    observe: tuple[str, ...] = ()

    def __call__(self, step: Step) -> Tensor:
        """Return the loss of each plan: [K]."""
        return self.loss(step)
