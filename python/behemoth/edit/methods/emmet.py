"""EMMET: a batch of facts as equality constraints, relaxed by `slack`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import LowRank
from behemoth.edit.bounds import FROM_0, Bounds
from behemoth.edit.locate.equations import plus_diagonal, solved
from behemoth.edit.locate.method import InverseCovariance
from behemoth.edit.protocol import ALL_KINDS, MethodInfo
from behemoth.edit.search import Range, Searched

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.locate.covariance import Covariance


@dataclass(frozen=True)
class Emmet(InverseCovariance):
    """R (K^T C^-1 K + slack I)^-1 K^T C^-1: ROME for a batch (Gupta et al. 2024, equation 12).

    This is `memit`'s update, R K^T (weight C + K K^T)^-1, written with another inverse: with equal
    settings both give the same change. Only here may the weight be 0.

    Attributes
    ----------
    slack : float
        Relaxation of the equalities, as a share of the mean leverage of the edit's keys: it
        protects bystanders, and helps if subjects' keys are nearly dependent. 0 meets them exactly.
    absolute : bool
        If true, the slack is that number itself, as published (100 in these units).
    """

    slack: float = 0.5
    absolute: bool = False

    remembers: ClassVar[bool] = False
    published: ClassVar[str] = "the subject's last token, layer 17 of 48"
    searched: ClassVar[Searched] = {
        **InverseCovariance.searched,
        "slack": Range(0.01, 10.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**InverseCovariance.bounds, "slack": FROM_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="emmet",
        family="locate-and-edit",
        source="Gupta et al. 2024, arXiv 2403.14236",
        changes="MLP output matrices, rank at most the number of keys",
        kinds=ALL_KINDS,
        stacks=True,
        doses=False,  # steps are of the search for target vectors
    )

    def solve(
        self, keys_fn: Tensor, residuals_dn: Tensor, covariance: Covariance, earlier_mf: Tensor
    ) -> LowRank:
        """Return the change of minimum norm under C that maps every key to its target."""
        directions_fn = covariance.solved(self.ridge, keys_fn)
        gram_nn = keys_fn.T @ directions_fn
        scale = 1.0 if self.absolute else gram_nn.diagonal().mean()
        gram_nn = plus_diagonal(gram_nn, self.slack * scale)
        return LowRank(residuals_dn, solved(gram_nn, directions_fn.T))
