"""The record of gates that were run, ``gates.json``, sealed with a digest of itself."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from behemoth.support.checks import as_found, check_directory, path_of
from behemoth.support.digests import no_record, read_sealed, sealed
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.files import as_json, names_in, write_bytes
from behemoth.support.kinds import held

__all__ = ["RECORD", "earlier_gates", "read_gates", "write_gates"]

RECORD = "gates.json"
_FORMAT = 2


def read_gates(directory: str | PathLike[str]) -> dict[int, dict[str, Any]]:
    """Read the records of gates, by number.

    Raises
    ------
    ArgumentError
        If the directory has no such record, or one of another format version.
    CorpusError
        If it is damaged. Earlier versions did not seal it, and are read as they are.
    """
    file = Path(directory) / RECORD
    if not file.is_file():
        allowed = f"a directory of gates (with {RECORD})"
        raise ArgumentError("directory", as_found(directory), allowed)
    about = read_sealed(file, "gates")
    version = about.pop("format_version", None)
    if version != _FORMAT:
        raise ArgumentError(
            "directory",
            f"{fspath(directory)}, gates of format version {version}",
            f"gates of format version {_FORMAT}",
        )
    try:
        # Without another key: a flipped bit may rename that of the seal.
        (listed,) = about.values()
        return {int(record["number"]): record for record in listed}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise no_record(file, "record of gates") from None


def earlier_gates(out: str | PathLike[str]) -> dict[int, dict[str, Any]]:
    """Read the records that a directory to write has, by number; none if it is new or empty.

    Raises
    ------
    ArgumentError
        If there is something else.
    CorpusError
        See `read_gates`.
    """
    path = path_of("out", out, "a directory")
    check_directory("out", path, "a directory")
    # A run that was killed while it wrote its first record leaves a temporary folder.
    there = names_in(path) - {".lock"} if path.is_dir() else ()
    if not there:
        return {}
    if RECORD not in there:
        allowed = f"a new or empty directory, or one of gates (with {RECORD})"
        raise ArgumentError("out", held(path, min(there)), allowed)
    with renamed(directory="out"):
        return read_gates(path)


def write_gates(directory: Path, records: Mapping[int, Mapping[str, Any]]) -> None:
    """Write the records of gates, in the order of their numbers."""
    listed = [records[number] for number in sorted(records)]
    about = {"format_version": _FORMAT, "gates": listed}
    write_bytes(directory / RECORD, as_json(sealed(about)))
