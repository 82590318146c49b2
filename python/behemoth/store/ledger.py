"""The ledger of a directory in a store: its files, each with its size and its digest.

The ledger is written as files are completed, so that a push resumed after a kill sends only the
rest; `Ledger.complete` states that all files are present. It is a separate object in the store,
not a file of the directory.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from behemoth._gen import digest_file
from behemoth.support.digests import SEAL, leads_out, sealed
from behemoth.support.errors import CorpusError
from behemoth.support.files import as_json
from behemoth.support.replacement import RECORDS

from .place import Place

__all__ = [
    "FOLDER", "LEDGER", "Book", "Entries", "Entry", "Ledger", "part_ledger", "part_names",
    "part_of", "parts_of", "read_ledger",
]  # fmt: skip

FOLDER = ".behemoth"
LEDGER = f"{FOLDER}/ledger.json"
_VERSION = 1
_SECONDS, _BYTES = 2.0, 64 << 20  # after either of which the ledger is written again


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
        """Return the entry of a local file."""
        return cls(file.stat().st_size, digest_file(file))

    def matches(self, file: Path) -> bool:
        """Return whether a local file has this size and digest; False if it is missing."""
        if not file.is_file() or file.stat().st_size != self.size:
            return False
        return digest_file(file) == self.blake3


class Entries:
    """Entries of local files, each computed once for as long as its file stays the same.

    For what looks at the same files many times: a study is sent every 30 seconds. A file is the
    same while its inode, size and time of change are.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], Entry]] = {}

    def of(self, file: Path) -> Entry:
        """Return the entry of a local file; several threads may call it."""
        told = file.stat()
        state = told.st_ino, told.st_size, told.st_mtime_ns
        before, entry = self._known.get(file, (None, None))
        if entry is None or before != state:
            entry = Entry.of(file)
            self._known[file] = state, entry
        return entry


