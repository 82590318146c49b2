"""Fine-tuning of all or chosen parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.gradient.objectives import AnswerLikelihood
from behemoth.edit.protocol import ALL_KINDS, EditContext, MethodInfo

if TYPE_CHECKING:
    from torch import nn

    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class FineTuning(GradientMethod):
    """Adam on the plan's mixture, cross-entropy on answer tokens."""

    steps: int = 60
    learning_rate: float = 5e-5

    info: ClassVar[MethodInfo] = MethodInfo(
        name="ft",
        family="fine-tuning",
        source="the plain baseline of the editing papers",
        changes="all or chosen parameters, full rank",
        kinds=ALL_KINDS,
        stacks=True,
    )

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> AnswerLikelihood:
        """Return the cross-entropy on the answers."""
        return AnswerLikelihood()
