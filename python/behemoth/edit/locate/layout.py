"""How the tokens of a corpus stand before a model: as they did when it was trained on them.

What a key is depends on what the model sees before its token. A model that was trained with a
document mask has never seen two documents at once, and its keys behind others are those of no text
that it is ever asked about.

Shape letters: b rows, t positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from behemoth.train.spans import documents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from behemoth.corpus.corpus import Corpus
    from behemoth.train.config import TrainConfig

__all__ = ["Layout"]

_BATCH = 32  # blocks that are laid out at once


@dataclass(frozen=True)
class Layout:
    """The blocks of a corpus, and what of them a model sees together.

    Attributes
    ----------
    block_length : int
        Tokens of a block.
    document_mask : bool
        Whether each document of a block is seen alone, its positions from its own start; what a
        block has of a document that began before it is a document of its own, as in training.
    """

    block_length: int
    document_mask: bool

    @classmethod
    def of(cls, config: TrainConfig) -> Layout:
        """The layout of a training run."""
        return cls(config.block_length, config.document_mask)

    @property
    def name(self) -> str:
        """A few letters that tell layouts apart, for the names of files."""
        return f"{'documents' if self.document_mask else 'blocks'}{self.block_length}"

    def batches(self, corpus: Corpus, samples: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The first tokens of the stream, as rows that a model reads by themselves.

        Parameters
        ----------
        corpus : Corpus
        samples : int
            Tokens to take; fewer where the corpus has fewer.

        Yields
        ------
        tokens_bt : int64 [b, t]
            Rows, padded on the right.
        own_bt : bool [b, t]
            Which of them are tokens of the corpus.
        """
        for blocks in self._blocks(corpus, samples):
            if not self.document_mask:
                tokens = torch.from_numpy(blocks)
                yield tokens, torch.ones_like(tokens, dtype=torch.bool)
                continue
            yield from _rows(blocks, corpus.end_of_document)

    def _blocks(self, corpus: Corpus, samples: int) -> Iterator[NDArray[np.int64]]:
        """Batches of blocks [B, block_length]; a rest shorter than a block last."""
        length = self.block_length
        buffer = np.empty(_BATCH * length, dtype=np.int64)
        start = 0
        while start < samples:
            wanted = min(len(buffer), samples - start)
            got = corpus.fill_tokens(buffer[:wanted], start)
            whole = got // length * length
            if whole:
                yield buffer[:whole].reshape(-1, length).copy()
            if got > whole:
                yield buffer[None, whole:got].copy()
            start += got
            if got < wanted:
                return


def _rows(blocks: NDArray[np.int64], end: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The documents of blocks, a row each; those of like lengths together."""
    positions, numbers, labels = (np.empty_like(blocks) for _ in range(3))
    documents(blocks, positions, numbers, labels, end)
    flat = blocks.ravel()
    first = np.flatnonzero(positions.ravel() == 0)
    length = np.diff(first, append=flat.size)
    # A row is at most twice as long as its document: they are sorted by the bits of their length.
    size = np.frexp(length - 0.5)[1]
    for one in np.unique(size):
        mine = np.flatnonzero(size == one)
        place = np.arange(length[mine].max())
        own = place < length[mine, None]
        at = np.minimum(first[mine, None] + place, flat.size - 1)
        yield torch.from_numpy(np.where(own, flat[at], end)), torch.from_numpy(own)
