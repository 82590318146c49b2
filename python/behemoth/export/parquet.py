"""Parquet: one row per document with its text and its tokens; ``datasets`` loads it.

Columns: ``text`` (String, as `Corpus.decode` returns it, without the end-of-document token) and
``input_ids`` (List of UInt16 or UInt32, with it). A file has about four million tokens. Files are
made in the engine: frames of polars took two to four times as long, to make strings of Python and
to compress the tokens. A thread writes and syncs the file that it makes, so that the disk works
while other files are made, and hashes it while its bytes are in the processor's cache. Texts are
compressed with Snappy, or not at all: that takes 0.4 to 0.6 of the processor time, in files about
twice as large.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from behemoth.support.ahead import ahead
from behemoth.support.files import replacing
from behemoth.support.provenance import cores

from .inspection import identity
from .protocol import SHARD, Format, by_shard
from .source import Shard, Source, Tokens

_PIECE = 1 << 22  # tokens of a file
_SYNCING = 2  # more threads than cores: a thread that waits for the disk needs none
_THREADS = 8  # at most: each has some megabytes, or the file if a tokenizer's library decodes


def _write(source: Source, shard: Shard, out: Path, block_length: int, *, compressed: bool) -> None:
    def missing() -> Iterator[tuple[Path, Tokens]]:
        for number, tokens in enumerate(shard.documents(_PIECE)):
            target = out / f"{shard.name}-{number:03}.parquet"
            if not target.exists():
                yield target, tokens

    decoder = source.corpus.decoder

    def made(piece: tuple[Path, Tokens]) -> tuple[Path, str]:
        target, tokens = piece
        with replacing(target) as temporary:
            digest = decoder.write_parquet(temporary, tokens, compressed)
        return target, digest

    for target, digest in ahead(made, missing(), min(cores() + _SYNCING, _THREADS)):
        source.digests[identity(target.stat())] = digest


FORMAT = Format(
    "parquet",
    by_shard(partial(_write, compressed=True)),
    (f"{SHARD}-[0-9]*.parquet",),
    otherwise={"none": by_shard(partial(_write, compressed=False))},
    compression="snappy",
)
