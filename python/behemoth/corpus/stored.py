"""Writing of corpora to a store, shard by shard: a corpus may be larger than the local disk.

Each thread writes a shard to a stage in the cache, sends it with its record, and frees the space:
a sparse file of the same length stays in its place, which uses no blocks and tells the engine that
the shard is done. The local disk therefore contains only one shard for each thread, and the other
files. The ledger of the store lists what it contains; after a killed call, also one on another
machine, the next call continues with the rest. Parts have separate ledgers, since a store has no
locks, and the part that sees all shards writes the manifest, last.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from behemoth._gen import digest, digest_file
from behemoth.store.cache import clear, stage_of
from behemoth.store.ledger import LEDGER, Book, Entry, Ledger, part_ledger, part_names, read_ledger
from behemoth.store.place import Moved, Place
from behemoth.store.pull import bring
from behemoth.store.push import Target, target_of
from behemoth.store.work import WORKERS, carry_out
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import write_bytes
from behemoth.support.locks import lock_folder, sole
from behemoth.support.progress import ProgressLike, task
from behemoth.support.provenance import cores
from behemoth.support.toml import read_toml

from .manifest import MANIFEST, SUMS, spec_hash_of
from .shards import SHARDS, shard_file, shard_record
from .source import read_source
from .sums import CORPUS, write_corpus_sums
from .write import Written, check_written, write_companions

if TYPE_CHECKING:
    from .corpus import Corpus

__all__ = ["corpus_in_store", "finish_in_store", "version_in_store", "write_to_store"]


def write_to_store(
    corpus: Corpus,
    url: str,
    threads: int,
    part: tuple[int, int],
    force: bool,
    probes: int | Literal["all"] | None,
    combinations: bool,
    progress: ProgressLike,
) -> Written:
    """Write a corpus, or a part of it, to a store; for the parameters see `Corpus.write`.

    Raises
    ------
    ArgumentError
        When `url` is not the URL of a store or holds a directory of another kind, or `force` is
        true for a part.
    CorpusError
        When the URL contains something else, or another process of this machine is writing to it.
    StoreError
    """
    check_written(part, probes)
    if force and part != (0, 1):
        raise ArgumentError("force", f"true for part {part[0]}/{part[1]}", "false for a part")
    if corpus.text_settings is not None:
        corpus.text_settings.check(corpus)
    with _opened(corpus, url, part, force=force) as job:
        companions = (probes, combinations) if part[0] == 0 else None
        return job.write(threads, companions, progress)


def finish_in_store(url: str, threads: int, progress: ProgressLike) -> Written:
    """Finish a corpus written in parts to a store; see `finish_corpus`."""
    corpus, files = _begun(url)
    companions = None if SUMS in files else (None, False)
    with _opened(corpus, url, (0, 1)) as job:
        return job.write(threads, companions, progress)


def corpus_in_store(url: str) -> Corpus:
    """Return the corpus at a URL, complete or not, without its shards.

    Raises
    ------
    ArgumentError
        When the URL contains no corpus, or no part 0 of one.
    """
    return _begun(url)[0]


def _begun(url: str) -> tuple[Corpus, dict[str, Entry]]:
    """Return the corpus that the files beside the shards describe, and all files at a URL."""
    target = target_of("directory", url, MANIFEST, None)
    files = target.ledger.files
    if "spec.toml" not in files:
        raise ArgumentError("directory", url, "a corpus whose part 0 was written")
    # The files that a spec depends on, such as a table, are beside it.
    beside = {name: row for name, row in files.items() if not name.startswith(SHARDS)}
    beside.pop(MANIFEST, None)
    place = stage_of(url, "-spec")
    with lock_folder(place):
        clear(place)
        bring(target.place, Ledger("spec.toml", "", True, beside), place)
        corpus = read_source(place).make_corpus()
        clear(place)
    return corpus, files


def version_in_store(url: str) -> int | None:
    """Return the format version of the corpus at a URL, complete or not; None if there is none."""
    place = target_of("out", url, MANIFEST, None, same_kind=True).place
    spec = place.read("spec.toml")
    try:
        version = None if spec is None else read_toml(spec.decode()).get("format_version")
    except ValueError:
        return None
    return version if isinstance(version, int) else None


@contextmanager
def _opened(
    corpus: Corpus, url: str, part: tuple[int, int], *, force: bool = False
) -> Generator[_Job]:
    """Open a place in a store for a corpus, and lock the stage of this part."""
    target = target_of("out", url, MANIFEST, corpus.spec_hash, force=force, same_kind=True)
    place, ledger = target.place, target.ledger
    within = "" if part == (0, 1) else f"-part-{part[0]:05}-of-{part[1]:05}"
    stage = stage_of(url, within)
    with sole(stage, f"writing to {url}"):
        if force and (ledger.files or target.replaces is not None):
            _remove(target)
            clear(stage)
            target = Target(place, Ledger(MANIFEST, corpus.spec_hash), {})
            ledger = target.ledger
        ledger = replace(ledger, files=dict(ledger.files))  # a copy: the book changes the original
        if any(stage.iterdir()) and spec_hash_of(stage) != corpus.spec_hash:
            clear(stage)
        name = LEDGER if not within else part_ledger(part)
        own = target.ledger if not within else read_ledger(place, name)
        book = Book(place, own or Ledger(MANIFEST, corpus.spec_hash), name)
        new = None if name in target.sizes else name
        yield _Job(corpus, part, stage, place, book, ledger, target.sizes, new)


def _remove(target: Target) -> None:
    """Remove the files that force replaces, the manifest first; the ledger still lists the rest."""
    names = sorted(target.ledger.files, key=lambda name: (name != MANIFEST, name))
    Book(target.place, target.ledger).begin()
    target.place.remove([target.replaces or MANIFEST])
    target.place.remove(name for name in names if name in target.sizes)
    target.place.remove(part_names(target.sizes))


@dataclass
class _Job:
    """One call that writes to a store.

    Parameters
    ----------
    corpus : Corpus
    part : (int, int)
    stage : Path
        Local corpus directory, in which shards that were sent are sparse files.
    place : Place
    book : Book
        The ledger of this part.
    ledger : Ledger
        The files that all parts have sent.
    sizes : dict of str to int
        Sizes of the files in the store, by name.
    new : str, optional
        The name of the ledger of this part, if it was not in the store before.
    """

    corpus: Corpus
    part: tuple[int, int]
    stage: Path
    place: Place
    book: Book
    ledger: Ledger
    sizes: dict[str, int]
    new: str | None = None
    _beginning: threading.Lock = field(default_factory=threading.Lock)
    _refusal: CorpusError | None = None

    def write(
        self,
        threads: int,
        companions: tuple[int | Literal["all"] | None, bool] | None,
        progress: ProgressLike,
    ) -> Written:
        """Write and send missing shards and, with `companions`, the other files."""
        corpus, count = self.corpus, self.corpus.num_shards
        index, parts = self.part
        shards = range(index * count // parts, (index + 1) * count // parts)
        # A part without shards: the engine only checks and begins the directory.
        corpus._native.write(fspath(self.stage), 1, (0, 2 * count), False, None)
        # Files of the stage are new in every call, those of the store only without digests.
        files_written = companions is not None and SUMS not in self.ledger.files
        if companions is not None:
            if companions[0] is None:
                companions = self._probes_there(companions[1])
            write_companions(corpus, self.stage, *companions, progress)
            self._send_beside(final=False)
        present = [shard for shard in shards if self._is_sent(shard)]
        self._restore(present)
        missing = [shard for shard in shards if shard not in set(present)]
        began, there = time.perf_counter(), sum(map(self._size, present))
        total = max(there, corpus._native.estimated_bytes // parts)
        with task(progress, "writing", "bytes") as step:

            def told(moved: int) -> None:
                step(there + moved, max(total, there + moved))

            workers = threads or cores()
            carry_out(missing, self._write_shard, workers=workers, told=told)
        seconds = time.perf_counter() - began
        written, size = sum(map(self._size, missing)), corpus.dtype.itemsize
        complete = self._finish()
        return Written(
            out=self.place.url,
            facts=corpus.world.num_facts,
            sentences=corpus.num_sentences,
            tokens=(there + written) // size,
            bytes=there + written,
            seconds=seconds,
            tokens_per_second=written // size / seconds,
            vocabulary=corpus.vocabulary_size,
            dtype=str(corpus.dtype),
            shards_written=len(missing),
            shards_present=len(present),
            shards_locked=0,
            shards=count,
            complete=complete,
            files_written=files_written,
        )

    def _begin(self) -> None:
        """Write the ledger of this part before anything else, and look again for other corpora.

        Parts of two corpora that begin at the same time both find the place empty. Each writes its
        ledger before it looks again, so at least one of them sees the other and withdraws.
        """
        with self._beginning:
            if self._refusal is not None:
                raise self._refusal
            if self.book.began:
                return
            self.book.begin()
            try:
                target_of("out", self.place, MANIFEST, self.corpus.spec_hash)
            except CorpusError as error:
                self._refusal = error
                self._withdraw()
                raise

    def _withdraw(self) -> None:
        """Remove the ledger that this call has begun, unless another corpus has replaced it."""
        there = None if self.new is None else read_ledger(self.place, self.new)
        if self.new is not None and there is not None and there.identity == self.corpus.spec_hash:
            self.place.remove([self.new])

    def _write_shard(self, shard: int, moved: Moved) -> None:
        bin_name, record_name = _names(shard)
        file = self.stage / bin_name
        self._begin()
        record = self._make(shard, moved)
        # A shard of an earlier call may be a sparse file that the store does not have.
        if not record["new"] and digest_file(file) != record["blake3"]:
            file.unlink()
            record = self._make(shard, moved)
        entry = Entry(record["bytes"], record["blake3"])
        self.place.send(bin_name, file, moved)
        self.place.send(record_name, self.stage / record_name, lambda _: None)
        self._enter(bin_name, entry, now=False)
        self._enter(record_name, Entry.of(self.stage / record_name), now=True)
        _empty(file, entry.size)

    def _make(self, shard: int, moved: Moved) -> dict[str, Any]:
        """Write a shard if it does not exist; return its record with a key `new`."""
        moved(0)

        def told(done: int, total: int) -> None:
            moved(0)  # stops the engine if other workers have stopped

        only = (shard, self.corpus.num_shards)
        done = json.loads(self.corpus._native.write(fspath(self.stage), 1, only, False, told))
        record = json.loads((self.stage / _names(shard)[1]).read_bytes())
        return {**record, "new": done["shards_written"] == 1}

    def _probes_there(self, combinations: bool) -> tuple[int | None, bool]:
        """Return what to write in place of no number of probes; those of the store decide."""
        own = {name: row for name, row in self.ledger.files.items() if name.startswith("probes/")}
        if own:
            bring(self.place, Ledger(min(own), "", True, own), self.stage)
        # With digests, and so with all files, it is a corpus that was to have no probes.
        return 0 if not own and SUMS in self.ledger.files else None, combinations

    def _send_beside(self, *, final: bool) -> None:
        """Send the files beside the shards except the manifest; finally the digests again."""
        own = [path.as_posix() for path in CORPUS.own(self.stage)]
        names = [name for name in own if not name.startswith(SHARDS) and name != MANIFEST]

        def send(name: str, moved: Moved) -> None:
            moved(0)
            entry = Entry.of(self.stage / name)
            if self._has(name, entry):
                return
            self._begin()
            self.place.send(name, self.stage / name, moved)
            self._enter(name, entry, now=False)

        carry_out([name for name in names if name != SUMS], send, workers=WORKERS)
        # The digests come last: if they are present, all other files are.
        if final or SUMS not in self.ledger.files:
            carry_out([SUMS], send, workers=1)

    def _restore(self, shards: Iterable[int]) -> None:
        """Put the store's shards in the stage: their records, and sparse files."""

        def restore(shard: int, moved: Moved) -> None:
            moved(0)
            bin_name, record_name = _names(shard)
            entry, file = self.ledger.files[record_name], self.stage / record_name
            if not entry.matches(file):
                data = self.place.read(record_name)
                if data is None or digest(data) != entry.blake3:
                    raise CorpusError(f"{self.place.url}/{record_name} is damaged")
                write_bytes(file, data)
            _empty(self.stage / bin_name, self.ledger.files[bin_name].size)

        carry_out(list(shards), restore, workers=WORKERS)

    def _finish(self) -> bool:
        """Write the manifest and the complete ledger, if all files that they list exist."""
        count = self.corpus.num_shards
        target = target_of("out", self.place, MANIFEST, self.corpus.spec_hash)
        self.ledger, self.sizes = target.ledger, target.sizes
        files = {**self.ledger.files, **self.book.ledger.files}
        if SUMS not in files or not all(map(self._is_sent, range(count))):
            if self.book.began:
                self.book.close(complete=False)
            clear(self.stage)  # all of this part is in the store
            return False
        self._restore(range(count))
        self._check_shards(count)
        beside = {
            name: row
            for name, row in files.items()
            if not name.startswith(SHARDS) and name != MANIFEST
            and (name == "spec.toml" or not (self.stage / name).is_file())
        }  # fmt: skip
        bring(self.place, Ledger("spec.toml", "", True, beside), self.stage)
        done = json.loads(self.corpus._native.write(fspath(self.stage), 1, (0, 1), False, None))
        if not done["complete"] or done["shards_written"]:
            raise CorpusError(f"shards at {self.place.url} are not those of this corpus")
        write_corpus_sums(self.corpus, self.stage)
        self._send_beside(final=True)
        manifest = Entry.of(self.stage / MANIFEST)
        changed = not self.ledger.complete or not self._has(MANIFEST, manifest)
        if changed or self.book.began:
            files |= {**self.book.ledger.files, MANIFEST: manifest}
            book = Book(self.place, replace(self.ledger, files=files))
            if not self._has(MANIFEST, manifest):
                self.place.send(MANIFEST, self.stage / MANIFEST, lambda _: None)
            book.close(complete=True)
        if parts := part_names(self.sizes):
            self.place.remove(parts)
        clear(self.stage)
        return True

    def _check_shards(self, count: int) -> None:
        """Refuse shards of another corpus, which their records name."""
        other = [
            shard
            for shard in range(count)
            if _spec_hash(self.stage / _names(shard)[1]) != self.corpus.spec_hash
        ]
        if other:
            what = "shard {} at {} is" if len(other) == 1 else "shards {} at {} are"
            where = _ranges(other), self.place.url
            raise CorpusError(f"{what.format(*where)} of another corpus")

    def _enter(self, name: str, entry: Entry, *, now: bool) -> None:
        self.book.enter(name, entry, now=now)
        self.ledger.files[name] = entry
        self.sizes[name] = entry.size

    def _has(self, name: str, entry: Entry) -> bool:
        return self.ledger.files.get(name) == entry and self.sizes.get(name) == entry.size

    def _is_sent(self, shard: int) -> bool:
        entries = {name: self.ledger.files.get(name) for name in _names(shard)}
        return all(row is not None and self._has(name, row) for name, row in entries.items())

    def _size(self, shard: int) -> int:
        return self.ledger.files[_names(shard)[0]].size


def _names(shard: int) -> tuple[str, str]:
    return shard_file(shard), shard_record(shard)


def _spec_hash(record: Path) -> object:
    """Return the spec hash in a shard's record; None if it cannot be read."""
    try:
        return json.loads(record.read_bytes())["spec_hash"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _ranges(shards: list[int]) -> str:
    """Return shard numbers as text: "1, 3 to 5"."""
    runs: list[tuple[int, int]] = []
    for shard in shards:
        if runs and runs[-1][1] == shard - 1:
            runs[-1] = (runs[-1][0], shard)
        else:
            runs.append((shard, shard))
    return ", ".join(f"{a} to {b}" if a < b else f"{a}" for a, b in runs)


def _empty(file: Path, size: int) -> None:
    """Replace a file by a sparse one of length `size`, which uses no disk space."""
    with file.open("wb") as opened:
        opened.truncate(size)
