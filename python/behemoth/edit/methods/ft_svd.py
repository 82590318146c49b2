"""FT-SVD: full-rank fine-tuning, with the change truncated to a low rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.bounds import Bounds, at_least
from behemoth.edit.parametrise import Part, change_bytes
from behemoth.edit.protocol import MethodInfo
from behemoth.edit.search import Range, Searched
from behemoth.support.errors import ArgumentError

from .ft import FineTuning

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.delta.stack import StackedDeltas
    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class TruncatedFineTuning(FineTuning):
    """The best rank-r approximation of a fine-tuned change.

    It separates the effects of LoRA's rank and of LoRA's optimisation: the change is learnt without
    a bound on the rank, and only its largest singular values are returned.

    Attributes
    ----------
    truncation : int
        Rank of the returned change.
    """

    learning_rate: float = 2e-4
    part: Part = "mlp"
    truncation: int = 4

    searched: ClassVar[Searched] = {
        **FineTuning.searched,
        "truncation": Range(1, 32, log=True),
    }
    bounds: ClassVar[Bounds] = {**FineTuning.bounds, "truncation": at_least(1)}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="ft_svd",
        family="fine-tuning",
        source="arXiv 2601.23153 (rank-restricted updates); Eckart and Young 1936",
        changes="linear modules, the fine-tuned change truncated to a rank",
        kinds=FineTuning.info.kinds,
        stacks=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part == "all":
            raise ArgumentError("part", "'all'", "mlp, attention, both")

    def delta_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of the truncated changes."""
        return len(plans) * change_bytes(model, self.changed_names(model), self.truncation)

    def low_rank(self) -> bool:
        """Return true: changes are truncated to a rank."""
        return True

    def as_returned(self, stacked: StackedDeltas) -> StackedDeltas:
        """Return every change truncated to the rank."""
        from behemoth.delta.stack import StackedDeltas

        cut = {name: self._cut(change) for name, change in stacked.dense().items()}
        return StackedDeltas(stacked.model, cut)

    def _cut(self, change_koi: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        # Project onto the first singular vectors of the shorter side, the eigenvectors of a small
        # square matrix: the trace needs them after each step, and an SVD takes three times as long.
        # The changes of a plan that failed may not be finite.
        change_koi = change_koi.nan_to_num(0.0, 0.0, 0.0)
        tall = change_koi.shape[1] >= change_koi.shape[2]
        square = change_koi.mT @ change_koi if tall else change_koi @ change_koi.mT
        basis = torch.linalg.eigh(square).eigenvectors[..., -self.truncation :]
        return (change_koi @ basis, basis.mT) if tall else (basis, basis.mT @ change_koi)
