"""Tokens of a finished corpus directory, shard by shard, for export."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.intact import intact_manifest
from behemoth.corpus.shards import MAPS
from behemoth.support.digests import checks
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import named, replacing, sync

from .inspection import identity

_PIECE = 1 << 24  # tokens searched or copied at a time
_STEP = 1 << 12  # tokens searched first for the end of a document
# Errors of `link` between two file systems, and within one that has no links, or not so many.
_WITHOUT_LINKS = {
    errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP,
    errno.ENOSYS,
}  # fmt: skip

Tokens = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Shard:
    """One file of tokens.

    Parameters
    ----------
    number : int
    name : str
        Name such as ``00007``.
    path : Path
        File of raw little-endian tokens.
    first, stop : int
        Positions in the corpus of its first token, and after its last one.
    end_of_document : int
        The token that ends a document.
    mapped : callable
        Returns the tokens of a shard by its number.
    """

    number: int
    name: str
    path: Path
    first: int
    stop: int
    end_of_document: int
    mapped: Callable[[int], Tokens]

    @property
    def tokens(self) -> Tokens:
        """Its tokens, a memory map: uint16[n] or uint32[n]."""
        return self.mapped(self.number)

    def document_ends(self) -> Iterator[NDArray[np.int64]]:
        """Yield the exclusive ends of documents, counted from the shard's first token.

        The end-of-document token belongs to its document.
        """
        for start in range(0, len(self.tokens), _PIECE):
            piece = self.tokens[start : start + _PIECE]
            yield np.flatnonzero(piece == self.end_of_document) + (start + 1)

    def documents(self, tokens: int) -> Iterator[Tokens]:
        """Yield the shard in pieces of complete documents.

        A piece has at most `tokens` tokens, unless its only document is longer.

        Raises
        ------
        CorpusError
            If the last document does not end.
        """
        start = 0
        while start < len(self.tokens):
            stop = self._last_end(start, min(start + tokens, len(self.tokens)))
            stop = stop or self._first_end(start + tokens)
            yield self.tokens[start:stop]
            start = stop

    def _last_end(self, start: int, stop: int) -> int:
        """Return the last end of a document from start to stop, or 0, searching backwards."""
        step = _STEP
        while start < stop:
            first = max(start, stop - step)
            found = np.flatnonzero(self.tokens[first:stop] == self.end_of_document)
            if len(found):
                return first + int(found[-1]) + 1
            stop, step = first, step * 2
        return 0

    def _first_end(self, start: int) -> int:
        for first in range(start, len(self.tokens), _STEP):
            found = np.flatnonzero(self.tokens[first : first + _STEP] == self.end_of_document)
            if len(found):
                return first + int(found[0]) + 1
        raise CorpusError(f"{self.path} ends inside a document")


class Source:
    """A finished corpus directory.

    Attributes
    ----------
    corpus : Corpus
    dtype : dtype
    shards : list of Shard
    tokens : int
    digests : dict
        BLAKE3 of the shards, by the `identity` of the file; empty within `unchecked`. A format adds
        those of files that it hashed while it made them.

    Raises
    ------
    CorpusError
        If it is incomplete, or a shard or the manifest is damaged; see `intact_manifest`.
    """

    def __init__(self, directory: Path) -> None:
        self.corpus = Corpus.open(directory)
        manifest = intact_manifest(self.corpus)
        self.dtype = self.corpus.dtype
        mapped = lru_cache(MAPS)(self.corpus.shard)
        self.shards: list[Shard] = []
        first = 0
        for number, entry in enumerate(manifest["shards"]):
            path, stop = directory / entry["file"], first + len(mapped(number))
            self.shards.append(
                Shard(number, path.stem, path, first, stop, self.corpus.end_of_document, mapped)
            )
            first = stop
        self.tokens = first
        # Without a check, a shard may be another one than its digest says.
        self.digests = {
            identity(shard.path.stat()): entry["blake3"]
            for shard, entry in zip(self.shards, manifest["shards"], strict=True)
            if checks()
        }

    def check_size(self, to: str, most: int, beside: int) -> None:
        """Refuse shards that, with `beside` more bytes, do not fit in files below `most` bytes."""
        largest = max((shard.tokens.nbytes for shard in self.shards), default=0)
        if largest + beside >= most:
            raise ArgumentError(
                "to",
                f"{to} for shards of {largest:,} bytes",
                f"below {most >> 30} GiB (shard_bytes of the corpus)",
            )

    def pieces(self, start: int, stop: int) -> Iterator[Tokens]:
        """Yield the tokens of the corpus from `start` to `stop`, exclusive, across shards."""
        for shard in self.shards:
            low, high = max(start, shard.first), min(stop, shard.stop)
            for place in range(low, high, _PIECE):
                yield shard.tokens[place - shard.first : min(place + _PIECE, high) - shard.first]


def same_bytes(shard: Shard, target: Path) -> None:
    """Make `target` a file of the shard's bytes: a hard link, or a copy if links do not work."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(shard.path.resolve(), target)  # a link to a link may lead nowhere from here
        with named(target):
            sync(target.parent)
    except FileExistsError:  # another process has just made it
        return
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        with replacing(target) as temporary:
            shutil.copyfile(shard.path, temporary)
