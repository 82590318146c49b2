"""AlphaEdit: MEMIT projected onto the null space of the corpus's keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import LowRank
from behemoth.edit.bounds import ABOVE_0, Bound, Bounds
from behemoth.edit.locate.equations import plus_diagonal, solved
from behemoth.edit.locate.method import LocateAndEdit
from behemoth.edit.protocol import ALL_KINDS, MethodInfo
from behemoth.edit.search import Range, Searched

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.locate.covariance import Covariance

__all__ = ["AlphaEdit", "null_space"]


@dataclass(frozen=True)
class AlphaEdit(LocateAndEdit):
    """[P (K K^T + Kp Kp^T) + damping I] X = P K R^T, change X^T (Fang et al. 2024, equation 11).

    P projects onto the null space of the covariance, so the values of corpus keys are preserved; Kp
    are the keys of earlier edits of a sequence, whose values are preserved as well.

    A small model's covariance has no exact null space, and how fast its spectrum falls depends on
    the training data: a thousandth of the trace is a quarter of the directions if facts are
    sentences of tokens, and one in sixty if they are text. The null space therefore has at least
    half of the directions. That share and the damping maximise the mean, over three models of
    either kind, of the harmonic mean of successful edits and preserved known bystanders.

    Attributes
    ----------
    energy : float
        Share of the covariance's trace that the null space excludes.
    directions : float
        Minimum share of the directions in the null space, regardless of `energy`; with 0, only
        `energy` decides.
    eigenvalue : float, optional
        If set, the null space is that of the eigenvalues below this value, regardless of `energy`
        and `directions`. Published: 0.02, whose meaning depends on the model.
    damping : float
        Weight of the change's norm, relative to the mean squared norm of the projected keys.
    absolute : bool
        If true, the damping is that weight itself, as published (1, and 10 in the public code for
        GPT-2 XL).
    """

    steps: int = 25
    energy: float = 0.999
    directions: float = 0.5
    eigenvalue: float | None = None
    damping: float = 0.5
    absolute: bool = False

    banded: ClassVar[bool] = True
    published: ClassVar[str] = "the subject's last token, layers 13 to 17 of 48"
    searched: ClassVar[Searched] = {
        **LocateAndEdit.searched,
        "directions": Range(0.1, 0.95),
        "damping": Range(0.01, 100.0, log=True),
    }
    bounds: ClassVar[Bounds] = {
        **LocateAndEdit.bounds,
        "energy": Bound("between 0 and 1", 0.0, 1.0, included=(False, False)),
        "directions": Bound("from 0 and below 1", 0.0, 1.0, included=(True, False)),
        "eigenvalue": ABOVE_0, "damping": ABOVE_0,
    }  # fmt: skip
    info: ClassVar[MethodInfo] = MethodInfo(
        name="alphaedit",
        family="locate-and-edit",
        source="Fang et al. 2024, arXiv 2410.02355",
        changes="MLP output matrices in the null space of the corpus's keys",
        kinds=ALL_KINDS,
        stacks=True,
        doses=False,  # steps are of the search for target vectors
    )

    def solve(
        self, keys_fn: Tensor, residuals_dn: Tensor, covariance: Covariance, earlier_mf: Tensor
    ) -> LowRank:
        """Least squares over the new and the earlier edits within the null space."""
        import torch

        basis_fz = null_space(
            *covariance.eigenvectors(), self.energy, self.directions, self.eigenvalue
        )
        # Coordinates in the null space: P = Z Z^T turns the equations into symmetric ones.
        keys_zn, earlier_zm = basis_fz.T @ keys_fn, basis_fz.T @ earlier_mf.T
        scale = 1.0 if self.absolute else keys_zn.square().sum(0).mean()
        every_za = torch.cat([keys_zn, earlier_zm], 1)
        if every_za.shape[1] < len(every_za):  # as many equations as keys, not as directions
            gram_aa = plus_diagonal(every_za.T @ every_za, self.damping * scale)
            new_an = torch.eye(len(gram_aa), keys_zn.shape[1]).to(gram_aa)
            found_zn = every_za @ solved(gram_aa, new_an)
        else:
            normal_zz = plus_diagonal(every_za @ every_za.T, self.damping * scale)
            found_zn = solved(normal_zz, keys_zn)
        return LowRank(residuals_dn, (basis_fz @ found_zn).T)


def null_space(
    values_f: Tensor,
    vectors_ff: Tensor,
    energy: float,
    directions: float = 0.0,
    eigenvalue: float | None = None,
) -> Tensor:
    """Return the eigenvectors of a covariance with the smallest eigenvalues.

    Parameters
    ----------
    values_f : float64 [f]
        All eigenvalues, ascending.
    vectors_ff : float64 [f, f]
        Their eigenvectors, orthonormal columns.
    energy : float
        The largest eigenvalues that together reach this share of the trace are excluded.
    directions : float
        Minimum share of the directions that is returned, regardless of `energy`.
    eigenvalue : float, optional
        If set, eigenvalues from this one on are excluded instead.

    Returns
    -------
    float64 [f, z]
        Orthonormal columns; the projector is their product with their transpose.
    """
    if eigenvalue is not None:
        return vectors_ff[:, values_f < eigenvalue]
    share_f = values_f.clamp_min(0).cumsum(0) / values_f.clamp_min(0).sum()
    # Eigenvalues ascend: those whose cumulative share is at most 1 - energy are the null space.
    count = max(int((share_f <= 1 - energy).sum()), int(directions * len(values_f)))
    return vectors_ff[:, :count]
