"""Task vectors: learn the old answers still better, then go the other way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import Change, Dense, LowRank
from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.gradient.objectives import AnswerLikelihood
from behemoth.edit.protocol import EditContext, MethodInfo

from .grad_ascent import FORGETTING_KINDS

if TYPE_CHECKING:
    from torch import nn

    from behemoth.edit.gradient.optimise import Outcome
    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class TaskVector(GradientMethod):
    """theta - lambda (theta fine-tuned on the old answers - theta) (Ilharco et al., 2023).

    Attributes
    ----------
    strength : float
        Lambda.
    """

    steps: int = 20
    learning_rate: float = 1e-4
    retain_rows: int = 0
    strength: float = 1.0

    info: ClassVar[MethodInfo] = MethodInfo(
        name="task_vector",
        family="unlearning",
        source="Ilharco et al. 2023, arXiv 2212.04089",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
        doses=False,  # the trace is of learning the old answers, the delta unlearns them
    )

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> AnswerLikelihood:
        """Cross-entropy on the old answers."""
        return AnswerLikelihood(columns=("old_answer",))

    def finish(self, model: nn.Module, outcomes: list[Outcome]) -> list[Outcome]:
        """Turn every change round."""
        return [
            replace(
                outcome,
                changes={name: self._turn(change) for name, change in outcome.changes.items()},
            )
            for outcome in outcomes
        ]

    def _turn(self, change: Change) -> Change:
        if isinstance(change, LowRank):
            return LowRank(-self.strength * change.left, change.right)
        return Dense(-self.strength * change.change)
