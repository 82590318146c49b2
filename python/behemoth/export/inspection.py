"""Inspection and verification of exports, as in `behemoth inspect` and `behemoth verify`.

``sums.json`` lists the files of a finished export, with the bytes and the BLAKE3 that each had when
it was first written: running an export again does not make a damaged file count as intact.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from behemoth._gen import digest_file
from behemoth.support.ahead import ahead
from behemoth.support.checks import as_found, path_of
from behemoth.support.digests import SEAL, leads_out, read_object, read_sealed, sealed
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import as_json, write_bytes
from behemoth.support.progress import ProgressLike, task
from behemoth.support.provenance import cores

__all__ = [
    "RECORD", "SUMS", "ExportInspection", "ExportVerification", "identity", "inspect_export",
    "is_export", "read_export_sums", "verify_export", "write_export_sums",
]  # fmt: skip

RECORD = "export.json"
"""Record that identifies a directory as an export."""

SUMS = "sums.json"
"""Digests of its files; present once the export is finished."""

_SUM = {"bytes": int, "blake3": str}


@dataclass(frozen=True)
class ExportInspection:
    """Description of an export.

    Parameters
    ----------
    directory : str
    behemoth : str
        Version that wrote it.
    to : str
        Name of the format.
    block_length : int or None
    spec_hash : str
        Hash of the corpus spec.
    plan_hash : str or None
        Hash of the plan, if a plan or an edit was exported.
    complete : bool
    files, bytes : int
        Number of files and their bytes, including the tokenizer; 0 if the export is incomplete.
    """

    directory: str
    behemoth: str
    to: str
    block_length: int | None
    spec_hash: str
    plan_hash: str | None
    complete: bool
    files: int
    bytes: int


@dataclass(frozen=True)
class ExportVerification:
    """Result of a verification: bad files with the reason, and missing ones by name."""

    directory: str
    ok: bool
    files: int
    bytes: int
    bad: list[dict[str, Any]]
    missing: list[str]


def is_export(directory: str | PathLike[str]) -> bool:
    """Return whether a directory is an export, finished or not."""
    return (Path(directory) / RECORD).is_file()


def inspect_export(directory: str | PathLike[str]) -> ExportInspection:
    """Describe an export.

    Raises
    ------
    ArgumentError
        If the directory is not an export.
    CorpusError
        If its record or list of files is damaged.
    """
    place = _place(directory)
    about = _record(place)
    names = ("behemoth", "to", "block_length", "spec_hash")
    if not all(name in about for name in names):
        raise CorpusError(f"{place / RECORD} is damaged")
    sums = read_export_sums(place) if (place / SUMS).is_file() else {}
    return ExportInspection(
        directory=fspath(directory),
        **{name: about[name] for name in names},
        plan_hash=about.get("plan_hash"),
        complete=(place / SUMS).is_file(),
        files=len(sums),
        bytes=sum(row["bytes"] for row in sums.values()),
    )


def verify_export(
    directory: str | PathLike[str], *, progress: ProgressLike = None
) -> ExportVerification:
    """Recompute the hash of every file of an export.

    Parameters
    ----------
    directory : path
    progress : callable or Progress, optional
        Called with the progress; raising in it stops the work.

    Raises
    ------
    ArgumentError
        If the directory is not an export.
    CorpusError
        If it is incomplete, or its list of files is damaged.
    """
    place = _place(directory)
    if not (place / SUMS).is_file():
        raise CorpusError(f"{directory} is not complete: run the same `behemoth export` again")
    bad: list[dict[str, Any]] = []
    missing: list[str] = []
    try:
        _record(place)
    except CorpusError:
        bad.append({"file": RECORD, "reason": "is not what was written"})
    sums = read_export_sums(place)
    total = sum(row["bytes"] for row in sums.values())
    done = 0
    with task(progress, "verifying", "bytes") as step:
        for name, row in sums.items():
            path = place / name
            if not path.is_file():
                missing.append(name)
            elif (size := path.stat().st_size) != row["bytes"]:
                bad.append({"file": name, "reason": f"has {size:,} bytes, not {row['bytes']:,}"})
            elif digest_file(path) != row["blake3"]:
                bad.append({"file": name, "reason": "is not what was written"})
            done += row["bytes"]
            step(done, total)
    return ExportVerification(
        directory=fspath(directory),
        ok=not bad and not missing,
        files=len(sums),
        bytes=total,
        bad=bad,
        missing=missing,
    )


def write_export_sums(
    place: Path,
    files: Iterable[Path],
    known: Mapping[tuple[int, int], str],
    made: Container[Path] = (),
) -> None:
    """Write the list of an export's files with their digests.

    Parameters
    ----------
    place : Path
    files : iterable of Path
    known : mapping
        Known digests by `identity`: of shards, for files that are hard links to them, and of files
        that were hashed while they were made.
    made : container of Path
        Files that did not exist before and were written by this call: an earlier list does not hold
        for them.
    """
    there = read_export_sums(place) if (place / SUMS).is_file() else {}

    def sum_of(path: Path) -> tuple[str, dict[str, Any]]:
        name = path.relative_to(place).as_posix()
        if name in there and path not in made:
            return name, there[name]
        status = path.stat()
        found = known.get(identity(status)) or digest_file(path)
        return name, {"bytes": status.st_size, "blake3": found}

    sums = dict(ahead(sum_of, sorted(files), cores()))
    write_bytes(place / SUMS, as_json(sealed(sums)))


def identity(status: os.stat_result) -> tuple[int, int]:
    """Return what two hard links to one file share, and no other file has."""
    return status.st_dev, status.st_ino


def read_export_sums(place: Path) -> dict[str, dict[str, Any]]:
    """Read the bytes and the digest of each file of an export, by name.

    Raises
    ------
    CorpusError
    """
    sums = read_sealed(place / SUMS, "an export")
    for name, row in sums.items():
        whole = isinstance(row, dict) and {key: type(row[key]) for key in row} == _SUM
        if not whole or leads_out(name):
            raise CorpusError(f"{place / SUMS} is damaged")
    return sums


def _record(place: Path) -> dict[str, Any]:
    """Read the record; without a seal it is of an earlier version, whose list of files has none.

    One flipped bit may rename the key of the seal.
    """
    sums = place / SUMS
    is_sealed = sums.is_file() and SEAL in read_object(sums, "list of an export")
    return read_sealed(place / RECORD, "an export", always=is_sealed)


def _place(directory: str | PathLike[str]) -> Path:
    place = path_of("directory", directory, "a directory of an export")
    if not is_export(place):
        raise ArgumentError("directory", as_found(directory), "a directory of an export")
    return place
