"""Fetching a directory from a store, as `behemoth pull` does."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from behemoth._gen import digest
from behemoth.support.checks import check_directory, path_of
from behemoth.support.digests import Checked
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import named, replacing, sync, write_bytes
from behemoth.support.kinds import held
from behemoth.support.locks import sole
from behemoth.support.progress import Advance, ProgressLike, task
from behemoth.support.replacement import UNFINISHED

from .files import STUDY, files_of, identity_of, in_order
from .ledger import FOLDER, LEDGER, Entry, Ledger, part_names, read_ledger
from .place import Moved, Place, open_place
from .studies import Content
from .units import records_of, without_failures
from .url import read_url
from .work import WORKERS, carry_out, carry_out_in_turn

__all__ = ["Pulled", "bring", "look", "pull", "source_of"]

_ROOM = ".pulling"


@dataclass(frozen=True)
class Pulled:
    """Result of `pull`.

    Parameters
    ----------
    url, directory : str
    record : str
        Name of the file that identifies the kind of directory.
    files, bytes : int
        Number of files in the store, and their bytes.
    fetched, bytes_fetched : int
        Number of files that this call fetched, and their bytes; the others were present, or are of
        units of a study that were not to be fetched.
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

    def __fspath__(self) -> str:
        return self.directory


def pull(url: str, directory: str | PathLike[str], *, progress: ProgressLike = None) -> Pulled:
    """Fetch a directory from a store, or resume a stopped call.

    Every file is checked against the size and the digest recorded when it was sent. Files that are
    already present are not fetched again, and partial files are resumed. The record that makes the
    directory valid is written last.

    Parameters
    ----------
    url : str
        URL to which `push` or `gen` sent a directory completely.
    directory : path
        A new directory, or a copy of the same one: files that differ or are missing are fetched,
        and other files stay. A copy without its record is one if all its files are as in the
        store; a copy whose record is damaged is refused until the record is removed. In a study,
        models and trials that failed in the store and are finished in the directory stay, too.
    progress : callable or Progress, optional
        Called with the bytes fetched; raising in it stops the work.

    Raises
    ------
    ArgumentError
        If nothing written by Behemoth is at the URL, or the directory holds something else, such
        as a study of the same name with models or trials that the store's does not have.
    CorpusError
        If the directory in the store is unfinished, or a file of it, which is named, is damaged.
    StoreError
        If the store cannot be reached, or refuses a request.
    MissingExtraError
        If the package for the protocol is not installed.

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
    with sole(target, f"writing to {target}"):
        _check(target, ledger)
        wanted = ledger
        if ledger.record == STUDY:
            _check_study(place, target)
            wanted = without_failures(place, ledger, target)
        fetched = bring(place, wanted, target, progress)
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
    """Open a place to which a directory was sent completely.

    Raises
    ------
    ArgumentError
        If it has no ledger.
    CorpusError
        If the directory is unfinished, or its ledger is damaged.
    StoreError
    """
    place = open_place(argument, url)
    ledger = read_ledger(place)
    # Only the folder of ledgers is listed: a bucket may hold any number of other files.
    ledgers = {} if ledger is not None else open_place(argument, f"{place.url}/{FOLDER}").sizes()
    if part_names(f"{FOLDER}/{name}" for name in ledgers):
        raise CorpusError(f"{place.url} is not finished: its parts are at work, or were stopped")
    if ledger is None:
        parsed = read_url(argument, url)
        lost = parsed.protocol == "file" and not Path(parsed.path).exists()
        raise ArgumentError(
            argument,
            f"{url}, which does not exist" if lost else url,
            "a place written by `behemoth push` or `behemoth gen --out`",
        )
    if not ledger.complete:
        command = "study run" if ledger.record == STUDY else "gen"
        raise CorpusError(
            f"{place.url} is not finished: push it again, or run its `{command}` again"
        )
    if ledger.record not in ledger.files:
        raise CorpusError(f"{place.url}/{LEDGER} is damaged: it does not list {ledger.record}")
    return place, ledger


def bring(place: Place, ledger: Ledger, target: Path, progress: ProgressLike = None) -> list[str]:
    """Fetch missing and differing files, the records last, and return their names.

    Raises
    ------
    CorpusError
        If a file in the store is damaged or missing.
    """
    names = list(ledger.files)
    wanted: list[str] = []

    def look(name: str, moved: Moved) -> None:
        moved(0)
        if not ledger.files[name].matches(target / name):
            wanted.append(name)

    with task(progress, "looking", "files") as step:
        carry_out(names, look, workers=WORKERS)
        step(len(names), len(names))
    if not wanted:
        if (target / UNFINISHED).exists():
            _end(target)
        return []
    # A directory has no record until all other files are present; a study is complete at any time,
    # except for units under way.
    last = records_of(wanted) & set(ledger.files) if ledger.record == STUDY else {ledger.record}
    wanted += sorted(last - set(wanted))
    sizes = place.sizes()
    for name in wanted:
        _check_size(place, name, ledger.files[name], sizes)
    write_bytes(target / UNFINISHED, _mark(ledger))
    for name in last:
        (target / name).unlink(missing_ok=True)
    there = ledger.bytes - sum(ledger.files[name].size for name in wanted)
    with task(progress, "fetching", "bytes") as step:
        _fetch(place, ledger, wanted, target, step, there)
    _end(target)
    return sorted(wanted)


def look(place: Place, ledger: Ledger, target: Path, progress: ProgressLike = None) -> Checked:
    """Fetch every file, and check it against the size and the digest in the ledger.

    Parameters
    ----------
    place : Place
    ledger : Ledger
    target : Path
        Folder of the copy. If every file in the store is intact, those that the copy lacks are
        kept for `bring`, which does not fetch them again; otherwise none is kept.
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
        if not entry.matches(half):
            half.unlink(missing_ok=True)
            found.bad.append({"file": name, "reason": "is not what was sent"})
        elif entry.matches(target / name):
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
    """Return the path of a file while it is fetched."""
    # Named by its digest: a partial file of another version is never resumed.
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
    path = target / name
    with _naming(path, half):
        place.fetch(name, half, entry.size, moved)
        if not entry.matches(half) and resumed:
            half.unlink()
            place.fetch(name, half, entry.size, moved)
    if not entry.matches(half):
        half.unlink(missing_ok=True)
        raise CorpusError(f"{place.url}/{name} is damaged: it is not what was sent")
    with named(path):
        sync(half)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        half.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A folder of the copy is a link to another disk.
        with replacing(path) as temporary:
            shutil.copyfile(half, temporary)
        half.unlink()


