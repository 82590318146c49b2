"""What a format is: one of corpora, one of plans, or one of edited models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from behemoth.support.progress import ProgressLike, task

from .source import Shard, Source

if TYPE_CHECKING:
    from .edited import EditedModels
    from .planned import Planned

SHARD = "[0-9][0-9][0-9][0-9][0-9]"
"""Pattern of a shard's name."""

Write: TypeAlias = Callable[[Source, Path, int, ProgressLike], None]
"""``write(source, out, block_length, progress)`` writes what a format makes of a corpus."""


@dataclass(frozen=True)
class Format:
    """A format of others.

    Parameters
    ----------
    name : str
    reader : str
        What reads it.
    write : callable
        ``write(source, out, block_length, progress)`` writes it. Files have their name only when
        they are whole, so that one that is there is left as it is.
    files : tuple of str
        Patterns of the names that these files have.
    finish : callable, optional
        ``finish(source, out, block_length)`` writes what comes of all of it together.
    block_length : int, optional
        Tokens of a block by default, where the format is made of blocks.
    check : callable, optional
        ``check(source)`` refuses a corpus that the format cannot hold.
    """

    name: str
    reader: str
    write: Write
    files: tuple[str, ...]
    finish: Callable[[Source, Path, int], None] | None = None
    block_length: int | None = None
    check: Callable[[Source], None] | None = None


@dataclass(frozen=True)
class Bridge:
    """A format of others for plans: edits and probes as text.

    Parameters
    ----------
    name : str
    reader : str
        What reads it.
    write : callable
        ``write(planned, out, progress)`` writes it; files that are there are left as they are.
    files : tuple of str
        Patterns of the names that these files have.
    check : callable, optional
        ``check(planned)`` refuses a plan that the format cannot hold.
    """

    name: str
    reader: str
    write: Callable[[Planned, Path, ProgressLike], None]
    files: tuple[str, ...]
    check: Callable[[Planned], None] | None = None


@dataclass(frozen=True)
class ModelFormat:
    """A format of others for edited models: weights, and what is loaded with them.

    Parameters
    ----------
    name : str
    reader : str
        What reads it.
    write : callable
        ``write(models, out, progress)`` writes it; models that are there are left as they are.
    files : tuple of str
        Patterns of the names that these files have in the folder of a model.
    """

    name: str
    reader: str
    write: Callable[[EditedModels, Path, ProgressLike], None]
    files: tuple[str, ...]


def by_shard(write: Callable[[Source, Shard, Path, int], None]) -> Write:
    """Go through the shards: ``write(source, shard, out, block_length)`` makes files of one."""

    def write_all(source: Source, out: Path, block_length: int, progress: ProgressLike) -> None:
        with task(progress, "exporting", "tokens") as step:
            for shard in source.shards:
                write(source, shard, out, block_length)
                step(shard.stop, source.tokens)

    return write_all
