"""Task vectors: subtract the update of fine-tuning on the old answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, AnswerLikelihood
from behemoth.edit.protocol import EditContext, MethodInfo
from behemoth.edit.search import Range, Searched
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import nn

    from behemoth.delta.stack import StackedDeltas
    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class TaskVector(GradientMethod):
    """theta - lambda (theta fine-tuned on the old answers - theta) (Ilharco et al., 2023).

    Attributes
    ----------
    strength : float
        Lambda; below 0 the learnt change is added, and retained rows are allowed.
    """

    steps: int = 20
    learning_rate: float = 1e-4
    retain_rows: int = 0
    strength: float = 1.0

    searched: ClassVar[Searched] = {
        **GradientMethod.searched,
        "strength": Range(0.2, 3.0, log=True),
    }
    info: ClassVar[MethodInfo] = MethodInfo(
        name="task_vector",
        family="unlearning",
        source="Ilharco et al. 2023, arXiv 2212.04089",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strength:
            raise ArgumentError("strength", self.strength, "any number but 0")
        if self.retain_rows and self.strength > 0:
            allowed = "0 with a strength above 0, which would also unlearn the retained rows"
            raise ArgumentError("retain_rows", self.retain_rows, allowed)
        if self.stop_loss is not None and self.strength < 0:
            # It ends an edit once the old answers are unlikely enough; these become likelier.
            raise ArgumentError("stop_loss", self.stop_loss, "none with a strength below 0")

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> AnswerLikelihood:
        """Return the cross-entropy on the old answers."""
        return AnswerLikelihood(columns=("old_answer",))

    def as_returned(self, stacked: StackedDeltas) -> StackedDeltas:
        """Return every change times minus the strength."""
        return stacked.scaled(-self.strength)
