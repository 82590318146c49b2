"""Shards of a corpus directory: the names of their files, and their tokens. The engine writes them.

A shard is a file of little-endian tokens without a header; beside it is its record, which has the
digest of the tokens and is written when they are complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behemoth.support.digests import damaged
from behemoth.support.files import check_regular

__all__ = ["MAPS", "SHARDS", "open_shard", "shard_file", "shard_record"]

SHARDS = "tokens/"
"""Beginning of the names of shards and their records, relative to the directory."""

MAPS = 64
"""Number of shards that a reader keeps mapped: each is an open file, and their number is limited.

A process may often open 1,024 files, and 256 on macOS.
"""


def shard_file(shard: int) -> str:
    """Return the name of the file with the tokens of a shard, relative to the directory."""
    return f"{SHARDS}{shard:05}.bin"


def shard_record(shard: int) -> str:
    """Return the name of the record of a shard, relative to the directory."""
    return f"{SHARDS}{shard:05}.json"


def open_shard(directory: Path, shard: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the tokens of a shard, memory-mapped read-only.

    An empty file, which cannot be mapped, is an empty array.

    Parameters
    ----------
    directory : Path
        A corpus directory.
    shard : int
        Number of the shard.
    dtype : dtype
        uint16 or uint32, of the corpus.

    Raises
    ------
    FileNotFoundError
        When the shard is not written yet.
    CorpusError
        When it ends within a token.
    """
    path, raw = directory / shard_file(shard), dtype.newbyteorder("<")
    check_regular(path)
    size = path.stat().st_size
    if size % raw.itemsize:
        raise damaged(path)
    return np.memmap(path, dtype=raw, mode="r") if size else np.empty(0, raw)
