"""Digests of files, stored in the record of their directory, and the checks against them.

A record lists its directory's files with their BLAKE3 digests, and is *sealed* with a digest of
itself, so that a flipped bit in either is noticed, together with the file it is in. Every reader of
a file checks it first; records of earlier versions, which have no digests, are read as they are.
Hashing runs at about 1 GB a second on one core (docs/reliability.md).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import Any

from behemoth._gen import digest, digest_file

from .errors import CorpusError
from .files import check_regular

__all__ = [
    "COPY", "FILES", "PASSING", "SEAL", "Checked", "check", "checking", "checks", "damaged",
    "digests", "leads_out", "no_record", "read_object", "read_sealed", "sealed", "unchecked",
    "unsealed",
]  # fmt: skip

FILES = "files"
"""Key of a record: digests by file name, relative to the directory."""

SEAL = "blake3"
"""Key of a record: the digest of all its other keys."""

PASSING = {"delta.json": "memory.safetensors", "state.json": "optimiser.safetensors"}
"""Files that are removed once they are no longer needed, by the record that has their digest."""

COPY = ".behemoth-copy"
"""File in a local copy of a store: records what the complete copy was checked against."""

_CHECKED = ContextVar("checked", default=True)
_CHANGED = "is damaged: it is not what was written"


@dataclass
class Checked:
    """The result of checking the files of a directory.

    Attributes
    ----------
    directory : str
    files : int
        Number of files that were hashed.
    bytes : int
        Size of those files.
    bad : list of dict
        ``file`` and ``reason``.
    missing : list of str
        Files that are recorded but absent.
    unhashed : list of str
        Records of earlier versions, which have no digests.
    extra : list of str
        Files of a zoo that its list does not name, and that are not checked. They damage nothing.
    """

    directory: str
    files: int = 0
    bytes: int = 0
    bad: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unhashed: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not self.bad and not self.missing

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {**asdict(self), "ok": self.ok}

    def look(self, place: Path, files: Mapping[str, str] | None, within: str = "") -> None:
        """Hash the files that a record names.

        Parameters
        ----------
        place : Path
            The directory that the names are relative to.
        files : mapping, optional
            Digests by name; None for a record without digests.
        within : str
            Path of `place` within the directory that is checked, such as ``delta/``.
        """
        for name, wanted in (files or {}).items():
            path = place / name
            if leads_out(name):
                self.bad.append({"file": f"{within}{name}", "reason": "leads out of the directory"})
                continue
            if not path.exists():
                self.missing.append(f"{within}{name}")
                continue
            if not path.is_file():
                self.bad.append({"file": f"{within}{name}", "reason": "is not a regular file"})
                continue
            self.files += 1
            self.bytes += path.stat().st_size
            if digest_file(path) != wanted:
                self.bad.append({"file": f"{within}{name}", "reason": _CHANGED})


@contextmanager
def unchecked() -> Generator[None]:
    """Skip the checks of digests inside the block.

    Examples
    --------
    >>> from behemoth.support.digests import unchecked
    >>> with unchecked():  # weights that were changed on purpose
    ...     pass
    """
    with checking(wanted=False):
        yield


@contextmanager
def checking(*, wanted: bool) -> Generator[None]:
    """Check digests inside the block, or do not, as another process was told (`checks`)."""
    token = _CHECKED.set(wanted)
    try:
        yield
    finally:
        _CHECKED.reset(token)


def checks() -> bool:
    """Return whether files are checked against their digests; false only inside `unchecked`."""
    return _CHECKED.get()


def leads_out(name: str) -> bool:
    """Return whether a name in a record leads out of its directory."""
    path = PurePath(name)
    return path.is_absolute() or ".." in path.parts


def damaged(file: Path, why: str = _CHANGED) -> CorpusError:
    """Return the error for a damaged file.

    A local copy of a store that contains the file loses its `COPY` file: the next reader checks
    the complete copy against its digests and fetches the damaged files again.
    """
    for folder in file.parents:
        with suppress(OSError):
            (folder / COPY).unlink(missing_ok=True)
    return CorpusError(f"{file} {why}")


def no_record(file: Path, what: str) -> CorpusError:
    """Return the error for a file that cannot be read as `what`, such as "record of a run"."""
    return damaged(file, f"is damaged: it is not a valid {what}")


def digests(place: Path, names: Iterable[str | Path]) -> dict[str, str]:
    """Return the BLAKE3 digests of files in a directory by name; absent files are skipped."""
    found = sorted(Path(name).as_posix() for name in names)
    return {name: digest_file(place / name) for name in found if (place / name).is_file()}


def check(place: Path, files: Mapping[str, str] | None, *names: str) -> None:
    """Refuse files that do not match the digests in a record.

    Parameters
    ----------
    place : Path
    files : mapping, optional
        Digests in the record by name; None for a record without digests.
    *names : str
        Names of the files that are about to be read; names without a digest are not checked.

    Raises
    ------
    CorpusError
        When a file is missing or damaged; the error names it.
    """
    if not _CHECKED.get():
        return
    for name in names:
        if files is None or name not in files:
            continue
        path = place / name
        if not path.is_file():
            raise damaged(path, "is missing")
        if digest_file(path) != files[name]:
            raise damaged(path)


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a record with their digest as the last key."""
    plain = json.loads(json.dumps(values))  # JSON turns keys that are numbers into strings
    return {**plain, SEAL: _digest(plain)}


