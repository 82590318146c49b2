"""Token lists of different lengths, concatenated in one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """Rows of tokens.

    Parameters
    ----------
    flat : int64[sum of lengths]
    lengths : int64[rows]
    """

    flat: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """Build from rows of integers."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return cls(np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum())), lengths)

    @classmethod
    def of_lists(cls, lists: pl.Series) -> Ragged:
        """Build from a column of lists of integers, none of which is null."""
        lengths = lists.list.len()
        flat = lists.filter(lengths > 0).explode()  # an empty list would leave a null
        return cls(flat.to_numpy().astype(np.int64), lengths.to_numpy().astype(np.int64))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.lengths)

    def chosen(self, rows: NDArray[np.intp]) -> Ragged:
        """Return the selected rows, in the given order."""
        lengths = self.lengths[rows]
        starts = (np.cumsum(self.lengths) - self.lengths)[rows] - (np.cumsum(lengths) - lengths)
        places = np.repeat(starts, lengths) + np.arange(lengths.sum())
        return Ragged(self.flat[places], lengths)

    def padded(self, rows: NDArray[np.intp], width: int, padding: int) -> NDArray[np.int64]:
        """Return the first `width` tokens of some rows: int64[n, width], padded on the right."""
        starts = (np.cumsum(self.lengths) - self.lengths)[rows]
        columns = np.arange(width)
        inside = columns < self.lengths[rows, None]
        out = np.full(inside.shape, padding, np.int64)
        out[inside] = self.flat[(starts[:, None] + columns)[inside]]
        return out
