"""llm.c's token files, which modded-nanogpt also reads.

The header is 256 little-endian i32: magic, version, number of tokens, zeros; the tokens follow.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from behemoth.support.files import replacing

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source

_HEAD = 256
_MOST = 1 << 31  # bytes of a file
_KINDS = {2: (20240520, 1), 4: (20240801, 7)}  # magic and version by bytes per token


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    target = out / f"{shard.name}.bin"
    if target.exists():
        return
    head = np.zeros(_HEAD, "<i4")
    head[:3] = *_KINDS[source.dtype.itemsize], len(shard.tokens)
    with replacing(target) as temporary, temporary.open("wb") as file:
        file.write(head.tobytes())
        for piece in source.pieces(shard.first, shard.stop):
            file.write(piece.data)


def _check(source: Source) -> None:
    source.check_size("llmc", _MOST, 4 * _HEAD)


FORMAT = Format("llmc", by_shard(_write), (f"{SHARD}.bin",), check=_check)
