"""A directory brought from a store: what `behemoth pull` calls."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from behemoth._gen import digest, digest_file
from behemoth.support.checks import in_the_way, path_of
from behemoth.support.digests import Checked
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import sync, write_bytes
from behemoth.support.locks import holder, lock_folder
from behemoth.support.progress import Advance, ProgressLike, task
from behemoth.support.studies import Content

from .files import STUDY, identity_of, in_order
from .ledger import Entry, Ledger, read_ledger
from .place import Moved, Place, open_place
from .units import records_of, without_failures
from .work import WORKERS, carry_out, carry_out_in_turn

__all__ = ["Pulled", "bring", "is_begun", "look", "pull", "source_of"]

_UNFINISHED = ".unfinished"
_ROOM = ".pulling"


@dataclass(frozen=True)
class Pulled:
    """What a directory holds after `pull`.

    Parameters
    ----------
    url, directory : str
    record : str
        The file that makes it what it is.
    files, bytes : int
        Of the directory.
    fetched, bytes_fetched : int
        Files and bytes that this call brought; the others were there.
    seconds : float
    """

    url: str
    directory: str
    record: str
    files: int
    bytes: int
    fetched: int
    bytes_fetched: int
    seconds: float


def pull(url: str, directory: str | PathLike[str], *, progress: ProgressLike = None) -> Pulled:
    """Bring a directory from a store, or go on where a stopped call left it.

    Every file is held to the size and the digest with which it was sent; what is there already is
    not fetched again, and half a file is gone on with. The record that makes the directory valid
    comes last.

    Parameters
    ----------
    url : str
        What `push` or `gen` sent something to, all of it.
    directory : path
        A new directory, or one of the same that is there: what differs in it, or is missing, is
        brought anew, and other files stay. In a study, so do models and trials that failed in the
        store and are finished in the directory.
    progress : callable or Progress, optional
        Who looks on, in bytes; what it raises stops the work.

    Raises
    ------
    ArgumentError
        When there is nothing of ours at the URL, or the directory holds something else, such as a
        study of the same name with models or trials that the store's does not have.
    CorpusError
        When what is in the store is not finished, or a file of it is damaged, with its name.
    StoreError
        When the store cannot be reached, or refuses.
    MissingExtraError
        When the package that knows the protocol is not installed.

    Examples
    --------
    >>> import behemoth as bh
    >>> _ = bh.gen(bh.Corpus(bh.World(subjects=10, relations=2, objects=5)), "corpus")
    >>> _ = bh.push("corpus", "memory://corpora/pulled")
    >>> bh.pull("memory://corpora/pulled", "copy").record
    'manifest.json'
    >>> bh.verify("copy").ok
    True
    """
    began = time.perf_counter()
    target = path_of("directory", directory)
    place, ledger = source_of("url", url)
    with lock_folder(target, wait=False) as ours:
        if not ours:
            raise CorpusError(f"another process is writing to {target}: {holder(target)}")
        _check(target, ledger)
        if ledger.record == STUDY:
            _check_study(place, target)
            ledger = without_failures(place, ledger, target)
        fetched = bring(place, ledger, target, progress)
    return Pulled(
        url=place.url,
        directory=fspath(directory),
        record=ledger.record,
        files=len(ledger.files),
        bytes=ledger.bytes,
        fetched=len(fetched),
        bytes_fetched=sum(ledger.files[name].size for name in fetched),
        seconds=time.perf_counter() - began,
    )


def source_of(argument: str, url: str) -> tuple[Place, Ledger]:
    """Open a place that something of ours was sent to, all of it.

    Raises
    ------
    ArgumentError
        When there is nothing of ours.
    CorpusError
        When it is not finished, or its ledger is damaged.
    StoreError
    """
    place = open_place(argument, url)
    ledger = read_ledger(place)
    if ledger is None:
        raise ArgumentError(
            argument, url, "a place written by `behemoth push` or `behemoth gen --out`"
        )
    if not ledger.complete:
        raise CorpusError(f"{place.url} is not finished: push it again, or run its `gen` again")
    return place, ledger


def bring(place: Place, ledger: Ledger, target: Path, progress: ProgressLike = None) -> list[str]:
    """Bring what is missing or different, the records last; gives the names of what was brought.

    Raises
    ------
    CorpusError
        When a file in the store is damaged or missing.
    """
    names = list(ledger.files)
    wanted: list[str] = []

    def look(name: str, moved: Moved) -> None:
        moved(0)
        if not _is_there(target / name, ledger.files[name]):
            wanted.append(name)

    with task(progress, "looking", "files") as step:
        carry_out(names, look, workers=WORKERS)
        step(len(names), len(names))
    if not wanted:
        if (target / _UNFINISHED).exists():
            _end(target)
        return []
    # Until all else is there, a directory has no record; a study is whole at any time, but for
    # units that are under way.
    last = records_of(wanted) & set(ledger.files) if ledger.record == STUDY else {ledger.record}
    wanted += sorted(last - set(wanted))
    sizes = place.sizes()
    for name in wanted:
        _check_size(place, name, ledger.files[name], sizes)
    write_bytes(target / _UNFINISHED, _mark(ledger))
    for name in last:
        (target / name).unlink(missing_ok=True)
    there = ledger.bytes - sum(ledger.files[name].size for name in wanted)
    with task(progress, "fetching", "bytes") as step:
        _fetch(place, ledger, wanted, target, step, there)
    _end(target)
    return sorted(wanted)


def look(place: Place, ledger: Ledger, target: Path, progress: ProgressLike = None) -> Checked:
    """Fetch every file, and hold it to the size and the digest of the ledger.

    Parameters
    ----------
    place : Place
    ledger : Ledger
    target : Path
        Where a copy is to be. Where all is whole in the store, what is not there is kept for
        `bring`, which fetches it no second time; where it is not, nothing is kept.
    progress : callable or Progress, optional

    Returns
    -------
    Checked
    """
    found = Checked(place.url)
    sizes = place.sizes()
    whole: list[str] = []
    for name, entry in sorted(ledger.files.items()):
        if name not in sizes:
            found.missing.append(name)
        elif sizes[name] != entry.size:
            reason = f"has {sizes[name]:,} bytes, not {entry.size:,}"
            found.bad.append({"file": name, "reason": reason})
        else:
            whole.append(name)
    room = target / _ROOM
    room.mkdir(parents=True, exist_ok=True)

    def work(name: str, moved: Moved) -> None:
        entry, half = ledger.files[name], _half(target, name, ledger.files[name])
        half.unlink(missing_ok=True)
        place.fetch(name, half, entry.size, moved)
        if not _is_there(half, entry):
            half.unlink(missing_ok=True)
            found.bad.append({"file": name, "reason": "is not what was sent"})
        elif _is_there(target / name, entry):
            half.unlink()

    found.files = len(whole)
    found.bytes = sum(ledger.files[name].size for name in whole)
    with task(progress, "fetching", "bytes") as step:
        carry_out(whole, work, workers=WORKERS, told=lambda moved: step(moved, found.bytes))
    found.bad.sort(key=lambda row: row["file"])
    if not found.ok or not any(room.iterdir()):
        shutil.rmtree(room)
    return found


def _half(target: Path, name: str, entry: Entry) -> Path:
    """Where a file is while it is fetched."""
    # By its digest: half of another version is never gone on with.
    return target / _ROOM / f"{entry.blake3}-{digest(name.encode())[:16]}"


def _fetch(
    place: Place, ledger: Ledger, names: list[str], target: Path, step: Advance, before: int
) -> None:
    room = target / _ROOM
    room.mkdir(exist_ok=True)

    def work(name: str, moved: Moved) -> None:
        _fetch_one(place, name, ledger.files[name], target, moved)

    def size_of(name: str) -> int:
        return ledger.files[name].size

    groups = in_order(sorted(names), ledger.record)
    carry_out_in_turn(groups, work, size_of, step, ledger.bytes, before)


def _fetch_one(place: Place, name: str, entry: Entry, target: Path, moved: Moved) -> None:
    half = _half(target, name, entry)
    resumed = half.stat().st_size if half.exists() else 0
    moved(min(resumed, entry.size))
    place.fetch(name, half, entry.size, moved)
    if not _is_there(half, entry) and resumed:
        half.unlink()
        place.fetch(name, half, entry.size, moved)
    if not _is_there(half, entry):
        half.unlink(missing_ok=True)
        raise CorpusError(f"{place.url}/{name} is damaged: it is not what was sent")
    sync(half)
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    half.replace(path)


def _check_size(place: Place, name: str, entry: Entry, sizes: dict[str, int]) -> None:
    if name not in sizes:
        raise CorpusError(f"{place.url}/{name} is missing")
    if sizes[name] != entry.size:
        raise CorpusError(
            f"{place.url}/{name} is damaged: it has {sizes[name]:,} bytes and not {entry.size:,}"
        )


def _is_there(path: Path, entry: Entry) -> bool:
    if not path.is_file() or path.stat().st_size != entry.size:
        return False
    return digest_file(path) == entry.blake3


def _check(target: Path, ledger: Ledger) -> None:
    """Refuse a directory that holds anything but this, whole or begun."""
    allowed = "a new or empty directory, or one that was pulled from there"
    if in_the_way(target):
        raise ArgumentError("directory", f"{fspath(target)}, a file", allowed)
    if is_begun(target, ledger):
        return
    if (target / ledger.record).is_file() and not (target / _UNFINISHED).exists():
        if identity_of(target, ledger.record) == ledger.identity:
            return
        other = ledger.record
    else:
        # Killed while it said that it had begun, it may have left no more than that.
        begun = f".{_UNFINISHED}."
        there = target.iterdir() if target.is_dir() else ()
        names = [path.name for path in there if not path.name.startswith(begun)]
        if not names:
            return
        other = min(names)
    raise ArgumentError(
        "directory", f"{fspath(target)}, which holds something else ({other})", allowed
    )


def _check_study(place: Place, target: Path) -> None:
    """Refuse to replace the record of a study by that of one that lacks models or trials of it."""
    if not (target / STUDY).is_file():
        return
    own = Content.read((target / STUDY).read_bytes())
    there = Content.read(place.read(STUDY) or b"")
    # A record that nobody can read holds nothing to lose; the store's is held to its digest.
    lacking = None if own is None or there is None else there.lacking(own)
    if lacking is not None:
        raise ArgumentError(
            "directory",
            f"{fspath(target)}, a study with other {lacking} than the one at {place.url}",
            "a new or empty directory, or one of the same study",
        )


def is_begun(target: Path, ledger: Ledger) -> bool:
    """Whether a directory is being brought from this ledger, or was when it was killed."""
    marker = target / _UNFINISHED
    return marker.is_file() and marker.read_bytes() == _mark(ledger)


def _mark(ledger: Ledger) -> bytes:
    return f"pull of {ledger.record} {ledger.identity}\n".encode()


def _end(target: Path) -> None:
    shutil.rmtree(target / _ROOM, ignore_errors=True)
    (target / _UNFINISHED).unlink(missing_ok=True)
