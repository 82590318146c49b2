"""Sending a directory to a store, as `behemoth push` does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path

from behemoth.support.checks import flag, path_of
from behemoth.support.digests import damaged
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.kinds import KINDS
from behemoth.support.progress import ProgressLike, task

from .files import DIRECTORIES, STUDY, files_of, identity_of, in_order, record_of, unfinished
from .ledger import (
    FOLDER,
    LEDGER,
    Book,
    Entries,
    Ledger,
    part_names,
    part_of,
    parts_of,
    read_ledger,
)
from .place import Moved, Place, open_place
from .recorded import recorded
from .studies import Content, unit_of
from .units import check_content, compare, united
from .url import read_url
from .work import carry_out_in_turn

__all__ = ["Pushed", "Target", "check_forced", "part_text", "push", "send", "target_of", "transfer"]


@dataclass(frozen=True)
class Pushed:
    """Result of `push`.

    Parameters
    ----------
    directory, url : str
    record : str
        Name of the file that identifies the kind of directory.
    files, bytes : int
        Number of files of the directory, and their bytes, without those of units that were kept.
    sent, bytes_sent : int
        Number of files that this call sent, and their bytes; the others were in the store.
    removed : int
        Number of files removed from the store because the directory no longer has them.
    kept : int
        Number of models, plans and trials of a study of which the store has another finished
        version, which was kept.
    seconds : float
    """

    directory: str
    url: str
    record: str
    files: int
    bytes: int
    sent: int
    bytes_sent: int
    removed: int
    kept: int
    seconds: float


def push(
    directory: str | PathLike[str],
    url: str,
    *,
    force: bool = False,
    progress: ProgressLike = None,
) -> Pushed:
    """Send a directory to a store, or resume a stopped call.

    Files that the store already has, by their size and the digest in its ledger, are not sent
    again. The record that makes the directory valid is sent last. Files are checked against the
    digests in the directory's own records, except within `behemoth.support.digests.unchecked`. For
    a study, finished models, plans and trials are sent, and it may be sent again when more are
    finished: those that other machines have sent stay, and a finished one is not replaced.

    Parameters
    ----------
    directory : path
        A finished corpus, run, plan, edit, study, export or zoo.
    url : str
        URL such as ``s3://bucket/corpus``.
    force : bool
        Replace another directory in the store; for the same directory, send every file again,
        which repairs damage in the store. For a study, remove what this directory does not have.
    progress : callable or Progress, optional
        Called with the bytes sent; raising in it stops the work.

    Raises
    ------
    ArgumentError
        If `directory` is not one of these, or `url` is not the URL of a store.
    CorpusError
        If the directory is unfinished or a file of it is damaged, or the URL holds something else,
        such as a study of the same name with other models or trials.
    StoreError
        If the store cannot be reached, or refuses a request.
    MissingExtraError
        If the package for the protocol is not installed.

    Examples
    --------
    >>> import behemoth as bh
    >>> _ = bh.gen(bh.Corpus(bh.World(subjects=10, relations=2, objects=5)), "corpus")
    >>> sent = bh.push("corpus", "memory://corpora/small")
    >>> sent.files == sent.sent, bh.push("corpus", "memory://corpora/small").sent
    (True, 0)
    """
    return send(directory, url, force=force, progress=progress)


def send(
    directory: str | PathLike[str],
    url: str,
    *,
    force: bool = False,
    succeeds: Content | None = None,
    entries: Entries | None = None,
    progress: ProgressLike = None,
) -> Pushed:
    """Send a directory as `push` does.

    Parameters
    ----------
    directory, url, force, progress
        See `push`.
    succeeds : Content, optional
        Content of the study in the store that the directory was started from, and may replace.
    entries : Entries, optional
        Entries of earlier calls, which are not computed again for files that stayed the same.
    """
    began = time.perf_counter()
    force = flag("force", force)
    read_url("url", url)  # refuses what is no text
    source = path_of("directory", directory, DIRECTORIES)
    record = record_of(source)
    if unfinished(source, record):
        raise CorpusError(
            f"{fspath(directory)} is not finished: run the command that made it again"
        )
    target = target_of("url", url, record, identity_of(source, record), force=force)
    if not force:
        check_forced(target)
    place, sizes = target.place, target.sizes
    names = files_of(source, record)
    kept, stale = set[str](), list[str]()
    if merges := record == STUDY and not force:
        check_content(place, target.ledger, sizes, source, succeeds)
        kept, stale = compare(place, target.ledger, sizes, source, names)
        names = [name for name in names if unit_of(name) not in kept]
    wanted = recorded(source, names)
    listed = set(target.ledger.files)  # before this call
    book = Book(place, target.ledger, shared=record == STUDY)
    _make_way(target, book, names, stale, force=force)
    entries = Entries() if entries is None else entries
    total, sent = transfer(place, book, source, record, names, sizes, wanted, entries, progress)
    gone = _remove_left_over(place, book, names, listed, merges=merges)
    if sent or gone or not book.ledger.complete:
        book.close(complete=True)
    if record != STUDY:  # a part of a study may have written its ledger again since
        place.remove(part_names(sizes))
    return Pushed(
        directory=fspath(directory),
        url=place.url,
        record=record,
        files=len(names),
        bytes=total,
        sent=len(sent),
        bytes_sent=sum(sent.values()),
        removed=sum(name in sizes for name in gone),
        kept=len(kept),
        seconds=time.perf_counter() - began,
    )


def _make_way(
    target: Target, book: Book, names: list[str], stale: list[str], *, force: bool
) -> None:
    """Remove what must not be in the store while files are sent, and prepare the ledger.

    Parameters
    ----------
    target : Target
    book : Book
        The ledger of `target`.
    names : list of str
        Files of the directory.
    stale : list of str
        Files of units that are replaced.
    force : bool
    """
    place, sizes = target.place, target.sizes
    if target.replaces is not None:  # without its record, the old directory is no longer valid
        book.begin()
        place.remove([target.replaces, *part_names(sizes)])
        sizes.pop(target.replaces, None)
    is_study = target.ledger.record == STUDY
    parts = part_names(sizes) if is_study and target.replaces is None else []
    if parts:
        book.take(target.ledger.files, target.named.get(""))
    if force:  # files in the store are not assumed to be intact
        book.force(names)
    if parts:  # the ledger lists what theirs list before any of it changes
        book.begin()
        place.remove(parts)
    if stale:  # a unit has no record while its files are replaced
        book.strike(stale, now=True)  # first: if this is stopped, it lists nothing that is gone
        book.begin()
        place.remove(stale)


def transfer(
    place: Place,
    book: Book,
    source: Path,
    record: str,
    names: list[str],
    sizes: Mapping[str, int],
    wanted: Mapping[str, str],
    entries: Entries,
    progress: ProgressLike = None,
) -> tuple[int, dict[str, int]]:
    """Send the files that the store does not have, records last, and enter them in a ledger.

    Parameters
    ----------
    place : Place
    book : Book
    source : Path
        The directory.
    record : str
    names : list of str
        Names of the files.
    sizes : mapping of str to int
        Sizes of the files in the store.
    wanted : mapping of str to str
        Digests in the directory's own records; see `recorded`.
    entries : Entries
    progress : callable or Progress, optional

    Returns
    -------
    int
        Bytes of the files.
    dict of str to int
        Bytes of those that were sent, by name.

    Raises
    ------
    CorpusError
        If a file is damaged.
    StoreError
    """

    def size_of(name: str) -> int:
        return (source / name).stat().st_size

    total = sum(map(size_of, names))
    sent: dict[str, int] = {}

    def work(name: str, moved: Moved) -> None:
        moved(0)
        file = source / name
        entry = entries.of(file)
        if wanted.get(name, entry.blake3) != entry.blake3:
            raise damaged(file)
        if book.ledger.files.get(name) == entry and sizes.get(name) == entry.size:
            moved(entry.size)
            return
        book.begin()
        place.send(name, file, moved)
        book.enter(name, entry)
        sent[name] = entry.size

    with task(progress, "sending", "bytes") as step:
        carry_out_in_turn(in_order(names, record), work, size_of, step, total)
        step(total, total)
    return total, sent


@dataclass(frozen=True)
class Target:
    """A place to which a directory is sent.

    Parameters
    ----------
    place : Place
    ledger : Ledger
        Ledger of the directory to be sent, with the entries of all files in the store.
    sizes : dict of str to int
        Sizes of the files in the store.
    replaces : str, optional
        Record of another directory, which is to be removed.
    named : dict of str to Ledger
        Ledgers in the store: that of the directory, by an empty name, and those of parts.
    """

    place: Place
    ledger: Ledger
    sizes: dict[str, int]
    replaces: str | None = None
    named: dict[str, Ledger] = field(default_factory=dict)


def check_forced(target: Target) -> None:
    """Refuse a study of which a push with force is unfinished: its ledger lists only a part.

    A push without force would complete the ledger, and entries that were to be renewed would be
    missing in it.

    Raises
    ------
    CorpusError
    """
    if target.ledger.record == STUDY and target.ledger.forced:
        raise CorpusError(
            f"{target.place.url} is not finished: a push with force=True was stopped; "
            "repeat it with force=True"
        )


def target_of(
    argument: str,
    url: str | Place,
    record: str,
    identity: str | None,
    *,
    force: bool = False,
    same_kind: bool = False,
) -> Target:
    """Open a place to send a directory to, and refuse one that holds something else.

    Parameters
    ----------
    argument : str
        Name of the argument, for error messages.
    url : str or Place
        A place that is already open is listed again.
    record : str
    identity : str, optional
        None if it is not yet known.
    force : bool
        Allow the replacement of another directory.
    same_kind : bool
        Refuse a directory of another kind, also with `force`.

    Raises
    ------
    ArgumentError, CorpusError, StoreError
    """
    place = open_place(argument, url) if isinstance(url, str) else url
    sizes = place.sizes()
    there = read_ledger(place) if LEDGER in sizes else None
    parts = parts_of(place, sizes)
    if there is None and not parts and any(name.startswith(FOLDER) for name in sizes):
        # Since this listing, the last part has written the ledger and removed those of the parts.
        there = read_ledger(place)
        sizes = place.sizes()
    named = {"": there, **parts} if there is not None else parts
    if not named:
        if sizes:
            raise CorpusError(
                f"{place.url} holds something else ({min(sizes)}); choose another place"
            )
        return Target(place, Ledger(record, identity or ""), sizes)
    first = next(iter(named.values()))
    wanted = first.identity if identity is None else identity
    kinds = [row.record for row in named.values() if row.record != record]
    if kinds and same_kind:
        got = f"{place.url}, which is {KINDS[kinds[0]]}"
        raise ArgumentError(argument, got, f"a new place, or that of {KINDS[record]}")
    other = [name for name, row in named.items() if (row.record, row.identity) != (record, wanted)]
    if other and not force:
        row = named[other[0]]
        what = "another directory" if row.record == record else "something else"
        held = f"{row.record}, {part_text(other[0])}" if other[0] else row.record
        raise CorpusError(
            f"{place.url} holds {what} ({held}); choose another place or use force=True"
        )
    same, complete = not other, first.complete
    if record == STUDY and same:
        files = united(place, named.values())
        complete = complete and there is not None and files == there.files
    else:
        files = dict(first.files)
        for part in parts.values():
            files |= part.files
    ledger = Ledger(record, wanted, complete and same, files, first.forced and same)
    return Target(place, ledger, sizes, None if same else named[other[0]].record, named)


def part_text(name: str) -> str:
    """Return the name of a part's ledger for messages: "part 1/3"."""
    part = part_of(name)
    return name if part is None else f"part {part[0]}/{part[1]}"


def _remove_left_over(
    place: Place, book: Book, names: list[str], listed: set[str], *, merges: bool
) -> list[str]:
    """Remove the files of an earlier directory from the store, and return them.

    The record is the first, which invalidates the rest. Files that were `listed` and are not in the
    store are among them: a call that was stopped has removed them. What others have entered since
    is not.

    Parameters
    ----------
    place : Place
    book : Book
    names : list of str
        Files of the directory.
    listed : set of str
        Files that the ledger listed before this call.
    merges : bool
        Whether units of other machines stay, and so do files of no unit.
    """
    gone = sorted(
        (set(book.ledger.files) & listed) - set(names),
        key=lambda name: (name != book.ledger.record, name),
    )
    if merges:
        own = {unit_of(name) for name in names} - {None}
        gone = [name for name in gone if unit_of(name) in own]
    if gone:
        if merges:  # another machine may complete the ledger, which then lists nothing that is gone
            book.strike(gone, now=True)
        book.begin()
        place.remove(gone)
        if not merges:  # after the removal, so that the next call goes on with it
            book.strike(gone)
    return gone
