"""Files of a directory that are sent to a store, and their order.

A record makes the files beside it valid, so it is sent after them, and the record of the complete
directory is sent last: a reader of the store during a transfer sees a directory that does not yet
exist, never an inconsistent one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from behemoth._gen import digest_file
from behemoth.support.checks import as_found
from behemoth.support.digests import read_object
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import unless_gone
from behemoth.support.kinds import KINDS
from behemoth.support.replacement import RECORDS, UNFINISHED

from .studies import UNITS

__all__ = ["DIRECTORIES", "STUDY", "files_of", "identity_of", "in_order", "record_of", "unfinished"]

DIRECTORIES = "a directory of a corpus, a run, a plan, an edit, a study, an export or a zoo"
STUDY = "study.json"
_GATES = "gates.json"  # record of report pages; no command reads them from a store
_UNIT_RECORDS = ("model.json", "trial.json")
_RECORD = "record of a directory"
_INNER_RECORDS = (*KINDS, "state.json")


def record_of(directory: Path) -> str:
    """Return the name of the record that identifies a directory of Behemoth.

    Raises
    ------
    ArgumentError
        If it has none.
    """
    for name in RECORDS:
        if name != _GATES and (directory / name).is_file():
            return name
    raise ArgumentError("directory", as_found(directory, "none of these"), DIRECTORIES)


def unfinished(directory: Path, record: str) -> bool:
    """Return whether a directory is being written, or its writer was killed.

    A study counts as finished at any time: its trials and models are finished one by one.
    """
    if record == STUDY:
        return False
    if (directory / UNFINISHED).exists():
        return True
    read = read_object(directory / record, _RECORD) if record.endswith(".json") else {}
    if record == "run.json":
        return read.get("status") != "finished"
    return record == "manifest.json" and read.get("complete") is not True


def identity_of(directory: Path, record: str) -> str:
    """Return the identity of a directory, equal for two if either may be resumed as the other."""
    if record == "manifest.json":
        return str(read_object(directory / record, _RECORD).get("spec_hash"))
    if record == STUDY:
        return str(read_object(directory / record, _RECORD).get("name"))
    return digest_file(directory / record)


def files_of(directory: Path, record: str) -> list[str]:
    """Return the sorted file names of a directory; for a study, those of finished units.

    Hidden files are skipped: they are locks and unfinished work.

    Raises
    ------
    CorpusError
        If a link leads to a folder that contains it, to one that was already listed, or nowhere.
    OSError
        If a folder cannot be listed: its files would be removed from the store.
    """
    found: list[str] = []
    seen: set[str] = set()
    # A folder may be a link to another disk.
    for place, folders, names in os.walk(directory, onerror=unless_gone, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            raise CorpusError(f"{place} is a link to a folder that contains it, or is listed twice")
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if record == STUDY and _is_unit_under_way(Path(place), directory):
            folders.clear()
            continue
        for path in (Path(place) / name for name in names if not name.startswith(".")):
            if path.is_symlink() and not path.exists():
                raise CorpusError(f"{path} is a link that leads nowhere (a disk not mounted?)")
            if path.is_file():
                found.append(path.relative_to(directory).as_posix())
    return sorted(found)


def in_order(names: Iterable[str], record: str) -> list[list[str]]:
    """Return the names in groups, each to be completed before the next is started."""
    groups: list[list[str]] = [[] for _ in range(4)]
    for name in names:
        path = PurePosixPath(name)
        shard = path.parent.name == "tokens" and path.suffix == ".json"
        if name == record:
            rank = 3
        elif path.name in _UNIT_RECORDS:
            rank = 2
        else:
            rank = 1 if shard or path.name in _INNER_RECORDS else 0
        groups[rank].append(name)
    return [group for group in groups if group]


def _is_unit_under_way(place: Path, study: Path) -> bool:
    parts = place.relative_to(study).parts
    return len(parts) == 2 and parts[0] in UNITS and not (place / UNITS[parts[0]]).is_file()
