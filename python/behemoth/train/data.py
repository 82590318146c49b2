"""Blocks of a corpus as torch tensors: one by one, or as an endless stream of batches.

The order is that of the corpus, which the engine has shuffled, so nothing is shuffled here:
micro-step s takes the blocks s*B*world to (s+1)*B*world, rank r the r-th B of them, and after
the last block comes the first again. A position in it is one number, the next block, whatever
the number of ranks and of workers was and will be.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from behemoth.corpus.corpus import Corpus
from behemoth.support.errors import ArgumentError
from behemoth.support.provenance import cores

from .batch_buffers import BufferPool
from .reader import RoleReader, open_reader
from .spans import Answers, TextAnswers, documents

Batch: TypeAlias = dict[str, torch.Tensor]

# Tokens made at a time where batches are smaller. A turn of a thread costs 50 microseconds on an
# idle machine and 200 on a busy one, whose other programs have the caches meanwhile: on such a one
# chunks of 32,768 tokens, which lie in the second-level cache, had half the rate of chunks eight
# times as large. Arrays of 4 MB are also the smallest for which numpy asks for huge pages.
_CHUNK_TOKENS = 1 << 19


@dataclass(frozen=True)
class DataConfig:
    """How a corpus is cut into batches.

    Parameters
    ----------
    block_length : int
        Tokens of a block, at least 2.
    batch_size : int
        Blocks of a micro-batch of one rank.
    document_mask : bool
        Number the documents of each block and count positions from each one's start, for
        attention that does not cross documents; no loss on a document's first token.
    answers_only : bool
        Loss on the tokens of answers only; see `behemoth.train.spans`.
    prefetch : int
        Batches made ahead in threads, 0 for none. With several threads at least a chunk for
        each: half a million tokens, or a batch where that is more.
    threads : int
        Threads that make batches, 0 for all cores; their number changes no batch. One makes
        hundreds of millions of tokens a second.
    """

    block_length: int = 512
    batch_size: int = 32
    document_mask: bool = False
    answers_only: bool = False
    prefetch: int = 4
    threads: int = 1

    def __post_init__(self) -> None:
        at_least = {"block_length": 2, "batch_size": 1, "prefetch": 0, "threads": 0}
        for name, least in at_least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ArgumentError(name, value, f"{least} or more")


class BlockDataset(Dataset[torch.Tensor]):
    """Blocks of a corpus by number; the last, partial block is dropped.

    Parameters
    ----------
    corpus : Corpus
        From a spec, or opened from a directory, which is then what is read.
    block_length : int
        Tokens of a block.

    Raises
    ------
    ArgumentError
        When the corpus has no whole block.
    CorpusError
        When the directory is not complete.

    Examples
    --------
    >>> from behemoth import Corpus, World
    >>> dataset = BlockDataset(Corpus(World(10, 2, 5), exposures=2), 64)
    >>> len(dataset), dataset[0].shape
    (6, torch.Size([64]))
    """

    def __init__(self, corpus: Corpus, block_length: int = 512) -> None:
        config = DataConfig(block_length=block_length)
        self._reader = open_reader(corpus, config.threads)
        self._length = config.block_length
        self._blocks = _whole_blocks(self._reader.tokens, config.block_length)

    def __len__(self) -> int:
        """Number of blocks."""
        return self._blocks

    def __getitem__(self, index: int) -> torch.Tensor:
        """Block `index`: int64[block_length]."""
        if not -self._blocks <= index < self._blocks:
            raise IndexError(f"block {index} of {self._blocks}")
        block = np.empty(self._length, np.int64)
        self._reader.fill(block, index % self._blocks * self._length)
        return torch.from_numpy(block)


class BlockStream(IterableDataset[Batch]):
    """An endless stream of batches, made ahead of their use by threads.

    A batch is a dict of int64 tensors of shape [batch_size, block_length]: ``input_ids``;
    ``labels``, which the model shifts and which are `input_ids` itself where all tokens have
    loss, and elsewhere -100 where there is none; with `document_mask` also ``position_ids``
    and ``document_ids``. Do not write into them.

    In a `torch.utils.data.DataLoader` (``batch_size=None``) worker k of n makes every n-th
    batch, and the loader puts them back in order.

    Parameters
    ----------
    corpus : Corpus
        From a spec, or opened from a directory, which is then what is read.
    config : DataConfig
    rank, world_size : int
        Which share of each micro-step this process takes.
    start_block : int
        The first block of the first micro-step, over all ranks. May lie beyond the first
        epoch.
    pin_memory : bool
        Make batches in page-locked memory, for copies to a GPU that nothing waits for.

    Attributes
    ----------
    blocks : int
        Blocks of an epoch.
    wait_seconds : float
        How long the consumer has waited for batches.

    Raises
    ------
    ArgumentError
        On a rank out of range, or when the corpus has no whole block, or no sentence whose
        answer comes last although `answers_only` is asked for.
    CorpusError
        When the directory is not complete.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: DataConfig | None = None,
        *,
        rank: int = 0,
        world_size: int = 1,
        start_block: int = 0,
        pin_memory: bool = False,
    ) -> None:
        config = DataConfig() if config is None else config
        if not 0 <= rank < world_size:
            raise ArgumentError(
                "rank",
                f"{rank} in a world of {world_size}",
                "0 or more, below the size of the world",
            )
        if start_block < 0:
            raise ArgumentError("start_block", start_block, "0 or more")
        self.config = config
        self.spec_hash = corpus.spec_hash
        self.wait_seconds = 0.0
        self._rank, self._world_size = rank, world_size
        self._block = start_block
        self._loads = 0
        self._pin_memory = pin_memory
        self._end = corpus.end_of_document
        # Threads that make batches side by side make each of them alone.
        threads = 1 if config.prefetch else config.threads
        self._reader = open_reader(corpus, threads)
        self.blocks = _whole_blocks(self._reader.tokens, config.block_length)
        self._answers = _answers(corpus, threads) if config.answers_only else None

    @property
    def step_blocks(self) -> int:
        """Blocks of a micro-step, over all ranks."""
        return self.config.batch_size * self._world_size

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next block, over all ranks, and what it is counted in.

        That is the length of a block, and the hash of the corpus' spec. The number counts batches
        that were taken from this object; a `DataLoader` with workers takes them from copies of it.
        """
        return {
            "block": self._block,
            "block_length": self.config.block_length,
            "spec_hash": self.spec_hash,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where a stream over the same corpus was, of any batch size and world size.

        An iterator that has already returned a batch continues from its own place, and no longer
        moves the position of the stream: make a new one after a load.

        Parameters
        ----------
        state : mapping
            What `state_dict` returned. One without `block_length`, from a version that did not
            write it, needs it added.

        Raises
        ------
        ArgumentError
            If the state is not one of a stream, or is one of another corpus or block length.
        """
        keys = ("block", "block_length", "spec_hash")
        if not isinstance(state, Mapping) or not all(key in state for key in keys):
            raise ArgumentError("state", state, f"a mapping with {', '.join(keys)} (state_dict)")
        if state["spec_hash"] != self.spec_hash:
            raise ArgumentError(
                "state",
                f"a position in the corpus {state['spec_hash']}",
                f"one in {self.spec_hash}",
            )
        if state["block_length"] != self.config.block_length:
            raise ArgumentError(
                "state",
                f"a position in blocks of {state['block_length']} tokens",
                f"one in blocks of {self.config.block_length}",
            )
        block = state["block"]
        if not isinstance(block, int) or isinstance(block, bool) or block < 0:
            raise ArgumentError("state", f"block {block!r}", "a whole number from 0")
        self._block = block
        self._loads += 1

    def __iter__(self) -> Iterator[Batch]:
        """Batches from the current position on, without end."""
        loads = self._loads
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        stride = self.step_blocks * workers
        first = self._block + self.step_blocks * worker + self._rank * self.config.batch_size
        together = max(1, _CHUNK_TOKENS // (self.config.batch_size * self.config.block_length))
        threads = self.config.threads or cores()
        # The workers of a DataLoader are themselves ahead of their consumer.
        ahead = 0 if info is not None else -(-self.config.prefetch // together)
        ahead = max(ahead, threads) if ahead else 0
        # One chunk is with the consumer and the rest with the threads; ids and labels, or what
        # `document_mask` adds, are of one size.
        buffers = BufferPool(4 * (ahead + 2), self._pin_memory and info is None)

        def make(chunk: int) -> Batch:
            start = first + chunk * together * stride
            return self._make([start + i * stride for i in range(together)], buffers)

        for parts in self._made(make, ahead, threads):
            # All views at once cost two thirds of what they cost one at a time.
            for views in zip(*(part.unbind() for part in parts.values()), strict=True):
                batch = dict(zip(parts, views, strict=True))
                batch.setdefault("labels", batch["input_ids"])
                if loads == self._loads:
                    self._block += stride
                yield batch

    def _made(self, make: Callable[[int], Batch], ahead: int, threads: int) -> Iterator[Batch]:
        """Make chunks 0, 1, ... in order, so many of them ahead in threads."""
        if ahead == 0:
            for chunk in count():
                began = time.perf_counter()
                parts = make(chunk)
                self.wait_seconds += time.perf_counter() - began
                yield parts
        pool = ThreadPoolExecutor(threads, "behemoth-data")
        pending: deque[Future[Batch]] = deque()
        try:
            pending.extend(pool.submit(make, chunk) for chunk in range(ahead))
            for chunk in count(ahead):
                # First what comes next: a thread that is done must not wait for the consumer.
                pending.append(pool.submit(make, chunk))
                began = time.perf_counter()
                parts = pending.popleft().result()
                self.wait_seconds += time.perf_counter() - began
                yield parts
        finally:
            # Not by `cancel_futures`, which needs a module that is gone when this is collected at
            # the end of the interpreter.
            for future in pending:
                future.cancel()
            pool.shutdown(wait=False)

    def _make(self, blocks: list[int], buffers: BufferPool) -> Batch:
        """Make the batches that begin with the blocks given, stacked."""
        config = self.config
        size = config.batch_size
        # Where no other process has a share, a chunk's batches are one run of the stream.
        together = len(blocks) if blocks[-1] == blocks[0] + (len(blocks) - 1) * size else 1
        runs = len(blocks) // together
        context = 0 if self._answers is None else self._answers.context
        ids = buffers.take(runs, context + together * size * config.block_length)
        labels = (
            buffers.take(runs, together * size * config.block_length)
            if config.answers_only or config.document_mask
            else None
        )
        for run, block in enumerate(blocks[::together]):
            self._fill(ids[run].numpy(), None if labels is None else labels[run].numpy(), block)
        shape = (len(blocks), size, config.block_length)
        # By the layout above these are views: with several runs there is one batch in each.
        parts = {"input_ids": ids[:, context:].unflatten(1, (together, *shape[1:])).flatten(0, 1)}
        if labels is not None:
            parts["labels"] = labels.view(shape)
        if config.document_mask:
            parts["position_ids"], parts["document_ids"] = (
                buffers.take(*shape),
                buffers.take(*shape),
            )
            tokens, labelled, positions, numbers = (part.numpy() for part in parts.values())
            copied = self._answers is None
            documents(tokens, positions, numbers, labelled, self._end, copied=copied)
        return parts

    def _fill(self, ids: NDArray[np.int64], labels: NDArray[np.int64] | None, block: int) -> None:
        """Fill a run of the stream from a block on, behind its context, and label its answers."""
        length = self.config.block_length
        context = 0 if self._answers is None else self._answers.context
        done, count = 0, (len(ids) - context) // length
        while done < count:
            first = (block + done) % self.blocks
            part = min(count - done, self.blocks - first)
            at, end = context + done * length, context + (done + part) * length
            # A new epoch begins with a document: the end of the last one is no context of it.
            before = min(context, first * length) if done == 0 else 0
            self._reader.fill(ids[at - before : end], first * length - before)
            if self._answers is not None:
                assert labels is not None
                place = labels[at - context : end - context]
                self._answers.label(ids[at - before : end], place, first * length - before)
            done += part


def _whole_blocks(tokens: int, length: int) -> int:
    if tokens < length:
        raise ArgumentError("block_length", length, f"up to the {tokens} tokens of the corpus")
    return tokens // length


def _answers(corpus: Corpus, threads: int) -> Answers | TextAnswers:
    if corpus.grammar is not None:
        return TextAnswers(RoleReader(corpus, threads))
    written = [row for row in corpus.templates if row["share"] > 0]
    # Refusals have no object, and a last word of their own.
    if not any(row["asks"] != "nothing" for row in written):
        names = ", ".join(sorted({row["name"] for row in written}))
        raise ArgumentError(
            "answers_only", f"a corpus of {names}", "one with sentences whose object comes last"
        )
    return Answers(corpus.vocabulary)
