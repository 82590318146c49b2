"""What files should hold: digests in the record of their directory, and what checks them.

A record names its directory's files with their BLAKE3, and is *sealed* by its own, so that a bit
that flips in either is noticed, and in which file. Whoever reads a file checks it first; records
without digests, of earlier versions, are read as they are. A digest is made at about 1 GB a second
on one core (docs/reliability.md).
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

__all__ = [
    "COPY", "FILES", "SEAL", "Checked", "check", "checks", "damaged", "digests", "leads_out",
    "no_record", "read_sealed", "sealed", "unchecked", "unsealed",
]  # fmt: skip

FILES = "files"
"""The key of a record that holds digests by the names of files, from the directory on."""

SEAL = "blake3"
"""The key of a record that holds the digest of all its other keys."""

COPY = ".behemoth-copy"
"""The file in a copy of what is in a store that says what all of it was held to."""

_CHECKED = ContextVar("checked", default=True)
_CHANGED = "is damaged: it is not what was written"


@dataclass
class Checked:
    """What was found of the files of a directory.

    Attributes
    ----------
    directory : str
    files : int
        Files that were hashed.
    bytes : int
        Of those.
    bad : list of dict
        ``file`` and ``reason``.
    missing : list of str
        Files that should be there.
    unhashed : list of str
        Records of earlier versions, which know no digests.
    """

    directory: str
    files: int = 0
    bytes: int = 0
    bad: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unhashed: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not self.bad and not self.missing

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "ok": self.ok}

    def look(self, place: Path, files: Mapping[str, str] | None, within: str = "") -> None:
        """Hash the files that a record names.

        Parameters
        ----------
        place : Path
            The directory that the names start from.
        files : mapping, optional
            Digests by name; none of a record that has none.
        within : str
            What leads to `place` from the directory that is checked, such as ``delta/``.
        """
        for name, wanted in (files or {}).items():
            path = place / name
            if leads_out(name):
                self.bad.append({"file": f"{within}{name}", "reason": "leads out of the directory"})
                continue
            if not path.is_file():
                self.missing.append(f"{within}{name}")
                continue
            self.files += 1
            self.bytes += path.stat().st_size
            if digest_file(path) != wanted:
                self.bad.append({"file": f"{within}{name}", "reason": _CHANGED})


@contextmanager
def unchecked() -> Generator[None]:
    """Read files as they are inside, whatever their digests say.

    Examples
    --------
    >>> from behemoth.support.digests import unchecked
    >>> with unchecked():  # weights that were changed on purpose
    ...     pass
    """
    token = _CHECKED.set(False)
    try:
        yield
    finally:
        _CHECKED.reset(token)


def checks() -> bool:
    """Whether files are held to their digests here, which is so but within `unchecked`."""
    return _CHECKED.get()


def leads_out(name: str) -> bool:
    """Whether a name that a record gives leads out of its directory."""
    path = PurePath(name)
    return path.is_absolute() or ".." in path.parts


def damaged(file: Path, why: str = _CHANGED) -> CorpusError:
    """Make the error of a file that is damaged.

    Of a copy of what is in a store it is no longer known what is whole: who reads it next holds
    all of it to its digests, and brings what is not.
    """
    for folder in file.parents:
        with suppress(OSError):
            (folder / COPY).unlink(missing_ok=True)
    return CorpusError(f"{file} {why}")


def no_record(file: Path, what: str) -> CorpusError:
    """Make the error of a file that cannot be read as what it should be: "record of a run"."""
    return damaged(file, f"is damaged: it is not a valid {what}")


def digests(place: Path, names: Iterable[str | Path]) -> dict[str, str]:
    """BLAKE3 of some files of a directory, by name; of those that are there."""
    found = sorted(Path(name).as_posix() for name in names)
    return {name: digest_file(place / name) for name in found if (place / name).is_file()}


def check(place: Path, files: Mapping[str, str] | None, *names: str) -> None:
    """Refuse files that are not what a record says.

    Parameters
    ----------
    place : Path
    files : mapping, optional
        What the record says; none of one that has no digests.
    *names : str
        The files that are about to be read; one that the record does not name is not checked.

    Raises
    ------
    CorpusError
        With the name of the file.
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
    """The values of a record with their own digest behind them."""
    plain = json.loads(json.dumps(values))  # keys that are numbers are texts in a file
    return {**plain, SEAL: _digest(plain)}


def unsealed(
    file: Path, values: Mapping[str, Any], what: str, version: int | None = None
) -> dict[str, Any]:
    """The values of a record without their digest, which is checked where there is one.

    Parameters
    ----------
    file : Path
    values : mapping
    what : str
        What it is the record of, for the error: "an edit".
    version : int, optional
        What ``format_version`` is to be, of records that have one.

    Raises
    ------
    CorpusError
        When the version or the digest is another.
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
    if SEAL in values and _CHECKED.get() and values[SEAL] != _digest(own):
        raise damaged(file)
    return own


def read_sealed(
    file: Path, what: str, version: int | None = None, *, always: bool = False
) -> dict[str, Any]:
    """Read a record of JSON, and check its seal; parameters as of `unsealed`.

    Parameters
    ----------
    always : bool
        Whether every version sealed such records, so that one without a seal is none.

    Raises
    ------
    CorpusError
        When it is damaged, or of another version.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or (always and SEAL not in values):
        raise no_record(file, f"record of {what}")
    return unsealed(file, values, what, version)


def _digest(values: Mapping[str, Any]) -> str:
    # As JSON has it, whatever the layout: numbers keep their digits through a file and back.
    return digest(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
