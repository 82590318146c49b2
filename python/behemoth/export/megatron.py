r"""Megatron-LM's indexed datasets: the shards themselves, with an index beside each.

A sequence is a block of tokens, and each sequence is a document: the index uses 20 bytes for each,
so that one sequence per sentence would use as much space as its tokens. ``GPTDataset`` splits and
shuffles sequences again; only readers of `IndexedDataset` itself keep the order of the corpus.

Layout, little-endian: ``MMIDIDX\0\0``, u64 version 1, u8 type, u64 sequences, u64 documents + 1;
then i32 lengths, i64 offsets in bytes, i64 first sequences of the documents and their end.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from behemoth.corpus.background.binary import MAGIC, WIDTHS
from behemoth.support.files import write_bytes

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source, same_bytes

# There is no code for uint32; ids are below 2^31, so that int32 has the same bytes.
_TYPES = {width: code for code, width in WIDTHS.items()}


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    same_bytes(shard, out / f"{shard.name}.bin")
    tokens, size = len(shard.tokens), source.dtype.itemsize
    starts = np.arange(0, tokens, block_length, dtype=np.int64)
    lengths = np.minimum(block_length, tokens - starts)
    head = struct.pack("<QBQQ", 1, _TYPES[size], len(starts), len(starts) + 1)
    parts = (
        lengths.astype("<i4"),
        (starts * size).astype("<i8"),
        np.arange(len(starts) + 1, dtype="<i8"),
    )
    index = MAGIC + head + b"".join(part.tobytes() for part in parts)
    write_bytes(out / f"{shard.name}.idx", index)


FORMAT = Format(
    "megatron",
    by_shard(_write),
    (f"{SHARD}.bin", f"{SHARD}.idx"),
    block_length=2048,
)
