"""Documents packed into blocks, laid out one to a row, for attention inside each alone.

A block of 128 tokens holds a dozen sentences of 11. Attention over whole blocks under a mask
computes ten scores for each that counts; over rows of one document it computes two.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SPARSEST = 4  # places for each token, above which attention under a mask is cheaper


@dataclass(frozen=True)
class Rows:
    """Documents as rows that are padded on the right to the longest.

    Parameters
    ----------
    count, length : int
        Number of rows, and tokens of a row.
    tokens : int64[count * length] tensor
        Which token of the batch is at each place; at padding, some token: nothing attends to
        it, as it stands behind all that a causal mask shows, and nothing is read from it.
    places : int64[N] tensor
        Where each token of the batch is.
    """

    count: int
    length: int
    tokens: Tensor
    places: Tensor

    @classmethod
    def of(cls, positions: Tensor) -> Rows | None:
        """Lay out the documents of a batch; None where they are too uneven for it to pay.

        Parameters
        ----------
        positions : int64[B, T] tensor
            Of each token in its document; each block begins with 0.
        """
        flat = positions.flatten()
        starts = flat == 0
        row = starts.cumsum(0) - 1
        count, length = int(row[-1]) + 1, int(flat.max()) + 1
        if count * length > _SPARSEST * len(flat):
            return None
        places = row * length + flat
        tokens = torch.zeros(count * length, dtype=torch.int64, device=flat.device)
        tokens[places] = torch.arange(len(flat), device=flat.device)
        return cls(count, length, tokens, places)
