"""Tiles of K edits by b rows each, in which rows of several edited models share a batch.

A stack of edits needs the same number of rows from every edit. Rows of one edit are sorted by
length, and those of an edit with fewer rows are repeated, spread over the lengths, so that rows of
similar length share a tile and there is little padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["tiles"]

# Below this number of rows a pass is dominated by overhead, and splitting it to avoid padding does
# not pay.
_LEAST_ROWS = 256


def tiles(
    rows: Sequence[NDArray[np.intp]],
    widths: NDArray[np.int64],
    batch_size: int,
    least_rows: int = _LEAST_ROWS,
) -> Iterator[NDArray[np.intp]]:
    """Arrange rows in tiles.

    Parameters
    ----------
    rows : sequence of intp[n_k]
        Rows of each edit, at least one per edit.
    widths : int64[m]
        Length of every row.
    batch_size : int
        Maximum number of rows of a tile, unless there are more edits than that.
    least_rows : int
        Number of rows from which on a tile may end before a longer row.

    Yields
    ------
    intp[K, b]
        Rows of each edit; all rows occur, some of them more than once.

    Examples
    --------
    >>> [tile] = tiles([np.array([0, 1, 2]), np.array([3])], np.array([5, 4, 6, 5]), 64)
    >>> tile.tolist()
    [[1, 0, 2], [3, 3, 3]]
    """
    longest = max(map(len, rows))
    grid = np.stack(
        [
            own[np.argsort(widths[own], kind="stable")][np.arange(longest) * len(own) // longest]
            for own in rows
        ]
    )
    widest = widths[grid].max(0)
    most = max(1, batch_size // len(grid))
    first = 0
    for column in range(1, longest + 1):
        full = column == longest or column - first == most
        wider = not full and widest[column] > widest[column - 1]
        if full or (wider and (column - first) * len(grid) >= least_rows):
            yield grid[:, first:column]
            first = column
