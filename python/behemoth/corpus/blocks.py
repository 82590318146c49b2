"""Blocks of equal length of a corpus, for training, with random access."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from operator import index as as_index
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from behemoth.support.checks import integral
from behemoth.support.errors import ArgumentError

from .arrays import fillable_dtype

if TYPE_CHECKING:
    from .corpus import Corpus

_BUFFER_TOKENS = 1 << 18  # per call of the engine when iterating: enough to hide its overhead


class Blocks:
    """Blocks start..stop of a corpus, block i being tokens i*length to (i+1)*length.

    The state of an iteration is one number, the number of the next block: to resume
    after block i, use ``corpus.blocks(length, start=i + 1)``. The last, partial
    block of a corpus is dropped.

    Parameters
    ----------
    corpus : Corpus
    length : int
        Number of tokens of a block.
    start, stop : int
        Block numbers, `stop` excluded; all by default.
    dtype : numpy dtype, optional
        uint16, uint32, int32 or int64; that of the corpus by default.

    Examples
    --------
    >>> from behemoth import Corpus, World
    >>> corpus = Corpus(World(10, 2, 5), exposures=2)
    >>> [block.shape for block in corpus.blocks(64, stop=2)]
    [(64,), (64,)]
    >>> corpus.blocks(64)[1:3]
    Blocks(length=64, start=1, stop=3, dtype=uint16)
    """

    def __init__(
        self,
        corpus: Corpus,
        length: int,
        start: int = 0,
        stop: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        length, start = integral("length", length, 1), integral("start", start)
        total = corpus.count_tokens() // length
        end = total if stop is None else integral("stop", stop)
        if not 0 <= start <= end <= total:
            raise ArgumentError("start:stop", f"{start}:{end}", f"0 <= start <= stop <= {total}")
        self.corpus = corpus
        self.length = length
        self.start = start
        self.stop = end
        self.dtype = corpus.dtype if dtype is None else fillable_dtype(dtype, corpus.dtype)

    def __len__(self) -> int:
        """Return the number of blocks from start to stop."""
        return self.stop - self.start

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Blocks: ...

    def __getitem__(self, index: int | slice) -> NDArray[Any] | Blocks:
        """Return the block that is `index` blocks after `start`, as a separate array.

        A slice is a `Blocks` of the same corpus.

        Raises
        ------
        ArgumentError
            For a slice with a step.
        """
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            if step != 1:
                raise ArgumentError("step", step, "1: blocks are in the order of the corpus")
            part = copy(self)
            part.start, part.stop = self.start + first, self.start + max(first, last)
            return part
        index = as_index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"block {index} of {len(self)}")
        return self._read(self.start + index % len(self), 1)[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yield blocks in order; they are views of larger arrays that are never written again."""
        step = max(1, _BUFFER_TOKENS // self.length)
        for first in range(self.start, self.stop, step):
            yield from self._read(first, min(step, self.stop - first))

    def __repr__(self) -> str:
        return (
            f"Blocks(length={self.length}, start={self.start}, stop={self.stop}, "
            f"dtype={self.dtype})"
        )

    def _read(self, first: int, count: int) -> NDArray[Any]:
        out = np.empty(count * self.length, self.dtype)
        written = self.corpus.fill_tokens(out, first * self.length)
        assert written == out.size
        return out.reshape(count, self.length)
