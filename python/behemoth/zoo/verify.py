"""A zoo compared with the list of its files: what `behemoth verify` calls."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from behemoth.export.inspection import check_sums
from behemoth.support.progress import Looking

from .record import ZOO
from .zoo import read_zoo

__all__ = ["ZooVerification", "is_zoo", "verify_zoo"]


@dataclass(frozen=True)
class ZooVerification:
    """What was found: bad files with the reason, and missing ones by name."""

    directory: str
    ok: bool
    files: int
    bytes: int
    zoo_hash: str
    bad: list[dict[str, Any]]
    missing: list[str]


def is_zoo(directory: str | PathLike[str]) -> bool:
    """Whether a directory is a zoo, finished or not."""
    return (Path(directory) / ZOO.record).is_file()


def verify_zoo(directory: str | PathLike[str], *, progress: Looking = None) -> ZooVerification:
    """Recompute the hash of every file of a zoo.

    Parameters
    ----------
    directory : path
    progress : callable or Progress, optional
        Who looks on; what it raises stops the work.

    Raises
    ------
    ArgumentError
        When it is no zoo, or is not finished.
    CorpusError
        When its record is damaged.
    """
    zoo = read_zoo(directory)
    sums = {name: asdict(row) for name, row in zoo.record.files.items()}
    bad, missing = check_sums(zoo.directory, sums, progress)
    return ZooVerification(
        directory=fspath(directory),
        ok=not bad and not missing,
        files=len(sums),
        bytes=sum(row["bytes"] for row in sums.values()),
        zoo_hash=zoo.record.zoo_hash,
        bad=bad,
        missing=missing,
    )
