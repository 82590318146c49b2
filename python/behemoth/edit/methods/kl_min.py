"""KL minimisation: ascent on the old answers, KL to the original model on the retained rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, Forgetting, Positions, by_row
from behemoth.edit.protocol import EditContext, MethodInfo
from behemoth.edit.search import Range, Searched
from behemoth.model.precision import widened

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.gradient.step import Step
    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class HeldAscent(Forgetting):
    """-l_f + alpha KL(reference || model) at the positions of the retained rows."""

    needs_reference: bool = True
    positions: Positions = "all"

    def __call__(self, step: Step) -> Tensor:
        """Loss of each plan: [K]."""
        loss = -step.mean_nll()[:, step.edit()].mean(-1)
        if not step.has_retained:
            return loss
        return loss + self.retain * _divergence(step)


@dataclass(frozen=True)
class KLMinimisation(GradientMethod):
    """KL minimisation (Maini et al., 2024).

    Attributes
    ----------
    retain : float
        Weight alpha of the divergence; 1 in the paper.
    positions : {'all', 'answers'}
        Positions of the divergence: every token of prompt and answer, as published, or only those
        where answers are predicted.
    """

    steps: int = 20
    learning_rate: float = 3e-5
    retain: float = 25.0
    positions: Positions = "all"

    searched: ClassVar[Searched] = {
        **GradientMethod.searched,
        "retain": Range(0.2, 100.0, log=True),
    }
    info: ClassVar[MethodInfo] = MethodInfo(
        name="kl_min",
        family="unlearning",
        source="Maini et al. 2024 (TOFU), arXiv 2401.06121",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> HeldAscent:
        """See `HeldAscent`."""
        return HeldAscent(retain=self.retain, positions=self.positions)


def _divergence(step: Step) -> Tensor:
    """Return the mean over rows of KL(reference || model), averaged over positions: [K]."""
    from torch.nn import functional as F

    rows = step.retain
    ours = widened(step.predicted(rows)).log_softmax(-1)
    theirs = widened(step.reference_predicted(rows)).log_softmax(-1)
    divergence = F.kl_div(ours, theirs, log_target=True, reduction="none").sum(-1)
    return by_row(divergence, step.positions[:, rows])
