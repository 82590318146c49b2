"""Layout of documents packed into blocks as one document per row, for attention within each.

A block of 128 tokens contains a dozen sentences of 11. Attention over complete blocks with a mask
computes ten scores for each one that is used; over rows of one document it computes two. Rows are
padded to the longest of their group only: padded to the longest of a batch, biographies took two
to three places per token, and steps 1.3 times (blocks of 128) to 1.8 times (512) as long.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import Tensor

_SHORTEST = 2 / 3  # length of a document, as a share of the longest of its group, at least
_NEGLIGIBLE = 1 / 8  # padding per token of a batch for which no further group is made
_MOST = 2  # places per token of a batch for which a single group is made, if few are wanted


@dataclass(frozen=True)
class Rows:
    """Documents as rows, in groups of similar length, padded on the right to the longest.

    Parameters
    ----------
    shapes : tuple of (int, int)
        Number of rows of each group, and number of tokens in each of them.
    tokens : int64[P] tensor
        Index in the batch of the token at each place, group after group, row after row; 0 at
        padding, which is on the right, so that no token attends to it with a causal mask, and whose
        output is not read.
    places : int64[N] tensor
        Place of each token of the batch.
    """

    shapes: tuple[tuple[int, int], ...]
    tokens: Tensor
    places: Tensor

    @classmethod
    def of(cls, positions: Tensor, *, grouped: bool = True) -> Rows:
        """Lay out the documents of a batch.

        Parameters
        ----------
        positions : int32[B, T] tensor
            Position of each token in its document; each block begins with 0.
        grouped : bool
            If false, there is a single group, unless more than half of it would be padding.
        """
        flat = positions.flatten()
        starts = flat == 0
        begins = starts.nonzero()[:, 0]
        lengths, order = torch.diff(begins, append=begins.new_tensor([len(flat)])).sort(stable=True)
        shapes = ((len(lengths), int(lengths[-1])),)
        if grouped or len(lengths) * shapes[0][1] > _MOST * len(flat):
            shapes = _shapes(lengths.tolist())
        size = torch.tensor([length for count, length in shapes for _ in range(count)])
        first = torch.empty_like(begins)
        first[order] = (size.cumsum(0) - size).to(first.device)
        places = first[starts.cumsum(0) - 1] + flat
        tokens = torch.zeros(int(size.sum()), dtype=torch.int64, device=flat.device)
        tokens[places] = torch.arange(len(flat), device=flat.device)
        return cls(shapes, tokens, places)

    def groups(self, laid: Tensor) -> list[Tensor]:
        """Return views of what is laid out, [P, ...]: one [count, length, ...] for each group."""
        sizes = [count * length for count, length in self.shapes]
        return [
            part.unflatten(0, shape)
            for part, shape in zip(laid.split(sizes), self.shapes, strict=True)
        ]


def _shapes(lengths: list[int]) -> tuple[tuple[int, int], ...]:
    """Return count and length of the groups of documents whose lengths are given in order."""
    negligible = _NEGLIGIBLE * sum(lengths)
    groups: list[tuple[int, int]] = []
    rest = len(lengths)
    while rest:
        longest = lengths[rest - 1]
        first = bisect_right(lengths, _SHORTEST * longest, 0, rest)
        if sum(longest - length for length in lengths[:first]) <= negligible:
            first = 0
        groups.append((rest - first, longest))
        rest = first
    return tuple(reversed(groups))