def unsealed(
    file: Path, values: Mapping[str, Any], what: str, version: int | None = None
) -> dict[str, Any]:
    """Return the values of a record without its digest, which is checked.

    Only a record of an earlier version, which has no digests of files either, may lack it.

    Parameters
    ----------
    file : Path
    values : mapping
    what : str
        Subject of the record, for the error: "an edit".
    version : int, optional
        Required ``format_version``, for records that have one.

    Raises
    ------
    CorpusError
        When the version or the digest does not match, or the digests of files are no table.
    """
    if version is not None:
        there = values.get("format_version")
        if not isinstance(there, int):
            raise no_record(file, f"record of {what}")
        if there != version:
            raise CorpusError(
                f"{file}: format version {there}, and this version of behemoth reads {version}"
            )
    own: dict[str, Any] = {key: value for key, value in values.items() if key != SEAL}
    if _CHECKED.get():
        # Digests of files were always sealed: one flipped bit may rename the key of the seal.
        wanted = None if own.get(FILES) is None and SEAL not in values else _digest(own)
        if values.get(SEAL) != wanted:
            raise damaged(file)
    if not isinstance(own.get(FILES) or {}, Mapping):
        raise no_record(file, f"record of {what}")
    return own


def read_sealed(
    file: Path, what: str, version: int | None = None, *, always: bool = False
) -> dict[str, Any]:
    """Read a JSON record and check its seal; for the other parameters see `unsealed`.

    Parameters
    ----------
    always : bool
        If true, a record without a seal is invalid, because every version sealed this kind.

    Raises
    ------
    CorpusError
        When the record is damaged or has another version.
    """
    values = read_object(file, f"record of {what}")
    if always and SEAL not in values:
        raise no_record(file, f"record of {what}")
    return unsealed(file, values, what, version)


def read_object(file: Path, what: str) -> dict[str, Any]:
    """Read a file that is to hold a JSON object, without checking a seal.

    Parameters
    ----------
    file : Path
    what : str
        What the file is, for the error: "record of a shard".

    Raises
    ------
    CorpusError
        When it is damaged.
    """
    check_regular(file)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise no_record(file, what)
    return values


def _digest(values: Mapping[str, Any]) -> str:
    # Hash a canonical layout of the JSON: numbers keep their digits through a file and back.
    return digest(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
