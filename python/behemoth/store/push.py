"""A directory sent to a store: what `behemoth push` calls."""

from __future__ import annotations

import time
from dataclasses import dataclass
from os import PathLike, fspath

from behemoth.support.checks import path_of
from behemoth.support.errors import CorpusError
from behemoth.support.progress import ProgressLike, task

from .files import DIRECTORIES, files_of, identity_of, in_order, record_of, unfinished
from .ledger import LEDGER, Book, Entry, Ledger, part_names, parts_of, read_ledger
from .place import Moved, Place, open_place
from .work import carry_out_in_turn

__all__ = ["Pushed", "Target", "push", "target_of"]


@dataclass(frozen=True)
class Pushed:
    """What a store holds after `push`.

    Parameters
    ----------
    directory, url : str
    record : str
        The file that makes it what it is.
    files, bytes : int
        Of the directory.
    sent, bytes_sent : int
        Files and bytes that this call sent; the others were there.
    removed : int
        Files that were there and no longer belong to it.
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
    seconds: float


def push(
    directory: str | PathLike[str],
    url: str,
    *,
    force: bool = False,
    progress: ProgressLike = None,
) -> Pushed:
    """Send a directory to a store, or go on where a stopped call left it.

    What is there already, by its size and the digest in the store's ledger, is not sent again. The
    record that makes the directory valid is sent last. Of a study all that is finished is sent, and
    it may be sent again when there is more.

    Parameters
    ----------
    directory : path
        Of a corpus, a run, a plan, an edit, a study, an export or a zoo, which is finished.
    url : str
        Such as ``s3://bucket/corpus``.
    force : bool
        Replace what is there of another directory; of the same send every file again, which mends
        what is damaged in the store.
    progress : callable or Progress, optional
        Who looks on, in bytes; what it raises stops the work.

    Raises
    ------
    ArgumentError
        When `directory` is none of these, or `url` none of a store.
    CorpusError
        When the directory is not finished, or the URL holds something else.
    StoreError
        When the store cannot be reached, or refuses.
    MissingExtraError
        When the package that knows the protocol is not installed.

    Examples
    --------
    >>> import behemoth as bh
    >>> _ = bh.gen(bh.Corpus(bh.World(subjects=10, relations=2, objects=5)), "corpus")
    >>> sent = bh.push("corpus", "memory://corpora/small")
    >>> sent.files == sent.sent, bh.push("corpus", "memory://corpora/small").sent
    (True, 0)
    """
    began = time.perf_counter()
    source = path_of("directory", directory, DIRECTORIES)
    record = record_of(source)
    if unfinished(source, record):
        raise CorpusError(
            f"{fspath(directory)} is not finished: run the command that made it again"
        )
    target = target_of("url", url, record, identity_of(source, record), force=force)
    place, sizes = target.place, target.sizes
    book = Book(place, target.ledger)
    if target.replaces is not None:  # without its record what is there is none
        book.begin()
        place.remove([target.replaces])
        sizes.pop(target.replaces, None)
    names = files_of(source, record)
    if force and target.ledger.complete:  # what is there is not taken for what was sent
        book.strike(names)

    def size_of(name: str) -> int:
        return (source / name).stat().st_size

    total = sum(map(size_of, names))
    sent: dict[str, int] = {}

    def work(name: str, moved: Moved) -> None:
        moved(0)
        file = source / name
        entry = Entry.of(file)
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
    gone = _left_over(book.ledger, names, sizes)
    if gone:
        book.begin()
        place.remove(gone)
        book.strike(gone)
    if sent or gone or not book.ledger.complete:
        book.close(complete=True)
    if parts := part_names(sizes):
        place.remove(parts)
    return Pushed(
        directory=fspath(directory),
        url=place.url,
        record=record,
        files=len(names),
        bytes=total,
        sent=len(sent),
        bytes_sent=sum(sent.values()),
        removed=len(gone),
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True)
class Target:
    """A place that a directory is sent to.

    Parameters
    ----------
    place : Place
    ledger : Ledger
        Of the directory that is sent, with all files that are there.
    sizes : dict of str to int
        What is there.
    replaces : str, optional
        The record of another directory, which is to go.
    """

    place: Place
    ledger: Ledger
    sizes: dict[str, int]
    replaces: str | None = None


def target_of(
    argument: str, url: str | Place, record: str, identity: str | None, *, force: bool = False
) -> Target:
    """Open a place to send a directory to, and refuse one that holds something else.

    Parameters
    ----------
    argument : str
        What the URL is called where it was given.
    url : str or Place
        A place that is open already is looked at anew.
    record : str
    identity : str, optional
        None where it is not known yet.
    force : bool
        Take what is there of another directory for something to replace.

    Raises
    ------
    ArgumentError, CorpusError, StoreError
    """
    place = open_place(argument, url) if isinstance(url, str) else url
    sizes = place.sizes()
    there = read_ledger(place) if LEDGER in sizes else None
    parts = parts_of(place, sizes)
    first = there if there is not None else next(iter(parts.values()), None)
    if first is None:
        if sizes:
            raise CorpusError(
                f"{place.url} holds something else ({min(sizes)}); choose another place"
            )
        return Target(place, Ledger(record, identity or ""), sizes)
    same = first.record == record and identity in (None, first.identity)
    if not same and not force:
        what = "another directory" if first.record == record else "something else"
        raise CorpusError(
            f"{place.url} holds {what} ({first.record}); choose another place or use force"
        )
    files = dict(first.files)
    for part in parts.values():
        files |= part.files
    ledger = Ledger(record, identity or first.identity, first.complete and same, files)
    return Target(place, ledger, sizes, None if same else first.record)


def _left_over(ledger: Ledger, names: list[str], sizes: dict[str, int]) -> list[str]:
    """Files of an earlier directory, the record first: without it what is left is none."""
    there = set(ledger.files) & set(sizes)
    return sorted(there - set(names), key=lambda name: (name != ledger.record, name))
