"""Readers of the token stream of a corpus as int64, from its shards or directly from its spec.

Both return the same tokens at the same offsets and do not depend on blocks or batches.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.intact import intact_manifest
from behemoth.corpus.labelled import labelled_filler
from behemoth.corpus.roles import role_filler
from behemoth.corpus.shards import MAPS
from behemoth.support.digests import unchecked
from behemoth.support.progress import ProgressLike


class Reader(Protocol):
    """Random access to the token stream of a corpus.

    Attributes
    ----------
    tokens : int
        Length of the stream.
    """

    tokens: int

    def fill(self, out: NDArray[np.int64], token: int) -> None:
        """Fill `out` from token offset `token` on, all of which must exist."""
        ...


def open_reader(corpus: Corpus, threads: int, progress: ProgressLike = None) -> Reader:
    """Return a reader: of the shards if a corpus was opened from a directory, else of its spec.

    Parameters
    ----------
    corpus : Corpus
    threads : int
        Number of threads that make tokens, 0 for all cores.
    progress : callable or Progress, optional
        Receiver of the progress of comparing the shards with their digests.

    Raises
    ------
    CorpusError
        If the directory is not complete, or a shard is damaged.
    """
    if corpus.directory is None:
        return SpecReader(corpus, threads)
    return ShardReader(corpus, progress)


class SpecReader:
    """Makes tokens from a spec, with the interpreter lock released; nothing is stored.

    If documents vary in length, the engine counts the corpus once, in the constructor.
    """

    def __init__(self, corpus: Corpus, threads: int) -> None:
        self.tokens = corpus.count_tokens()
        self._corpus, self._threads = corpus, threads
        self._filled = labelled_filler(corpus)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle for workers that are not forked: the spec and its arrays."""
        return SpecReader, (self._corpus, self._threads)

    def fill(self, out: NDArray[np.int64], token: int) -> None:
        """Fill `out` from token offset `token` on."""
        written = self._corpus.fill_tokens(out, token, threads=self._threads)
        assert written == out.size

    def fill_labelled(
        self,
        out: NDArray[np.int64],
        token: int,
        labels: NDArray[np.int64],
        structure: NDArray[np.uint8] | None,
        blocks: tuple[int, int, NDArray[np.int32]] | None,
    ) -> None:
        """Fill `out` and what `_gen.fill_labelled` writes beside its last tokens.

        Calls for one array each take longer: they read again what has left the cache.
        """
        written = self._filled(out, token, self._threads, labels, structure, blocks)
        assert written == out.size


class RoleReader:
    """Makes the role of each token of a corpus with a grammar, at any offset, from the spec.

    `behemoth.corpus.roles` lists the roles.
    """

    def __init__(self, corpus: Corpus, threads: int) -> None:
        self._corpus, self._threads = corpus, threads
        self._filled = role_filler(corpus)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle for workers that are not forked: the spec and its arrays."""
        return RoleReader, (self._corpus, self._threads)

    def fill(self, out: NDArray[np.int64], token: int) -> None:
        """Fill `out` from token offset `token` on."""
        written = self._filled(out, token, self._threads)
        assert written == out.size


class ShardReader:
    """Memory-maps the shards of a directory; tokens are copied once, into the batch.

    Shards are compared with their digests in the constructor.
    """

    def __init__(self, corpus: Corpus, progress: ProgressLike = None) -> None:
        self._directory = corpus.require_directory()
        sizes = [shard["tokens"] for shard in intact_manifest(corpus, progress)["shards"]]
        self._starts = [0, *accumulate(sizes)]
        self.tokens = self._starts[-1]
        # Shared by threads. Plain views: slices of np.memmap itself take microseconds.
        self._map = lru_cache(MAPS)(lambda shard: np.asarray(corpus.shard(shard)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle for workers that are not forked: they open the directory again."""
        return _reopened, (self._directory,)

    def fill(self, out: NDArray[np.int64], token: int) -> None:
        """Fill `out` from token offset `token` on."""
        done = 0
        while done < out.size:
            shard = bisect_right(self._starts, token + done) - 1
            start = token + done - self._starts[shard]
            part = self._map(shard)[start : start + out.size - done]
            out[done : done + part.size] = part
            done += part.size


def _reopened(directory: Path) -> ShardReader:
    with unchecked():  # the process that sent it has compared the shards
        return ShardReader(Corpus.open(directory))
