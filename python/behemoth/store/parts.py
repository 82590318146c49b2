"""Parts of a study that several machines carry out and send to one URL, which has no locks.

Every object is written by one part only. Each part has a ledger of its own,
``.behemoth/part-i-of-n.json``, and a unit that several parts need is sent by the first of them;
the others take it if the store has it, and otherwise make it for themselves. All parts send the
files of the study itself, with the same bytes: a part with others is refused.

The ledger of a part is complete once the part has ended. A part that ends while no other is at work
unites all ledgers in that of the study, looks at them again, and repeats this if one has changed.
Ledgers of parts are not removed by parts: of two parts that end at the same time, the one that
writes last sees what both have sent.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.progress import ProgressLike

from .cache import clear
from .files import STUDY, files_of
from .ledger import LEDGER, Book, Entries, Entry, Ledger, part_ledger, part_of, read_ledger
from .place import Place
from .pull import bring
from .push import Target, check_forced, part_text, target_of, transfer
from .recorded import recorded
from .staged import own_stage, send_now_and_then
from .studies import unit_of
from .units import compare, united, without_begun

__all__ = ["StudyPart", "part_in_store"]

_FILES = ("study.toml", STUDY)


@contextmanager
def part_in_store(
    url: str, name: str, part: tuple[int, int], *, progress: ProgressLike
) -> Generator[StudyPart]:
    """Yield a part of a study that is sent to a store: its finished units every 30 seconds.

    The local folder has the record of the study if the store has it. Call `StudyPart.begin` before
    the part is carried out in it.

    Parameters
    ----------
    url : str
    name : str
        Name of the study.
    part : (int, int)
        Part i of n, from 0.
    progress : callable or Progress, optional
        Called with the progress of all transfers but those at intervals.

    Raises
    ------
    ArgumentError
        Also if the store has parts of another number of parts, which share units differently.
    CorpusError, StoreError
    """
    target = target_of("out", url, STUDY, name)
    check_forced(target)
    for each in filter(None, map(part_of, target.named)):
        if each[1] != part[1]:
            allowed = f"one of {each[1]} parts, as at {url}, or none, which unites them"
            raise ArgumentError("part", part, allowed)
    place = target.place
    with own_stage(url, f"-part-{part[0]:05}-of-{part[1]:05}") as stage:
        there = target.ledger.files
        files = {n: there[n] for n in _FILES if n in there and n in target.sizes}
        bring(place, Ledger(STUDY, name, True, files), stage, progress)
        with ExitStack() as sending:
            job = StudyPart(place, name, part, stage, sending, progress)
            yield job
        job.end()
        clear(stage)


class StudyPart:
    """A part of a study, and what the store has of it.

    Parameters
    ----------
    place : Place
    name : str
        Name of the study.
    part : (int, int)
    path : Path
        Local folder in which the part is carried out.
    sending : ExitStack
        Closed when the part was carried out; stops the transfers at intervals.
    progress : callable or Progress, optional
    """

    def __init__(
        self,
        place: Place,
        name: str,
        part: tuple[int, int],
        path: Path,
        sending: ExitStack,
        progress: ProgressLike,
    ) -> None:
        self.path = path
        self._place, self._name, self._progress = place, name, progress
        self._ledger, self._sending = part_ledger(part), sending
        self._book = Book(place, Ledger(STUDY, name), self._ledger)
        self._own: Collection[str] = ()
        self._entries = Entries()

    def begin(self, needed: Collection[str], own: Collection[str]) -> None:
        """Enter the part in the store, fetch what it has of it, and start to send.

        Parameters
        ----------
        needed : collection of str
            Folders of the units that the part needs, such as ``trials/ID``.
        own : collection of str
            Those that it sends.

        Raises
        ------
        CorpusError
            If the store has another version of the study, or a file there is damaged.
        StoreError
        """
        place, self._own = self._place, own
        files = {name: Entry.of(self.path / name) for name in _FILES}
        before = self._look(files)
        left = before.named.get(self._ledger)
        listed = files if left is None else {**left.files, **files}
        self._book = Book(place, Ledger(STUDY, self._name, files=listed), self._ledger)
        # Two parts that begin at the same time do not see each other. Each enters its ledger before
        # it looks again, so at least one of them sees the other and withdraws.
        self._book.begin()
        try:
            target = self._look(files)
        except CorpusError:
            if read_ledger(place, self._ledger) == self._book.ledger:
                self._withdraw(left)
            raise
        for name, row in files.items():
            if before.ledger.files.get(name) != row or before.sizes.get(name) != row.size:
                place.send(name, self.path / name, lambda _: None)
        there = {n: row for n, row in target.ledger.files.items() if unit_of(n) in needed}
        wanted = replace(target.ledger, files=there)
        wanted = without_begun(place, wanted, target.sizes, self.path)
        bring(place, wanted, self.path, self._progress)
        self._sending.enter_context(send_now_and_then(self.send))

    def send(self, progress: ProgressLike = None) -> None:
        """Send the finished units of this part that the store does not have.

        Raises
        ------
        CorpusError, StoreError
        """
        place, sizes, book = self._place, self._place.sizes(), self._book
        names = [n for n in files_of(self.path, STUDY) if unit_of(n) in self._own]
        study = read_ledger(place)
        ledgers = (book.ledger,) if study is None else (study, book.ledger)
        listed = {
            name: row for name, row in united(place, ledgers).items() if unit_of(name) in self._own
        }
        there = replace(book.ledger, files=listed)
        kept, stale = compare(place, there, sizes, self.path, names)
        missing = {
            unit_of(name)
            for name in names
            if name not in listed
            or sizes.get(name) != listed[name].size
            or listed[name] != self._entries.of(self.path / name)
        }
        units = {unit_of(name) for name in names} - kept
        here = set(names)
        gone = [n for n in listed if unit_of(n) in units and n not in here]
        # A unit is listed by one ledger, so that of this part lists all files of what it sends.
        names = [n for n in names if unit_of(n) in units & (missing | {*map(unit_of, gone)})]
        if replaced := [*stale, *gone]:
            if study is not None and study.complete and not study.files.keys().isdisjoint(replaced):
                place.write(LEDGER, replace(study, complete=False).to_bytes())
            book.strike(replaced, now=True)  # first: if this is stopped, no ledger lists them
            place.remove(replaced)
        wanted = recorded(self.path, names)
        _, sent = transfer(
            place, book, self.path, STUDY, names, sizes, wanted, self._entries, progress
        )
        if sent or replaced:
            book.close(complete=False)

    def end(self) -> None:
        """Send the rest, and unite the ledgers of all parts unless others are at work."""
        self._entries = Entries()  # the last call computes all again
        self.send(self._progress)
        self._book.close(complete=True)
        wrote = False
        while True:
            target = target_of("out", self._place, STUDY, self._name)
            at_work = any(not row.complete for name, row in target.named.items() if name)
            if target.ledger.forced or (at_work and not wrote):
                return
            # Its own too: a push that read it before its end may have removed it since.
            files = united(self._place, [*target.named.values(), self._book.ledger])
            # A part that has begun since the ledgers were read may be replacing what they list.
            ledger = replace(target.ledger, complete=not at_work, files=files)
            if target.named.get("") == ledger:
                return
            self._place.write(LEDGER, ledger.to_bytes())
            wrote = True

    def _withdraw(self, left: Ledger | None) -> None:
        """Restore the ledger that was there before this part began."""
        if left is None:
            self._place.remove([self._ledger])
        else:
            self._place.write(self._ledger, left.to_bytes())

    def _look(self, files: dict[str, Entry]) -> Target:
        """Read all ledgers, and refuse those of another study, or of this one changed."""
        target = target_of("out", self._place, STUDY, self._name)
        for name, ledger in target.named.items():
            if any(ledger.files.get(file, row) != row for file, row in files.items()):
                who = f" ({part_text(name)})" if name else ""
                raise CorpusError(
                    f"{self._place.url} holds another version of the study {self._name!r}{who}: "
                    "run this one there without parts first, or choose another place"
                )
        return target
