"""Gradient ascent on the loss of the old answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, Forgetting
from behemoth.edit.protocol import EditContext, MethodInfo
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.gradient.step import Step
    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class Ascent(Forgetting):
    """-l_f."""

    def __call__(self, step: Step) -> Tensor:
        """Loss of each plan: [K]."""
        return -step.mean_nll()[:, step.edit()].mean(-1)


@dataclass(frozen=True)
class GradientAscent(GradientMethod):
    """Gradient ascent on the old answers, without a retain term (Jang et al., 2023).

    The loss has no lower bound: the number of steps decides how far it goes.
    """

    steps: int = 10
    learning_rate: float = 3e-5
    retain_rows: int = 0

    info: ClassVar[MethodInfo] = MethodInfo(
        name="grad_ascent",
        family="unlearning",
        source="Jang et al. 2023, arXiv 2210.01504",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.retain_rows:
            raise ArgumentError("retain_rows", self.retain_rows, "0: its loss has no retain term")

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> Ascent:
        """Return the negated loss on the old answers."""
        return Ascent()
