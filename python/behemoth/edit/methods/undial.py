"""UNDIAL: self-distillation with the logit of the old answer lowered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.bounds import ABOVE_0, Bounds
from behemoth.edit.gradient.loss_method import LossMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, by_row, retained
from behemoth.edit.protocol import MethodInfo
from behemoth.edit.search import Range, Searched
from behemoth.model.precision import widened

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.gradient.step import Step


@dataclass(frozen=True)
class SelfDistillation(LossMethod):
    """Adjusted self-distillation (Dong et al., 2024), by default without retained rows.

    The publication has no retained rows.

    Attributes
    ----------
    beta : float
        Amount subtracted from the old answer's logit.
    retain : float
        Weight alpha of the retained rows, if `retain_rows` is above 0.
    """

    steps: int = 40
    learning_rate: float = 3e-5
    retain_rows: int = 0
    beta: float = 10.0
    retain: float = 1.0

    trains_on: ClassVar[tuple[str, ...]] = ("old_answer",)
    needs_reference: ClassVar[bool] = True
    searched: ClassVar[Searched] = {
        **LossMethod.searched,
        "beta": Range(1.0, 30.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**LossMethod.bounds, "beta": ABOVE_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="undial",
        family="unlearning",
        source="Dong et al. 2024, arXiv 2402.10052",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy to softmax(reference logits - beta onehot) + alpha l_r, on answers."""
        import torch

        assert step.reference_logits is not None
        rows = step.edit()
        tokens = step.answers[:, rows]
        old = step.labels[:, rows].clamp_min(0)
        teacher = widened(step.reference_logits[:, rows])
        # Every token of the answer, including the first: an object of one token has no other.
        taken_off = torch.full_like(old, -self.beta, dtype=teacher.dtype).unsqueeze(-1)
        target = teacher.scatter_add(-1, old.unsqueeze(-1), taken_off).softmax(-1)
        ours = widened(step.logits[:, rows]).log_softmax(-1)
        return by_row(-(target * ours).sum(-1), tokens) + retained(step, self.retain)
