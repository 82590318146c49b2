"""FT-SVD: fine-tuning of full rank, cut to a low rank afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import Change, LowRank
from behemoth.edit.parametrise import Part
from behemoth.edit.protocol import MethodInfo
from behemoth.support.errors import ArgumentError

from .ft import FineTuning

if TYPE_CHECKING:
    from torch import nn

    from behemoth.edit.gradient.optimise import Outcome


@dataclass(frozen=True)
class TruncatedFineTuning(FineTuning):
    """The best approximation of rank r of what fine-tuning changes.

    It tells apart what LoRA owes to its rank and what to its optimiser: the change is learnt
    without a bound on the rank and loses all but its largest singular values at the end.

    Attributes
    ----------
    truncation : int
        Rank that is kept.
    """

    learning_rate: float = 2e-4
    part: Part = "mlp"
    truncation: int = 4

    info: ClassVar[MethodInfo] = MethodInfo(
        name="ft_svd",
        family="fine-tuning",
        source="arXiv 2601.23153 (rank-restricted updates); Eckart and Young 1936",
        changes="linear modules, the fine-tuned change cut to a rank",
        kinds=FineTuning.info.kinds,
        stacks=True,
        doses=False,  # the trace is of the change before it is cut
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.truncation < 1:
            raise ArgumentError("truncation", self.truncation, "at least 1")
        if self.part == "all":
            raise ArgumentError("part", "'all'", "mlp, attention, both")

    def finish(self, model: nn.Module, outcomes: list[Outcome]) -> list[Outcome]:
        """Cut every change to the rank."""
        return [
            replace(
                outcome,
                changes={name: self._cut(change) for name, change in outcome.changes.items()},
            )
            for outcome in outcomes
        ]

    def _cut(self, change: Change) -> LowRank:
        import torch

        left, values, right = torch.linalg.svd(change.to_dense(), full_matrices=False)
        kept = slice(self.truncation)
        return LowRank(left[:, kept] * values[kept], right[kept])
