"""OLMo-core's token files: raw tokens in files named ``.npy``, without a NumPy header."""

from __future__ import annotations

from pathlib import Path

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source, same_bytes


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    same_bytes(shard, out / f"{shard.name}.npy")


FORMAT = Format("olmo", by_shard(_write), (f"{SHARD}.npy",))
