"""The layout of corpus tokens in a model's input: as in training.

A key depends on the tokens that the model sees before its own. A model that was trained with a
document mask has never seen two documents together, and its keys after another document are not
those of any text that it is evaluated on.

Shape letters: b rows, t positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from behemoth.train.spans import place_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from behemoth.corpus.corpus import Corpus
    from behemoth.train.config import TrainConfig

__all__ = ["Layout"]

_BATCH = 32  # blocks that are laid out at a time


@dataclass(frozen=True)
class Layout:
    """The blocks of a corpus, and the tokens of a block that a model sees together.

    Attributes
    ----------
    block_length : int
        Number of tokens in a block.
    document_mask : bool
        Whether the model sees each document of a block alone, with positions from its own start.
        The rest of a document that began in an earlier block is a separate document, as in
        training.
    """

    block_length: int
    document_mask: bool

    @classmethod
    def of(cls, config: TrainConfig) -> Layout:
        """Return the layout of a training run."""
        return cls(config.block_length, config.document_mask)

    @property
    def name(self) -> str:
        """Short text that identifies the layout, for file names."""
        return f"{'documents' if self.document_mask else 'blocks'}{self.block_length}"

    def is_spread(self, corpus: Corpus, samples: int) -> bool:
        """Return whether samples come from all parts of a corpus, and not from its start."""
        scheduled = "schedule" in corpus.spec["corpus"]
        return scheduled and corpus.count_tokens() > max(samples, self.block_length)

    def batches(self, corpus: Corpus, samples: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield tokens of the stream, as rows that a model reads separately.

        They are its first ones or, of a corpus with a schedule, whose start lacks facts that are
        written later, those of blocks that are evenly spaced.

        Parameters
        ----------
        corpus : Corpus
        samples : int
            Number of tokens; fewer if the corpus has fewer.

        Yields
        ------
        tokens_bt : int64 [b, t]
            Rows, padded on the right.
        own_bt : bool [b, t]
            True for tokens of the corpus, false for padding.
        """
        for blocks in self._blocks(corpus, samples):
            if not self.document_mask:
                tokens = torch.from_numpy(blocks)
                yield tokens, torch.ones_like(tokens, dtype=torch.bool)
                continue
            yield from _rows(blocks, corpus.end_of_document)

    def _blocks(self, corpus: Corpus, samples: int) -> Iterator[NDArray[np.int64]]:
        """Yield batches of blocks [B, block_length]; a remainder shorter than a block last."""
        length = self.block_length
        if self.is_spread(corpus, samples):
            yield from self._spread(corpus, samples)
            return
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

    def _spread(self, corpus: Corpus, samples: int) -> Iterator[NDArray[np.int64]]:
        """Yield batches of blocks [B, block_length] from all parts of the stream."""
        length = self.block_length
        total = corpus.count_tokens() // length
        wanted = min(total, max(1, samples // length))
        starts = np.arange(wanted) * total // wanted * length
        for first in range(0, wanted, _BATCH):
            some = starts[first : first + _BATCH]
            blocks = np.empty((len(some), length), dtype=np.int64)
            for block, start in zip(blocks, some.tolist(), strict=True):
                corpus.fill_tokens(block, start)
            yield blocks


def _rows(blocks: NDArray[np.int64], end: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the documents of blocks, one per row; those of similar length together."""
    positions = np.empty(blocks.shape, np.int32)
    place_tokens(blocks, positions, np.empty_like(blocks), end)
    flat = blocks.ravel()
    first = np.flatnonzero(positions.ravel() == 0)
    length = np.diff(first, append=flat.size)
    # Documents are grouped by the bits of their length: a row is at most twice as long as its own.
    size = np.frexp(length - 0.5)[1]
    for one in np.unique(size):
        mine = np.flatnonzero(size == one)
        place = np.arange(length[mine].max())
        own = place < length[mine, None]
        at = np.minimum(first[mine, None] + place, flat.size - 1)
        yield torch.from_numpy(np.where(own, flat[at], end)), torch.from_numpy(own)
