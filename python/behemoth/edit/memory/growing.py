"""Rows to which more are appended without copying the existing ones every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GrowingRows"]


class GrowingRows:
    """Rows of one shape, which are never written to once they exist.

    Two objects that share rows may both grow: the first to do so appends in place, after the rows
    that the other sees, and the other one copies.

    Parameters
    ----------
    rows : [n, ...] tensor
    """

    def __init__(self, rows: Tensor) -> None:
        self._room, self._count = rows, len(rows)
        self._used = [len(rows)]  # rows of the buffer in use, shared by all objects that share it

    @property
    def rows(self) -> Tensor:
        """All rows, [n, ...]."""
        return self._room[: self._count]

    def __len__(self) -> int:
        return self._count

    def with_more(self, more: Tensor) -> GrowingRows:
        """Return these rows followed by more, [m, ...]."""
        count = self._count + len(more)
        room, used = self._room, self._used
        if used[0] != self._count or count > len(room):
            import torch

            room = torch.cat([self.rows, more.new_empty(max(count, 8), *more.shape[1:])])
            used = [self._count]
        room[self._count : count] = more
        used[0] = count
        grown = GrowingRows(room)
        grown._count, grown._used = count, used
        return grown
