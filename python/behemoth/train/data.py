"""Blocks of a corpus as torch tensors: one by one, or as an endless stream of batches.

The order is that of the corpus, which the engine has shuffled, so nothing is shuffled here:
micro-step s takes the blocks in [s*B*world, (s+1)*B*world), rank r the r-th B of them, and the
first block follows the last. A position is one number, the next block, which does not depend on the
number of ranks and workers.
"""

from __future__ import annotations

import operator
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from behemoth.corpus.corpus import Corpus
from behemoth.support.checks import flag, whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import ProgressLike
from behemoth.support.provenance import cores

from .batch_buffers import BufferPool
from .reader import RoleReader, SpecReader, open_reader
from .spans import Answers, TextAnswers, place_tokens

Batch: TypeAlias = dict[str, torch.Tensor]

# Number of tokens made at a time if batches are smaller. Switching threads costs 50 microseconds on
# an idle machine and 200 on a busy one, where other programs evict the caches: there, chunks of
# 32,768 tokens, which fit into the second-level cache, had half the throughput of chunks eight
# times as large. (Within its one call the engine goes by such pieces.) Arrays of 4 MB are also the
# smallest for which numpy requests huge pages.
_CHUNK_TOKENS = 1 << 19


@dataclass(frozen=True)
class DataConfig:
    """How a corpus is cut into batches.

    Parameters
    ----------
    block_length : int
        Number of tokens per block, at least 2.
    batch_size : int
        Number of blocks in a micro-batch of one rank.
    document_mask : bool
        Count positions from the start of each document of a block, for attention that does not
        cross documents; no loss on a document's first token.
    answers_only : bool
        Loss on the tokens of answers only; see `behemoth.train.spans`.
    prefetch : int
        Number of batches prepared ahead in threads, 0 for none. With several threads at least a
        chunk for each: half a million tokens, or a batch if that is larger.
    threads : int
        Number of threads that make batches, 0 for all cores; it does not affect the batches. One
        thread makes hundreds of millions of tokens per second.
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
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        for name in ("document_mask", "answers_only"):
            object.__setattr__(self, name, flag(name, getattr(self, name)))


class BlockDataset(Dataset[torch.Tensor]):
    """Blocks of a corpus by number; the last, partial block is dropped.

    Parameters
    ----------
    corpus : Corpus
        Corpus from a spec, or opened from a directory, whose shards are then read.
    block_length : int
        Number of tokens per block.

    Raises
    ------
    ArgumentError
        If it is no corpus, or one without a complete block.
    CorpusError
        If the directory is not complete, or a shard is damaged.

    Examples
    --------
    >>> from behemoth import Corpus, World
    >>> dataset = BlockDataset(Corpus(World(10, 2, 5), exposures=2), 64)
    >>> len(dataset), dataset[0].shape
    (6, torch.Size([64]))
    """

    def __init__(self, corpus: Corpus, block_length: int = 512) -> None:
        _check_corpus(corpus)
        config = DataConfig(block_length=block_length)
        self._reader = open_reader(corpus, config.threads)
        self._length = config.block_length
        self._blocks = _whole_blocks(self._reader.tokens, config.block_length)

    def __len__(self) -> int:
        """Number of blocks."""
        return self._blocks

    def __getitem__(self, index: int) -> torch.Tensor:
        """Block `index`: int64[block_length]."""
        index = operator.index(index)  # arithmetic of numpy's narrow integers overflows
        if not -self._blocks <= index < self._blocks:
            raise IndexError(f"block {index} of {self._blocks}")
        block = np.empty(self._length, np.int64)
        self._reader.fill(block, index % self._blocks * self._length)
        return torch.from_numpy(block)


class BlockStream(IterableDataset[Batch]):
    """An endless stream of batches, prepared ahead by threads.

    A batch is a dict of tensors of shape [batch_size, block_length]: ``input_ids``, int64;
    ``labels``, int64, which the model shifts: the same tensor as `input_ids` if all tokens have
    loss, otherwise one with -100 at tokens without loss; with `document_mask` also
    ``position_ids``, int32, which are 0 where a document begins. (An embedding would accept ids of
    int32, but torch's cross-entropy accepts no labels of it, and ids that are also the labels are
    made once.) Do not write into them: clone ``labels`` to mask some of them, since masking in
    place would put -100 into `input_ids` too. (A copy of each batch took 0.43 times the thread time
    of making it from a spec, and training recognises by the identity that all tokens have loss.)

    In a `torch.utils.data.DataLoader` (``batch_size=None``) worker k of n makes every n-th
    batch, and the loader puts them back in order. Workers have copies of the stream: each pass
    over the loader begins where this object stands at ``iter(loader)``, also with
    ``persistent_workers=True`` and after `load_state_dict`. Kept workers read the position only
    just after that, so leave the stream alone until the first batch; without shared memory, they
    begin where it was when they were started.

    Parameters
    ----------
    corpus : Corpus
        Corpus from a spec, or opened from a directory, whose shards are then read.
    config : DataConfig
    rank, world_size : int
        Index of this process, and number of processes that share each micro-step.
    start_block : int
        First block of the first micro-step, over all ranks. May lie beyond the first epoch.
    pin_memory : bool
        Make batches in page-locked memory, for asynchronous copies to a GPU.
    progress : callable or Progress, optional
        Receiver of the progress of comparing the shards with their digests.

    Attributes
    ----------
    blocks : int
        Number of blocks per epoch.
    wait_seconds : float
        Time the consumer has waited for batches.

    Raises
    ------
    ArgumentError
        If the corpus or config is of another type, the rank or start block is out of range, the
        corpus has no complete block, or `answers_only` is set and no sentence has its answer at
        the end.
    CorpusError
        If the directory is not complete, or a shard is damaged.
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
        progress: ProgressLike = None,
    ) -> None:
        _check_corpus(corpus)
        if not isinstance(config, DataConfig | None):
            raise ArgumentError("config", config, "a DataConfig, such as DataConfig(batch_size=8)")
        config = DataConfig() if config is None else config
        rank, world_size = whole_number("rank", rank), whole_number("world_size", world_size, 1)
        if rank >= world_size:
            got = f"{rank} in a world of {world_size}"
            raise ArgumentError("rank", got, "0 or more, below the size of the world")
        self.config = config
        self.spec_hash = corpus.spec_hash
        self.wait_seconds = 0.0
        self._rank, self._world_size = rank, world_size
        self._block = whole_number("start_block", start_block)
        self._loads = 0
        self._pass: int | None = None  # where passes begin in a worker that was told by itself
        self._kept = False  # whether a worker has begun a pass, the first where it was copied
        self._pin_memory = pin_memory
        self._end = corpus.end_of_document
        # If threads make batches in parallel, each batch is made by one of them.
        threads = 1 if config.prefetch else config.threads
        self._reader = open_reader(corpus, threads, progress)
        self.blocks = _whole_blocks(self._reader.tokens, config.block_length)
        self._answers = _answers(corpus, threads) if config.answers_only else None
        self._told_blocks = (1 << 62) // self.blocks * self.blocks
        self._shared = torch.zeros(1, dtype=torch.int64)
        with suppress(RuntimeError):
            self._shared.share_memory_()
        self._tell_workers()

    @property
    def step_blocks(self) -> int:
        """Number of blocks per micro-step, over all ranks."""
        return self.config.batch_size * self._world_size

    def state_dict(self) -> dict[str, Any]:
        """Return the next block over all ranks, the block length and the corpus's spec hash.

        The position counts batches taken from this object; a `DataLoader` with workers takes them
        from copies of it.
        """
        return {
            "block": self._block,
            "block_length": self.config.block_length,
            "spec_hash": self.spec_hash,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at the position of a stream over the same corpus, of any batch and world size.

        An iterator that has already returned a batch continues from its own place, and no longer
        moves the position of the stream: make a new one after a load.

        Parameters
        ----------
        state : mapping
            Output of `state_dict`. Add `block_length` to one from a version without it.

        Raises
        ------
        ArgumentError
            If the state is not one of a stream, or belongs to another corpus or block length.
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
        try:
            self._block = whole_number("block", block)
        except ArgumentError:
            raise ArgumentError("state", f"block {block!r}", "a whole number from 0") from None
        self._loads += 1
        if get_worker_info() is None:
            self._tell_workers()
        else:  # a loader that resumes its workers tells each of them its own position
            self._pass = self._block

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over batches from the current position on, without end."""
        if get_worker_info() is not None:
            # Now, and not with the first batch: the stream may move before each worker makes one.
            if self._kept:
                # A worker has made batches ahead that nobody took, each worker another number.
                self._block = int(self._shared) if self._pass is None else self._pass
            self._kept = True
        return self._batches()

    def _batches(self) -> Iterator[Batch]:
        loads = self._loads
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        stride = self.step_blocks * workers
        first = self._block + self.step_blocks * worker + self._rank * self.config.batch_size
        together = max(1, _CHUNK_TOKENS // (self.config.batch_size * self.config.block_length))
        threads = self.config.threads or cores()
        # The workers of a DataLoader already run ahead of their consumer.
        ahead = 0 if info is not None else -(-self.config.prefetch // together)
        ahead = max(ahead, threads) if ahead else 0
        # One chunk is with the consumer and the rest with the threads. A chunk has up to two
        # arrays of one size and dtype: ids and labels.
        buffers = BufferPool(2 * (ahead + 2), self._pin_memory and info is None)
        # Through numpy, as each call of torch takes a microsecond, and a small batch only twenty.
        # Not if its memory may still move.
        told = self._shared.numpy() if self._shared.is_shared() and info is None else None

        def make(chunk: int) -> Batch:
            start = first + chunk * together * stride
            return self._make([start + i * stride for i in range(together)], buffers)

        chunks = self._made_ahead(make, ahead, threads) if ahead else self._made_here(make)
        for parts in chunks:
            # Making all views in one call costs two thirds of making them one at a time.
            for views in zip(*(part.unbind() for part in parts.values()), strict=True):
                batch = dict(zip(parts, views, strict=True))
                batch.setdefault("labels", batch["input_ids"])
                if loads == self._loads:
                    self._block += stride
                    if told is not None:
                        told[0] = self._told
                    elif info is None:
                        self._tell_workers()
                yield batch

    def _tell_workers(self) -> None:
        """Write the position where workers read it."""
        self._shared.fill_(self._told)

    @property
    def _told(self) -> int:
        """Position as the same place of an epoch that fits 64 bits."""
        return self._block % self._told_blocks

    def _made_here(self, make: Callable[[int], Batch]) -> Iterator[Batch]:
        """Yield chunks 0, 1, ... in order, without end, each made when it is asked for."""
        for chunk in count():
            began = time.perf_counter()
            parts = make(chunk)
            self.wait_seconds += time.perf_counter() - began
            yield parts

    def _made_ahead(
        self, make: Callable[[int], Batch], ahead: int, threads: int
    ) -> Iterator[Batch]:
        """Yield chunks 0, 1, ... in order, without end, preparing `ahead` of them in threads."""
        pool = ThreadPoolExecutor(threads, "behemoth-data")
        pending: deque[Future[Batch]] = deque()
        try:
            pending.extend(pool.submit(make, chunk) for chunk in range(ahead))
            for chunk in count(ahead):
                # Submit first: an idle thread must not wait for the consumer.
                pending.append(pool.submit(make, chunk))
                began = time.perf_counter()
                parts = pending.popleft().result()
                self.wait_seconds += time.perf_counter() - began
                yield parts
        finally:
            # `cancel_futures` needs a module that no longer exists if this is collected when the
            # interpreter exits.
            for future in pending:
                future.cancel()
            pool.shutdown(wait=False)

    def _make(self, blocks: list[int], buffers: BufferPool) -> Batch:
        """Return the batches that begin with these blocks, stacked."""
        config = self.config
        size = config.batch_size
        # If no other process has a share, the batches of a chunk are contiguous in the stream.
        together = len(blocks) if blocks[-1] == blocks[0] + (len(blocks) - 1) * size else 1
        runs = len(blocks) // together
        context = 0 if self._answers is None else self._answers.context
        tokens = together * size * config.block_length
        ids = buffers.take(runs, context + tokens)
        beside: Batch = {}
        if config.answers_only or config.document_mask:
            beside["labels"] = buffers.take(runs, tokens)
        if config.document_mask:
            beside["position_ids"] = buffers.take(runs, tokens, dtype=np.int32)
        for run, block in enumerate(blocks[::together]):
            self._fill(ids[run].numpy(), [part[run].numpy() for part in beside.values()], block)
        shape = (len(blocks), size, config.block_length)
        # These are views, since with several runs each holds one batch.
        parts = {"input_ids": ids[:, context:].unflatten(1, (together, *shape[1:])).flatten(0, 1)}
        return parts | {name: part.view(shape) for name, part in beside.items()}

    def _fill(self, ids: NDArray[np.int64], beside: list[NDArray[Any]], block: int) -> None:
        """Fill a run of the stream from a block on, after its context, and what is beside it."""
        length = self.config.block_length
        context = 0 if self._answers is None else self._answers.context
        done, count = 0, (len(ids) - context) // length
        while done < count:
            first = (block + done) % self.blocks
            part = min(count - done, self.blocks - first)
            at, end = context + done * length, context + (done + part) * length
            # An epoch begins with a document, so the end of the last epoch is not its context.
            before = min(context, first * length) if done == 0 else 0
            own = [array[at - context : end - context] for array in beside]
            self._fill_blocks(ids[at - before : end], own, first * length - before)
            done += part

    def _fill_blocks(
        self, tokens: NDArray[np.int64], beside: list[NDArray[Any]], start: int
    ) -> None:
        """Fill consecutive blocks after their context, which begins at a token of the stream."""
        answers, reader, length = self._answers, self._reader, self.config.block_length
        of_ids = not isinstance(answers, TextAnswers)
        if beside and of_ids and isinstance(reader, SpecReader):
            structure = None if answers is None else answers.structure
            blocks = (length, self._end, beside[1]) if self.config.document_mask else None
            reader.fill_labelled(tokens, start, beside[0], structure, blocks)
            return
        reader.fill(tokens, start)
        if answers is not None:
            answers.label(tokens, beside[0], start)
        if self.config.document_mask:
            labels, positions = beside
            own = tokens[len(tokens) - len(labels) :].reshape(-1, length)
            place_tokens(own, positions, labels, self._end, copied=answers is None)


def _check_corpus(corpus: object) -> None:
    if not isinstance(corpus, Corpus):
        raise ArgumentError("corpus", corpus, "a Corpus, such as bh.Corpus.open(DIR)")


def _whole_blocks(tokens: int, length: int) -> int:
    if tokens < length:
        raise ArgumentError("block_length", length, f"up to the {tokens} tokens of the corpus")
    return tokens // length


def _answers(corpus: Corpus, threads: int) -> Answers | TextAnswers:
    if corpus.grammar is not None:
        return TextAnswers(RoleReader(corpus, threads))
    written = [row for row in corpus.templates if row["share"] > 0]
    # Refusals have no object, but a last word of their own.
    if not any(row["asks"] != "nothing" for row in written):
        names = ", ".join(sorted({row["name"] for row in written}))
        raise ArgumentError(
            "answers_only", f"a corpus of {names}", "one with sentences whose object comes last"
        )
    return Answers(corpus.vocabulary)
