"""Layout of documents packed into blocks as one document per row, for attention within each.

A block of 128 tokens contains a dozen sentences of 11. Attention over complete blocks with a mask
computes ten scores for each one that is used; over rows of one document it computes two.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SPARSEST = 4  # places per token, above which attention with a mask is cheaper


@dataclass(frozen=True)
class Rows:
    """Documents as rows that are padded on the right to the longest.

    Parameters
    ----------
    count, length : int
        Number of rows, and number of tokens in a row.
    tokens : int64[count * length] tensor
        Index in the batch of the token at each place; 0 at padding, which is on the right, so that
        no token attends to it with a causal mask, and whose output is not read.
    places : int64[N] tensor
        Place of each token of the batch.
    """

    count: int
    length: int
    tokens: Tensor
    places: Tensor

    @classmethod
    def of(cls, positions: Tensor) -> Rows | None:
        """Lay out the documents of a batch; return None if their lengths are too uneven.

        Parameters
        ----------
        positions : int64[B, T] tensor
            Position of each token in its document; each block begins with 0.
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
