"""ROME: a rank-1 update of one MLP output matrix per fact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import LowRank, add_changes
from behemoth.edit.locate.method import InverseCovariance
from behemoth.edit.locate.state import EditorState, Worked
from behemoth.edit.protocol import ALL_KINDS, EditContext, MethodInfo
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.locate.covariance import Covariance
    from behemoth.edit.locate.keys import Observed
    from behemoth.edit.locate.sites import Site


@dataclass(frozen=True)
class Rome(InverseCovariance):
    """W + (v* - W k) u^T / (k^T u) with u = C^-1 k (Meng et al. 2022, equation 2).

    The key is the average over prefixes wherever it occurs: the original divides by the key of the
    bare prompt, with which single edits make models collapse (Gupta et al. 2024, arXiv 2403.07175).
    A plan of several keys (subjects, or tokens of answers) is edited one key after another.
    """

    remembers: ClassVar[bool] = False
    published: ClassVar[str] = "the subject's last token, layer 17 of 48"
    info: ClassVar[MethodInfo] = MethodInfo(
        name="rome",
        family="locate-and-edit",
        source="Meng et al. 2022, arXiv 2202.05262; averaged keys, Gupta et al. 2024",
        changes="one MLP output matrix, rank 1 for each key",
        kinds=ALL_KINDS,
        stacks=True,
        doses=False,  # steps are of the search for target vectors
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers is not None and len(self.layers) != 1:
            raise ArgumentError("layers", self.layers, "one layer")

    def origins(self, observed: Observed) -> Tensor:
        """Return the MLP's outputs: the target is a value."""
        return observed.values_sd

    def solve(
        self, keys_fn: Tensor, residuals_dn: Tensor, covariance: Covariance, earlier_mf: Tensor
    ) -> LowRank:
        """Return the change of rank 1 and minimum norm under C after which W k = v*."""
        assert keys_fn.shape[1] == 1
        direction_f1 = covariance.solved(self.ridge, keys_fn)
        direction_f1 = direction_f1 / direction_f1.norm()
        return LowRank(residuals_dn / (keys_fn * direction_f1).sum(), direction_f1.T)

    def _edit_sites(
        self,
        model: nn.Module,
        sites: Sequence[Sequence[Site]],
        state: EditorState,
        context: EditContext,
    ) -> list[Worked]:
        """Edit the first keys of all plans together, then the others of each one after another."""
        worked = super()._edit_sites(model, [own[:1] for own in sites], state, context)
        for one, own in zip(worked, sites, strict=True):
            for site in own[1:]:
                with self._so_far(one).apply(model):
                    more = super()._edit_sites(model, [[site]], state, context)[0]
                one.changes = add_changes(one.changes, more.changes)
                one.failures += more.failures
                one.traces += more.traces
                one.edits += more.edits
        return worked
