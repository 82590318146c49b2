"""MEMIT: a batch of facts, spread over one or more layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import LowRank
from behemoth.edit.bounds import ABOVE_0, Bounds
from behemoth.edit.locate.equations import leverage, plus_diagonal, solved
from behemoth.edit.locate.method import InverseCovariance
from behemoth.edit.protocol import ALL_KINDS, MethodInfo
from behemoth.edit.search import Range, Searched

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.locate.covariance import Covariance


@dataclass(frozen=True)
class Memit(InverseCovariance):
    """R K^T (weight C + K K^T)^-1, layer by layer (Meng et al. 2022, equations 14 and 20).

    Attributes
    ----------
    weight : float
        Number of keys that the covariance represents, as a share of the mean leverage of the edit's
        keys: with a larger weight, bystanders change less. The change of a single edit is
        1 / (1 + weight) of that which meets its target.
    absolute : bool
        If true, the weight is that number of keys itself, as published (15,000 or 20,000).
    """

    steps: int = 25
    weight: float = 0.5
    absolute: bool = False

    banded: ClassVar[bool] = True
    remembers: ClassVar[bool] = False
    published: ClassVar[str] = "the subject's last token, layers 13 to 17 of 48"
    searched: ClassVar[Searched] = {
        **InverseCovariance.searched,
        "weight": Range(0.01, 10.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**InverseCovariance.bounds, "weight": ABOVE_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="memit",
        family="locate-and-edit",
        source="Meng et al. 2022, arXiv 2210.07229",
        changes="MLP output matrices of one or more layers, rank at most the number of keys",
        kinds=ALL_KINDS,
        stacks=True,
        doses=False,  # steps are of the search for target vectors
    )

    def solve(
        self, keys_fn: Tensor, residuals_dn: Tensor, covariance: Covariance, earlier_mf: Tensor
    ) -> LowRank:
        """Return the least squares change over the new facts and, by the covariance, the corpus."""
        directions_fn = covariance.solved(self.ridge, keys_fn)
        weight = self.weight
        if not self.absolute:
            weight = weight * leverage(keys_fn, directions_fn)
        if keys_fn.shape[1] < len(keys_fn):  # as many equations as keys, by the factor of C
            gram_nn = plus_diagonal(keys_fn.T @ directions_fn, weight)
            return LowRank(residuals_dn, solved(gram_nn, directions_fn.T))
        normal_ff = weight * covariance.regularised(self.ridge) + keys_fn @ keys_fn.T
        return LowRank(residuals_dn, solved(normal_ff, keys_fn).T)
