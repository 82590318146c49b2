"""The equations of locate-and-edit methods: solutions, ridges, and what a key weighs.

Shape letters: n keys, f MLP units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["leverage", "plus_diagonal", "solved"]


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    """Return the solution of linear equations; NaN if the matrix is singular."""
    import torch

    solution, info = torch.linalg.solve_ex(matrix, right)
    return solution if int(info) == 0 else torch.full_like(solution, torch.nan)


def plus_diagonal(matrix_nn: Tensor, value: Tensor | float) -> Tensor:
    """Return a matrix plus `value` times the identity."""
    import torch

    identity = torch.eye(len(matrix_nn), dtype=matrix_nn.dtype, device=matrix_nn.device)
    return matrix_nn + value * identity


def leverage(keys_fn: Tensor, directions_fn: Tensor) -> Tensor:
    """Return the mean of k^T C^-1 k over keys: the number of corpus tokens that one key counts for.

    Directions are C^-1 K, by `Covariance.solved`.

    A key that occurs at a share p of the corpus's tokens has at most 1 / p. An absolute number of
    keys that the covariance represents therefore has another effect for every corpus: 6,000, chosen
    for facts that are one token in 30,000, left almost no edit where they were one in 2,000.
    """
    return (keys_fn * directions_fn).sum(0).mean()
