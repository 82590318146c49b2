"""Gradient ascent on the loss of the old answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.gradient.loss_method import LossMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS
from behemoth.edit.protocol import MethodInfo
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.gradient.step import Step


@dataclass(frozen=True)
class GradientAscent(LossMethod):
    """Gradient ascent on the old answers, without a retain term (Jang et al., 2023).

    The loss has no lower bound: the number of steps decides how far it goes.
    """

    steps: int = 10
    learning_rate: float = 3e-5
    retain_rows: int = 0

    trains_on: ClassVar[tuple[str, ...]] = ("old_answer",)
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

    def loss(self, step: Step) -> Tensor:
        """-l_f, the negated loss on the old answers."""
        return -step.mean_nll()[:, step.edit()].mean(-1)
