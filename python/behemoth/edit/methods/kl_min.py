"""KL minimisation: ascent on the old answers, KL to the original model on the retained rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.gradient.loss_method import LossMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, Positions, by_row
from behemoth.edit.protocol import MethodInfo
from behemoth.edit.search import Range, Searched
from behemoth.model.precision import widened

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.gradient.step import Step


@dataclass(frozen=True)
class KLMinimisation(LossMethod):
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

    trains_on: ClassVar[tuple[str, ...]] = ("old_answer",)
    needs_reference: ClassVar[bool] = True
    searched: ClassVar[Searched] = {
        **LossMethod.searched,
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

    def loss(self, step: Step) -> Tensor:
        """-l_f + alpha KL(reference || model) at the positions of the retained rows."""
        loss = -step.mean_nll()[:, step.edit()].mean(-1)
        if not step.has_retained:
            return loss
        return loss + self.retain * _divergence(step)


def _divergence(step: Step) -> Tensor:
    """Return the mean over rows of KL(reference || model), averaged over positions: [K]."""
    from torch.nn import functional as F

    rows = step.retain
    ours = widened(step.predicted(rows)).log_softmax(-1)
    theirs = widened(step.reference_predicted(rows)).log_softmax(-1)
    divergence = F.kl_div(ours, theirs, log_target=True, reduction="none").sum(-1)
    return by_row(divergence, step.positions[:, rows])
