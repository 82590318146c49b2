"""DPO with a refusal as the preferred answer and the old answer as the dispreferred one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from behemoth.edit.bounds import ABOVE_0, Bounds
from behemoth.edit.gradient.loss_method import LossMethod
from behemoth.edit.gradient.objectives import retained
from behemoth.edit.protocol import MethodInfo
from behemoth.edit.search import Range, Searched

from .refusal import REFUSAL_KINDS

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.gradient.step import Step


@dataclass(frozen=True)
class RefusalPreferenceOptimisation(LossMethod):
    """Prefer a refusal to the old answer (Rafailov et al., 2023; Maini et al., 2024).

    Attributes
    ----------
    beta : float
        Inverse temperature.
    retain : float
        Weight alpha of the retained rows.
    scale : {'dpo', 'open-unlearning'}
        Factor of the preference: 1, or 2 / beta, which lowers the relative weight of retained rows.
    """

    steps: int = 40
    learning_rate: float = 1e-4
    beta: float = 0.1
    retain: float = 1.0
    scale: Literal["dpo", "open-unlearning"] = "dpo"

    trains_on: ClassVar[tuple[str, ...]] = ("answer", "old_answer")
    needs_reference: ClassVar[bool] = True
    columns: ClassVar[int] = len(trains_on)
    searched: ClassVar[Searched] = {
        **LossMethod.searched,
        "beta": Range(0.02, 2.0, log=True),
        "retain": Range(0.2, 25.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**LossMethod.bounds, "beta": ABOVE_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="dpo_refusal",
        family="unlearning",
        source="Rafailov et al. 2023, arXiv 2305.18290; as in TOFU, arXiv 2401.06121",
        changes="all or chosen parameters",
        kinds=REFUSAL_KINDS,
        stacks=True,
    )

    def loss(self, step: Step) -> Tensor:
        """-s log sigma(beta (gain of the refusal - gain of the old answer)) + alpha l_r.

        A gain is log p - log p_ref, summed over the answer; s is the scale.
        """
        from torch.nn import functional as F

        assert step.reference_logits is not None
        gain = step.nll(step.reference_logits) - step.nll()
        margin = gain[:, step.edit(0)] - gain[:, step.edit(1)]
        scale = 1.0 if self.scale == "dpo" else 2.0 / self.beta
        preference = -scale * F.logsigmoid(self.beta * margin)
        return preference.mean(-1) + retained(step, self.retain)
