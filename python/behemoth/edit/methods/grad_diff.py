"""Gradient difference: ascent on the old answers, descent on the retained rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.gradient.loss_method import LossMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, retained
from behemoth.edit.protocol import MethodInfo
from behemoth.edit.search import Range, Searched

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.gradient.step import Step


@dataclass(frozen=True)
class GradientDifference(LossMethod):
    """Gradient difference (Liu et al., 2022).

    Attributes
    ----------
    forget : float
        Weight gamma of the old answers.
    retain : float
        Weight alpha of the retained rows.
    """

    steps: int = 40
    learning_rate: float = 1e-4
    forget: float = 1.0
    retain: float = 5.0

    trains_on: ClassVar[tuple[str, ...]] = ("old_answer",)
    searched: ClassVar[Searched] = {
        **LossMethod.searched,
        "retain": Range(0.2, 25.0, log=True),
    }
    info: ClassVar[MethodInfo] = MethodInfo(
        name="grad_diff",
        family="unlearning",
        source="Liu et al. 2022, arXiv 2203.12817; gamma and alpha as in TOFU, arXiv 2401.06121",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def loss(self, step: Step) -> Tensor:
        """-gamma l_f + alpha l_r."""
        return -self.forget * step.mean_nll()[:, step.edit()].mean(-1) + retained(step, self.retain)
