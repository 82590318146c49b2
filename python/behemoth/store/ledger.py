"""What a store holds of a directory: its files, each with its size and its digest.

The ledger is written as files are completed, so that whoever goes on after a kill sends the rest;
and `Ledger.complete` says that all of them are there. It is an object of its own in the store, and
no file of the directory.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from behemoth._gen import digest_file
from behemoth.support.digests import SEAL, leads_out, sealed
from behemoth.support.errors import CorpusError
from behemoth.support.files import as_json
from behemoth.support.replacement import RECORDS

from .place import Place

__all__ = [
    "FOLDER", "LEDGER", "Book", "Entry", "Ledger", "part_names", "parts_of", "read_ledger",
]  # fmt: skip

FOLDER = ".behemoth"
LEDGER = f"{FOLDER}/ledger.json"
_VERSION = 1
_SECONDS, _BYTES = 2.0, 64 << 20  # after which it is written again


@dataclass(frozen=True)
class Entry:
    """A file as it was sent.

    Parameters
    ----------
    size : int
        Bytes.
    blake3 : str
    """

    size: int
    blake3: str

    @classmethod
    def of(cls, file: Path) -> Entry:
        """What a file would be entered as."""
        return cls(file.stat().st_size, digest_file(file))


@dataclass(frozen=True)
class Ledger:
    """What a store holds of a directory.

    Parameters
    ----------
    record : str
        The file that makes it what it is, such as ``manifest.json``.
    identity : str
        Of what it is a copy: of a corpus the hash of its spec, of a study its name, else the digest
        of its record.
    complete : bool
        Whether all files are there.
    files : dict of str to Entry
    forced : bool
        Whether a push with force is under way: `files` has only what was sent since it began.
    """

    record: str
    identity: str
    complete: bool = False
    files: dict[str, Entry] = field(default_factory=dict)
    forced: bool = False

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())

    def to_bytes(self) -> bytes:
        """As it lies in the store."""
        files = {name: [row.size, row.blake3] for name, row in sorted(self.files.items())}
        return as_json(sealed({
            "format_version": _VERSION, "record": self.record, "identity": self.identity,
            "complete": self.complete, "files": files, **({"forced": True} if self.forced else {}),
        }))  # fmt: skip


def read_ledger(place: Place, name: str = LEDGER) -> Ledger | None:
    """Read a ledger; None where there is none.

    Raises
    ------
    CorpusError
        When it is damaged, or of another version.
    StoreError
    """
    data = place.read(name)
    return None if data is None else _parsed(data, f"{place.url}/{name}")


def parts_of(place: Place, sizes: Iterable[str]) -> dict[str, Ledger]:
    """The ledgers of parts of a corpus that are being written, by name."""
    found: dict[str, Ledger] = {}
    for name in part_names(sizes):
        ledger = read_ledger(place, name)
        if ledger is not None:
            found[name] = ledger
    return found


def part_names(names: Iterable[str]) -> list[str]:
    """Those of some files that are ledgers of parts."""
    return [name for name in names if name.startswith(f"{FOLDER}/part-")]


def _parsed(data: bytes, url: str) -> Ledger:
    try:
        read: dict[str, Any] = json.loads(data)
        version = read["format_version"]
        if version == _VERSION:
            own = {key: value for key, value in read.items() if key != SEAL}
            if sealed(own) != read:
                raise ValueError
            files = {
                name: Entry(int(size), str(seal)) for name, (size, seal) in read["files"].items()
            }
            record: str = read["record"]
            if record not in RECORDS or any(map(_is_none_of_ours, files)):
                raise ValueError
            complete, forced = read["complete"] is True, read.get("forced") is True
            return Ledger(record, read["identity"], complete, files, forced)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CorpusError(f"{url} is damaged: it is not what was written") from None
    raise CorpusError(
        f"{url}: format version {version}, and this version of behemoth reads {_VERSION}"
    )


def _is_none_of_ours(name: str) -> bool:
    return leads_out(name) or name.startswith(".")


class Book:
    """A ledger that is being written; several threads enter files.

    Parameters
    ----------
    place : Place
    ledger : Ledger
        As it is in the store, or is to be begun.
    name : str
    shared : bool
        Whether other processes may write the same ledger: each time, what they have entered and
        struck since is read first and kept. A store has no locks, so of two that write within the
        same moment the first may still be lost until it writes again.
    """

    def __init__(
        self, place: Place, ledger: Ledger, name: str = LEDGER, *, shared: bool = False
    ) -> None:
        self.ledger = ledger
        self._place, self._name, self._shared = place, name, shared
        self._lock = threading.Lock()
        self._begun = False
        self._waiting, self._last = 0, time.monotonic()
        self._changes: dict[str, Entry | None] = {}  # by this process; None of what was struck

    @property
    def began(self) -> bool:
        """Whether anything has changed by it."""
        return self._begun

    def begin(self) -> None:
        """Say in the store that it is not complete; to be called before anything changes there."""
        with self._lock:
            if not self._begun:
                self.ledger = replace(self.ledger, complete=False)
                self._write()
                self._begun = True

    def enter(self, name: str, entry: Entry, *, now: bool = False) -> None:
        """Enter a file that was sent; with `now` it is in the store's ledger on return."""
        with self._lock:
            self.ledger.files[name] = self._changes[name] = entry
            self._waiting += entry.size
            late = time.monotonic() - self._last > _SECONDS
            if now or late or self._waiting > _BYTES:
                self._write()

    def close(self, *, complete: bool) -> None:
        """Write it with all that was entered."""
        with self._lock:
            forced = self.ledger.forced and not complete
            self.ledger = replace(self.ledger, complete=complete, forced=forced)
            self._write()

    def strike(self, names: Iterable[str]) -> None:
        """Take files out that are no longer there."""
        with self._lock:
            for name in names:
                self.ledger.files.pop(name, None)
                self._changes[name] = None

    def force(self, names: Iterable[str]) -> None:
        """Take nothing for sent that was sent before, unless a push with force goes on."""
        if not self.ledger.forced:
            self.strike(names)
            self.ledger = replace(self.ledger, forced=True)

    def _write(self) -> None:
        if self._shared:
            self._add_others()
        self._place.write(self._name, self.ledger.to_bytes())
        self._waiting, self._last = 0, time.monotonic()

    def _add_others(self) -> None:
        """Take over what others have entered and struck since this ledger was read."""
        there = read_ledger(self._place, self._name)
        if there is None or (there.record, there.identity) != (
            self.ledger.record, self.ledger.identity
        ):  # fmt: skip
            return
        files = {**there.files, **{n: row for n, row in self._changes.items() if row is not None}}
        for name, row in self._changes.items():
            if row is None:
                files.pop(name, None)
        self.ledger = replace(self.ledger, files=files)
