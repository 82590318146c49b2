"""What a format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .source import Shard, Source

SHARD = "[0-9][0-9][0-9][0-9][0-9]"
"""Pattern of a shard's name."""


@dataclass(frozen=True)
class Format:
    """A format of another trainer.

    Parameters
    ----------
    name : str
    reader : str
        What reads it.
    write : callable
        ``write(source, shard, out, block_length)`` writes what comes of a shard. Files have
        their name only when they are whole, so that one that is there is left as it is.
    files : tuple of str
        Patterns of the names that these files have.
    finish : callable, optional
        ``finish(source, out, block_length)`` writes what comes of all shards together.
    block_length : int, optional
        Tokens of a block by default, where the format is made of blocks.
    check : callable, optional
        ``check(source)`` refuses a corpus that the format cannot hold.
    """

    name: str
    reader: str
    write: Callable[[Source, Shard, Path, int], None]
    files: tuple[str, ...]
    finish: Callable[[Source, Path, int], None] | None = None
    block_length: int | None = None
    check: Callable[[Source], None] | None = None
