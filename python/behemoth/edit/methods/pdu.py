"""PDU: flat logits in place of the old answer, subject to a constraint on the retained loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.bounds import FROM_0, Bounds
from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, Forgetting, by_row
from behemoth.edit.protocol import EditContext, MethodInfo
from behemoth.model.precision import widened

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.gradient.step import Step
    from behemoth.plan.edit_plan import EditPlan


@dataclass
class _Prices:
    """Dual variable of each plan, and the number of its steps so far."""

    steps: int = 0
    price_k: Tensor | None = None


@dataclass(frozen=True)
class FlatLogits(Forgetting):
    """(largest logit - mean logit)^2 + price (l_r - l_r,ref - slack), with a price for each plan.

    After each step with a gradient the price changes by `dual_rate` times the increase of the
    retained rows' loss beyond the slack, and is never below 0. Its initial value is `retain`.
    """

    needs_reference: bool = True
    forget: float = 1.0
    slack: float = 0.1
    dual_rate: float = 1.0
    warm_up: int = 0
    prices: _Prices = field(default_factory=_Prices)

    def __call__(self, step: Step) -> Tensor:
        """Loss of each plan: [K]."""
        import torch

        rows = step.edit()
        logits = widened(step.logits[:, rows])
        flatness = (logits.max(-1).values - logits.mean(-1)).square()
        loss = self.forget * by_row(flatness, step.answers[:, rows])
        if not step.has_retained:
            return loss
        rise = (step.nll() - step.nll(step.reference_logits)) / step.answer_tokens()
        lost = rise[:, step.retain].mean(-1) - self.slack
        prices = self.prices
        if prices.price_k is None:
            prices.price_k = torch.full_like(lost.detach(), self.retain)
        price_k = prices.price_k
        if torch.is_grad_enabled():
            prices.steps += 1
            if prices.steps > self.warm_up:
                prices.price_k = (price_k + self.dual_rate * lost.detach()).clamp_min(0)
        return loss + price_k * lost


@dataclass(frozen=True)
class PrimalDualUnlearning(GradientMethod):
    """Primal-dual unlearning (Entesari et al., 2025).

    Logits are flattened where tokens of the old answer are predicted, subject to a constraint: the
    loss on retained rows must not rise by more than a slack. The price of the constraint (its dual
    variable) is learnt during the edit.

    Attributes
    ----------
    forget : float
        Gamma: weight of the flatness.
    retain : float
        Alpha: the initial price.
    slack : float
        Nats by which the retained rows' loss may rise above that of the unedited model.
    dual_rate : float
        Step size of the price.
    warm_up : int
        Number of steps before the price changes.
    """

    steps: int = 40
    learning_rate: float = 3e-5
    forget: float = 1.0
    retain: float = 1.0
    slack: float = 0.1
    dual_rate: float = 1.0
    warm_up: int = 0

    bounds: ClassVar[Bounds] = {
        **GradientMethod.bounds, "slack": FROM_0, "dual_rate": FROM_0, "warm_up": FROM_0,
    }  # fmt: skip
    info: ClassVar[MethodInfo] = MethodInfo(
        name="pdu",
        family="unlearning",
        source="Entesari et al. 2025, arXiv 2506.05314",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> FlatLogits:
        """See `FlatLogits`."""
        return FlatLogits(
            retain=self.retain, forget=self.forget, slack=self.slack, dual_rate=self.dual_rate,
            warm_up=self.warm_up,
        )  # fmt: skip
