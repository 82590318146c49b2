"""LitData's chunks of tokens, for its ``StreamingDataset`` with a ``TokensLoader``.

A chunk is the number of items as u32, the offsets of the items and of their end as u32, and the
items; here a single item of complete blocks. A shard's last block continues into the next shard, so
that only an incomplete block at the end of the corpus is omitted. ``index.json`` lists the chunks.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from behemoth.support.files import as_json, replacing, write_bytes

from .protocol import Format, by_shard
from .source import Shard, Source

_HEAD = 12  # bytes: number of items, offset of the item, offset of its end
_MOST = 1 << 32  # bytes of a chunk: offsets are u32
# Indices in LitData's list of torch types: torch.uint16, and torch.int because uint32 is missing;
# ids are below 2^31, so that both have the same bytes.
_TYPES = {2: 20, 4: 16}


def _span(source: Source, shard: Shard, block_length: int) -> tuple[int, int]:
    """Return the range of tokens of a shard's chunk: complete blocks that begin in the shard."""
    start = -(-shard.first // block_length) * block_length
    stop = -(-shard.stop // block_length) * block_length
    return start, max(start, min(stop, source.tokens // block_length * block_length))


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    start, stop = _span(source, shard, block_length)
    target = out / f"chunk-0-{shard.number}.bin"
    if start == stop or target.exists():
        return
    size = (stop - start) * source.dtype.itemsize
    with replacing(target) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<III", 1, _HEAD, _HEAD + size))
        for piece in source.pieces(start, stop):
            file.write(piece.data)


def _finish(source: Source, out: Path, block_length: int) -> None:
    chunks: list[dict[str, Any]] = []
    for shard in source.shards:
        start, stop = _span(source, shard, block_length)
        if start < stop:
            size = (stop - start) * source.dtype.itemsize
            chunks.append(
                {
                    "filename": f"chunk-0-{shard.number}.bin",
                    "chunk_size": 1,
                    "chunk_bytes": size,
                    "dim": stop - start,
                }
            )
    config = {
        "chunk_bytes": max((chunk["chunk_bytes"] for chunk in chunks), default=0),
        "chunk_size": None,
        "compression": None,
        "data_format": [f"no_header_tensor:{_TYPES[source.dtype.itemsize]}"],
        "data_spec": None,
        "encryption": None,
        "item_loader": "TokensLoader",
    }
    write_bytes(out / "index.json", as_json({"chunks": chunks, "config": config}))


def _check(source: Source) -> None:
    source.check_size("litdata", _MOST, 1 << 24)


FORMAT = Format(
    "litdata",
    by_shard(_write),
    ("chunk-0-[0-9]*.bin", "index.json"),
    _finish,
    2048,
    _check,
)
