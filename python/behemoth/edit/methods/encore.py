"""ENCORE: MEMIT with early stopping, and with the norm of the change in its equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import LowRank
from behemoth.edit.bounds import FROM_0, Bounds, at_least
from behemoth.edit.locate.equations import leverage, plus_diagonal, solved
from behemoth.edit.protocol import ALL_KINDS, MethodInfo
from behemoth.edit.search import Range, Searched

from .memit import Memit

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.locate.covariance import Covariance


@dataclass(frozen=True)
class Encore(Memit):
    """R K^T (weight C + Kp Kp^T + K K^T + lambda I)^-1, layer by layer (Gupta et al. 2025).

    Kp are the keys of earlier edits of a sequence. Without them, and with `norm` 0 and `stop_after`
    none, this is `memit`.

    Attributes
    ----------
    norm : float
        Weight of the change's squared norm, lambda, relative to `weight` times the mean diagonal of
        the covariance: with a larger one, the change is smaller.
    absolute : bool
        If true, `weight` and `norm` are those numbers themselves, as published (weight 15,000 or
        20,000, norm 10 or 20).
    stop_after : int, optional
        Number of steps that the search for a target vector still takes once the new answer is the
        most probable one in every wording after every prefix; with none, that does not end it.
    """

    norm: float = 0.001
    absolute: bool = False
    stop_after: int | None = 3

    remembers: ClassVar[bool] = True
    searched: ClassVar[Searched] = {
        **Memit.searched,
        "norm": Range(1e-4, 0.1, log=True),
        "stop_after": Range(0, 10),
    }
    bounds: ClassVar[Bounds] = {**Memit.bounds, "norm": FROM_0, "stop_after": at_least(0)}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="encore",
        family="locate-and-edit",
        source="Gupta et al. 2025, arXiv 2502.01636",
        changes="MLP output matrices of one or more layers, rank at most the number of keys",
        kinds=ALL_KINDS,
        stacks=True,
        doses=False,  # steps are of the search for target vectors
    )

    def further_steps(self) -> int | None:
        """Return `stop_after`."""
        return self.stop_after

    def shared_bytes(self, model: nn.Module) -> int:
        """Return those of `memit`, and of a second factor for each layer: with the norm."""
        return super().shared_bytes(model) + 8 * self._hidden(model) ** 2 * len(self._layers(model))

    def solve(
        self, keys_fn: Tensor, residuals_dn: Tensor, covariance: Covariance, earlier_mf: Tensor
    ) -> LowRank:
        """Least squares over new facts, earlier edits, the corpus, and the change's own norm."""
        import torch

        weight, norm = self.weight, self.norm
        if self.absolute:
            norm = norm / (weight * float(covariance.matrix_ff.diagonal().mean()))
        else:
            weight = weight * leverage(keys_fn, covariance.solved(self.ridge, keys_fn))
        ridge = self.ridge + norm  # lambda I = weight * norm * mean(diag C) * I
        every_fa = torch.cat([keys_fn, earlier_mf.T], 1)
        if every_fa.shape[1] < len(every_fa):  # as many equations as keys, by the factor of C
            directions_fa = covariance.solved(ridge, every_fa)
            gram_aa = plus_diagonal(every_fa.T @ directions_fa, weight)
            new_an = torch.eye(len(gram_aa), keys_fn.shape[1]).to(gram_aa)
            return LowRank(residuals_dn, (directions_fa @ solved(gram_aa, new_an)).T)
        normal_ff = weight * covariance.regularised(ridge) + every_fa @ every_fa.T
        return LowRank(residuals_dn, solved(normal_ff, keys_fn).T)