@contextmanager
def _naming(path: Path, half: Path) -> Generator[None]:
    """Name the file, not the part of it that is there, in errors of the disk."""
    try:
        yield
    except OSError as error:
        if error.filename != fspath(half):
            raise
        raise OSError(error.errno, error.strerror, fspath(path)) from error


def _check_size(place: Place, name: str, entry: Entry, sizes: dict[str, int]) -> None:
    if name not in sizes:
        raise CorpusError(f"{place.url}/{name} is missing")
    if sizes[name] != entry.size:
        raise CorpusError(
            f"{place.url}/{name} is damaged: it has {sizes[name]:,} bytes and not {entry.size:,}"
        )


def _check(target: Path, ledger: Ledger) -> None:
    """Refuse a directory that holds anything but a complete or partial copy of the same one."""
    allowed = "a new or empty directory, or one that was pulled from the same place"
    check_directory("directory", target, allowed)
    if _is_begun(target, ledger):
        return
    if (target / ledger.record).is_file() and not (target / UNFINISHED).exists():
        with suppress(CorpusError):  # damaged
            if identity_of(target, ledger.record) == ledger.identity:
                return
        said = held(target, ledger.record)
        allowed += (
            f" (a damaged {ledger.record} is fetched again once it is removed, if all other files "
            "are as in the store)"
        )
    else:
        # A call killed while it wrote the marker may have left only its temporary file.
        begun = f".{UNFINISHED}."
        there = target.iterdir() if target.is_dir() else ()
        names = [path.name for path in there if not path.name.startswith(begun)]
        if not names:
            return
        differing = _differing(target, ledger)
        if differing is None:
            return
        said = held(target, differing or min(names))
        if differing and any((target / name).is_file() for name in ledger.files):
            said = f"{target}, in which {differing} is not as in the store"
    raise ArgumentError("directory", said, allowed)


def _differing(target: Path, ledger: Ledger) -> str | None:
    """Return a name in a directory without record that is not as in the store, if all are: None.

    The name is empty if the directory has no visible files, or was begun by another command.
    """
    tops = {name.partition("/")[0] for name in ledger.files}
    visible = sorted(path.name for path in target.iterdir() if not path.name.startswith("."))
    if not visible or (target / UNFINISHED).exists():
        return ""
    foreign = next((name for name in visible if name not in tops), None)
    if foreign is not None:  # before its files are listed and read, of which there may be many
        return foreign
    for name in (names := files_of(target, ledger.record)):
        if name not in ledger.files or not ledger.files[name].matches(target / name):
            return name
    return None if names else visible[0]


def _check_study(place: Place, target: Path) -> None:
    """Refuse to replace the record of a study by one that lacks models or trials of it."""
    if not (target / STUDY).is_file():
        return
    own = Content.read((target / STUDY).read_bytes())
    there = Content.read(place.read(STUDY) or b"")
    # An unreadable record has nothing to lose; the store's is checked against its digest.
    lacking = None if own is None or there is None else there.lacking(own)
    if lacking is not None:
        raise ArgumentError(
            "directory",
            f"{fspath(target)}, a study with other {lacking} than the one at {place.url}",
            "a new or empty directory, or one of the same study",
        )


def _is_begun(target: Path, ledger: Ledger) -> bool:
    """Return whether a pull from this ledger into a directory is under way or was stopped."""
    marker = target / UNFINISHED
    return marker.is_file() and marker.read_bytes() == _mark(ledger)


def _mark(ledger: Ledger) -> bytes:
    return f"pull of {ledger.record} {ledger.identity}\n".encode()


def _end(target: Path) -> None:
    shutil.rmtree(target / _ROOM, ignore_errors=True)
    (target / UNFINISHED).unlink(missing_ok=True)
