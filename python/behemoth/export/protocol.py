"""Definitions of a format: for corpora, for plans, or for edited models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
"""``write(source, out, block_length, progress)`` writes a corpus in a format."""


@dataclass(frozen=True)
class Format:
    """A format of other tools for corpora.

    Parameters
    ----------
    name : str
    write : callable
        ``write(source, out, block_length, progress)`` writes it. Files get their names only when
        they are complete, so that existing files are kept.
    files : tuple of str
        Patterns of the names of its files.
    finish : callable, optional
        ``finish(source, out, block_length)`` writes files about the complete export.
    block_length : int, optional
        Default number of tokens in a block, if the format has blocks.
    check : callable, optional
        ``check(source)`` refuses a corpus that the format cannot represent.
    otherwise : mapping
        Writers of other compressions than the usual one, by their names.
    compression : str, optional
        Name of the usual compression, if there are others.
    """

    name: str
    write: Write
    files: tuple[str, ...]
    finish: Callable[[Source, Path, int], None] | None = None
    block_length: int | None = None
    check: Callable[[Source], None] | None = None
    otherwise: Mapping[str, Write] = field(default_factory=dict)
    compression: str | None = None


@dataclass(frozen=True)
class Bridge:
    """A format of other tools for plans: edits and probes as text.

    Parameters
    ----------
    name : str
    write : callable
        ``write(planned, out, progress)`` writes it; existing data files are kept.
    files : tuple of str
        Patterns of the names of its files.
    check : callable, optional
        ``check(planned)`` refuses a plan that the format cannot represent.
    splits : str, optional
        What the numbers in the names of its JSON files mean, if these are the splits of a data set
        and their names depend on the plan.
    """

    name: str
    write: Callable[[Planned, Path, ProgressLike], None]
    files: tuple[str, ...]
    check: Callable[[Planned], None] | None = None
    splits: str | None = None


@dataclass(frozen=True)
class ModelFormat:
    """A format of other tools for edited models: weights, and the files loaded with them.

    Parameters
    ----------
    name : str
    write : callable
        ``write(models, out, progress)`` writes it; existing models are kept.
    files : tuple of str
        Names of its files in the folder of a model.
    """

    name: str
    write: Callable[[EditedModels, Path, ProgressLike], None]
    files: tuple[str, ...]


def by_shard(write: Callable[[Source, Shard, Path, int], None]) -> Write:
    """Return a writer that calls ``write(source, shard, out, block_length)`` for each shard."""

    def write_all(source: Source, out: Path, block_length: int, progress: ProgressLike) -> None:
        with task(progress, "exporting", "tokens") as step:
            for shard in source.shards:
                write(source, shard, out, block_length)
                step(shard.stop, source.tokens)

    return write_all
