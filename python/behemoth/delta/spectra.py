"""Singular values of changes, of many of one shape at a time, and the ranks that follow from them.

Only the small product of two triangular factors is decomposed for a low-rank change, and the Gram
matrix of its shorter side for a dense one. Everything is computed in float64: singular values below
1e-8 of the largest are lost in the rounding of a Gram matrix, which `ranks` does not count.

Shape letters: K changes, o outputs, i inputs, r columns of the factors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["dense_spectra", "product_spectra", "ranks"]

_TINY = 1e-6  # singular values below this share of the largest count as zero


def product_spectra(left_kor: Tensor, right_kri: Tensor) -> Tensor:
    """Return the singular values of the products of factors, largest first.

    Parameters
    ----------
    left_kor : float [K, o, r]
    right_kri : float [K, r, i]

    Returns
    -------
    float64 [K, min(o, r, i)]
    """
    import torch

    left_krr = torch.linalg.qr(left_kor.double(), mode="r").R
    right_krr = torch.linalg.qr(right_kri.double().mT, mode="r").R
    return torch.linalg.svdvals(left_krr @ right_krr.mT).cpu()


def dense_spectra(changes: Tensor) -> Tensor:
    """Return the singular values of dense changes, largest first.

    Parameters
    ----------
    changes : float [K, o, i], or [K, n]
        A vector has one singular value, its norm.

    Returns
    -------
    float64 [K, min(o, i)], or [K, 1]
    """
    import torch

    changes = changes.double()
    if changes.ndim != 3:
        return changes.flatten(1).norm(dim=1, keepdim=True).cpu()
    short = changes if changes.shape[1] <= changes.shape[2] else changes.mT
    squares = torch.linalg.eigvalsh(short @ short.mT).flip(1)
    return squares.clamp_min(0).sqrt().cpu()


def ranks(spectrum: Tensor) -> tuple[int, float]:
    """Return the numerical and the effective rank of a change.

    Parameters
    ----------
    spectrum : float64 [n]
        Its singular values.

    Returns
    -------
    tuple of int and float
        The number of singular values above 1e-6 of the largest, and the exponential of the entropy
        of the normalised ones (Roy and Vetterli, 2007); 0 for a change of zeros.
    """
    total = float(spectrum.sum())
    if not total > 0:
        return 0, 0.0
    share = spectrum / total
    entropy = -(share * share.clamp_min(1e-30).log()).sum()
    return int((spectrum > _TINY * spectrum.max()).sum()), float(entropy.exp())
