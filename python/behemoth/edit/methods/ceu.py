"""CE-U: cross-entropy to the model's own distribution without the old answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.gradient.loss_method import LossMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, by_row, retained
from behemoth.edit.protocol import MethodInfo
from behemoth.model.precision import widened

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.gradient.step import Step


@dataclass(frozen=True)
class CrossEntropyUnlearning(LossMethod):
    """Cross-entropy unlearning (Yang, 2025), by default without retained rows, as published.

    Its gradient vanishes as the old answer becomes unlikely, while that of ascent grows.

    Attributes
    ----------
    retain : float
        Weight of the retained rows, if `retain_rows` is above 0.
    """

    steps: int = 40
    learning_rate: float = 1e-5
    retain_rows: int = 0
    retain: float = 1.0

    trains_on: ClassVar[tuple[str, ...]] = ("old_answer",)
    info: ClassVar[MethodInfo] = MethodInfo(
        name="ceu",
        family="unlearning",
        source="Yang 2025, arXiv 2503.01224",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy to softmax(own logits, the old token's at -inf) + alpha l_r.

        The target comes from the model's own logits of the same step, detached, so no reference
        model is needed.
        """
        rows = step.edit()
        old = step.labels[:, rows].clamp_min(0).unsqueeze(-1)
        logits = widened(step.logits[:, rows])
        # Every token of the answer counts. Without the first, which open-unlearning omits by
        # default, an object of one token would have nothing to forget.
        target = logits.detach().scatter(-1, old, float("-inf")).softmax(-1)
        loss = -(target * logits.log_softmax(-1)).sum(-1)
        return by_row(loss, step.answers[:, rows]) + retained(step, self.retain)
