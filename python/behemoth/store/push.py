"""A directory sent to a store: what `behemoth push` calls."""

from __future__ import annotations

import time
from dataclasses import dataclass
from os import PathLike, fspath

from behemoth.support.checks import path_of
from behemoth.support.digests import damaged
from behemoth.support.errors import CorpusError
from behemoth.support.progress import ProgressLike, task
from behemoth.support.studies import Content, unit_of

from .files import DIRECTORIES, STUDY, files_of, identity_of, in_order, record_of, unfinished
from .ledger import FOLDER, LEDGER, Book, Entry, Ledger, part_names, parts_of, read_ledger
from .place import Moved, Place, open_place
from .recorded import recorded
from .units import check_content, compare
from .work import carry_out_in_turn

__all__ = ["Pushed", "Target", "push", "send", "target_of"]


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
    kept : int
        Models, plans and trials of a study of which the store has another finished version, which
        was kept.
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
    """Send a directory to a store, or go on where a stopped call left it.

    What is there already, by its size and the digest in the store's ledger, is not sent again. The
    record that makes the directory valid is sent last. Files are held to the digests that the
    directory's own records give, unless within `behemoth.support.digests.unchecked`. Of a study all
    that is finished is sent, and it may be sent again when there is more: models, plans and trials
    that other machines have sent stay, and a finished one is not replaced.

    Parameters
    ----------
    directory : path
        Of a corpus, a run, a plan, an edit, a study, an export or a zoo, which is finished.
    url : str
        Such as ``s3://bucket/corpus``.
    force : bool
        Replace what is there of another directory; of the same send every file again, which mends
        what is damaged in the store. Of a study, remove what this directory does not have.
    progress : callable or Progress, optional
        Who looks on, in bytes; what it raises stops the work.

    Raises
    ------
    ArgumentError
        When `directory` is none of these, or `url` none of a store.
    CorpusError
        When the directory is not finished or a file of it is damaged, or the URL holds something
        else, such as a study of the same name with other models or trials.
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
    return send(directory, url, force=force, progress=progress)


def send(
    directory: str | PathLike[str],
    url: str,
    *,
    force: bool = False,
    succeeds: Content | None = None,
    progress: ProgressLike = None,
) -> Pushed:
    """Send a directory as `push` does.

    Parameters
    ----------
    directory, url, force, progress
        See `push`.
    succeeds : Content, optional
        The study in the store that the directory was begun from, which it may replace.
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
    names = files_of(source, record)
    kept, stale = set[str](), list[str]()
    if merges := record == STUDY and not force:
        check_content(target.place, target.ledger, sizes, source, succeeds)
        kept, stale = compare(place, target.ledger, sizes, source, names)
        names = [name for name in names if unit_of(name) not in kept]
    wanted = recorded(source, names)
    book = Book(place, target.ledger, shared=record == STUDY)
    if target.replaces is not None:  # without its record what is there is none
        book.begin()
        place.remove([target.replaces, *part_names(sizes)])
        sizes.pop(target.replaces, None)
    if force:  # what is there is not taken for what was sent
        book.force(names)
    if stale:  # a unit is not there while its files are replaced
        book.begin()
        place.remove(stale)
        book.strike(stale)

    def size_of(name: str) -> int:
        return (source / name).stat().st_size

    total = sum(map(size_of, names))
    sent: dict[str, int] = {}

    def work(name: str, moved: Moved) -> None:
        moved(0)
        file = source / name
        entry = Entry.of(file)
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
    gone = _left_over(book.ledger, names, sizes)
    if merges:  # units of other machines stay, and so does what no unit owns
        own = {unit_of(name) for name in names} - {None}
        gone = [name for name in gone if unit_of(name) in own]
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
        kept=len(kept),
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
    if there is None and not parts and any(name.startswith(FOLDER) for name in sizes):
        # The last part has written the ledger and removed those of parts since this was listed.
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
    other = [name for name, row in named.items() if (row.record, row.identity) != (record, wanted)]
    if other and not force:
        row = named[other[0]]
        what = "another directory" if row.record == record else "something else"
        held = f"{row.record}, {_part(other[0])}" if other[0] else row.record
        raise CorpusError(f"{place.url} holds {what} ({held}); choose another place or use force")
    files = dict(first.files)
    for part in parts.values():
        files |= part.files
    same = not other
    ledger = Ledger(record, wanted, first.complete and same, files, first.forced and same)
    return Target(place, ledger, sizes, None if same else named[other[0]].record)


def _part(name: str) -> str:
    """How people are told of the ledger of a part: "part 1/3"."""
    index, _, count = name.removeprefix(f"{FOLDER}/part-").removesuffix(".json").partition("-of-")
    return f"part {int(index)}/{int(count)}" if index.isdigit() and count.isdigit() else name


def _left_over(ledger: Ledger, names: list[str], sizes: dict[str, int]) -> list[str]:
    """Files of an earlier directory, the record first: without it what is left is none."""
    there = set(ledger.files) & set(sizes)
    return sorted(there - set(names), key=lambda name: (name != ledger.record, name))