@dataclass(frozen=True)
class Ledger:
    """The files that a store has of a directory.

    Parameters
    ----------
    record : str
        Name of the file that identifies its kind, such as ``manifest.json``.
    identity : str
        For a corpus the hash of its spec, for a study its name, otherwise the digest of its record.
    complete : bool
        Whether all files are present.
    files : dict of str to Entry
    forced : bool
        Whether a push with force is under way: `files` then has only files sent since it began.
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
        """Return the ledger as it is stored: JSON with a seal."""
        files = {name: [row.size, row.blake3] for name, row in sorted(self.files.items())}
        return as_json(sealed({
            "format_version": _VERSION, "record": self.record, "identity": self.identity,
            "complete": self.complete, "files": files, **({"forced": True} if self.forced else {}),
        }))  # fmt: skip


def read_ledger(place: Place, name: str = LEDGER) -> Ledger | None:
    """Read a ledger; return None if it does not exist.

    Raises
    ------
    CorpusError
        If it is damaged, or has another format version.
    StoreError
    """
    data = place.read(name)
    return None if data is None else _parsed(data, f"{place.url}/{name}")


def parts_of(place: Place, sizes: Iterable[str]) -> dict[str, Ledger]:
    """Return the ledgers of the parts of a corpus or a study, by name."""
    found: dict[str, Ledger] = {}
    for name in part_names(sizes):
        ledger = read_ledger(place, name)
        if ledger is not None:
            found[name] = ledger
    return found


def part_names(names: Iterable[str]) -> list[str]:
    """Return the names that are ledgers of parts."""
    return [name for name in names if name.startswith(f"{FOLDER}/part-")]


def part_ledger(part: tuple[int, int]) -> str:
    """Return the name of the ledger of part i of n."""
    return f"{FOLDER}/part-{part[0]:05}-of-{part[1]:05}.json"


def part_of(name: str) -> tuple[int, int] | None:
    """Return (i, n) for the name of the ledger of part i of n; None for other names."""
    index, _, count = name.removeprefix(f"{FOLDER}/part-").removesuffix(".json").partition("-of-")
    return (int(index), int(count)) if index.isdigit() and count.isdigit() else None


def _parsed(data: bytes, url: str) -> Ledger:
    try:
        read: dict[str, Any] = json.loads(data)
        version = read["format_version"]
        if version == _VERSION:
            values = {key: value for key, value in read.items() if key != SEAL}
            if sealed(values) != read:
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
    """A ledger that is being written; several threads may enter files.

    Parameters
    ----------
    place : Place
    ledger : Ledger
        The ledger in the store, or a new one.
    name : str
    shared : bool
        Whether other processes may write the same ledger: before each write, what they have
        entered and struck since is read and kept. If the store's row of a file is neither the own
        one nor the one that it replaces, the object in the store decides by its size, and by its
        digest where both entries have that size. A store has no locks, so if two processes write
        at the same moment, the changes of the first are missing until it writes again, which
        `close` does if it finds them missing. What is overwritten after that stays so, and so does
        an entry of a new file that another process has removed before the entry was written.
    """

    def __init__(
        self, place: Place, ledger: Ledger, name: str = LEDGER, *, shared: bool = False
    ) -> None:
        self.ledger = ledger
        self._place, self._name, self._shared = place, name, shared
        self._lock = threading.Lock()
        self._begun = False
        self._waiting, self._last = 0, time.monotonic()
        self._changes: dict[str, Entry | None] = {}  # by this process; None if struck
        # Changes that are not in the store yet, each with the row that they replace there.
        self._unwritten: dict[str, Entry | None] = {}

    @property
    def began(self) -> bool:
        """Whether `begin` was called."""
        return self._begun

    def begin(self) -> None:
        """Mark the ledger in the store as incomplete; call before anything changes there."""
        with self._lock:
            if not self._begun:
                self.ledger = replace(self.ledger, complete=False)
                self._write()
                self._begun = True

    def enter(self, name: str, entry: Entry, *, now: bool = False) -> None:
        """Enter a file that was sent; with `now`, the ledger in the store has it on return."""
        with self._lock:
            before = self._unwritten.setdefault(name, self.ledger.files.get(name))
            self.ledger.files[name] = self._changes[name] = entry
            self._waiting += entry.size
            late = time.monotonic() - self._last > _SECONDS
            # Written later, it would also replace that entry if another process had sent it again.
            replaces = self._shared and before not in (None, entry)
            if now or late or replaces or self._waiting > _BYTES:
                self._write()

    def close(self, *, complete: bool) -> None:
        """Write the ledger with all entries; a shared one that is complete, until it has them."""
        with self._lock:
            forced = self.ledger.forced and not complete
            self.ledger = replace(self.ledger, complete=complete, forced=forced)
            self._write()
            while self._shared and complete and self._unite():
                self._write()

    def strike(self, names: Iterable[str], *, now: bool = False) -> None:
        """Remove the entries of files; with `now`, those in the store, too, once it has begun."""
        with self._lock:
            for name in names:
                self._unwritten.setdefault(name, self.ledger.files.pop(name, None))
                self._changes[name] = None
            if now and self._begun:
                self._write()

    def take(self, files: Mapping[str, Entry], before: Ledger | None) -> None:
        """Take over the files that other ledgers list.

        Parameters
        ----------
        files : mapping of str to Entry
            Files of all ledgers.
        before : Ledger, optional
            This ledger as it is in the store.
        """
        there = {} if before is None else before.files
        with self._lock:
            taken: dict[str, Entry | None] = dict.fromkeys(there.keys() - files.keys())
            taken |= {name: row for name, row in files.items() if there.get(name) != row}
            self._changes |= taken
            self._unwritten |= {name: there.get(name) for name in taken}

    def force(self, names: Iterable[str]) -> None:
        """Remove the entries of files, so that all are sent, unless a push with force resumes."""
        if not self.ledger.forced:
            self.strike(names)
            self.ledger = replace(self.ledger, forced=True)

    def _write(self) -> None:
        if self._shared:
            self._unite()
        self._place.write(self._name, self.ledger.to_bytes())
        self._unwritten.clear()
        self._waiting, self._last = 0, time.monotonic()

    def _unite(self) -> bool:
        """Take over what others have changed; return whether the store lacks own changes.

        Own changes of objects that others have sent or removed since are forgotten.
        """
        stored = read_ledger(self._place, self._name)
        own = (self.ledger.record, self.ledger.identity)
        if stored is None or (stored.record, stored.identity) != own:
            return False
        there = stored.files
        disputed = [name for name in self._changes if self._is_disputed(name, there.get(name))]
        sizes = self._place.sizes() if disputed else {}
        for name in disputed:
            if not self._is_object(name, there.get(name), sizes.get(name)):
                del self._changes[name]
        rows = {**there, **self._changes}
        files = {name: row for name, row in rows.items() if row is not None}
        self.ledger = replace(self.ledger, files=files)
        return files != there

    def _is_disputed(self, name: str, there: Entry | None) -> bool:
        """Return whether the row in the store is neither the own one nor the one it replaces."""
        row = self._changes[name]
        if row is None and (name in self._unwritten or self.ledger.forced):
            return False  # the object may still be there: who strikes removes it, or sends it again
        return there != row and there != self._unwritten.get(name, row)

    def _is_object(self, name: str, there: Entry | None, size: int | None) -> bool:
        """Return whether an object of this size, or none, is as an own change states.

        It is read only if its size is that of the own entry and of that in the store.
        """
        row = self._changes[name]
        if row is None or size is None or size != row.size:
            return row is None and size is None
        if there is None or there.size != size:
            return True
        with TemporaryDirectory(prefix="behemoth-ledger-") as folder:
            file = Path(folder) / "object"
            self._place.fetch(name, file, size, lambda _: None)
            return row.matches(file)
