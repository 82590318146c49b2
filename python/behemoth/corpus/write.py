"""Writing of corpus directories, which `behemoth gen` calls.

A directory contains ``manifest.json``, ``spec.toml``, ``tokens/00000.bin`` ... with a
completion record beside each shard (all written by the engine), and ``tokenizer/``,
``probes/*.parquet``, ``grammar.toml`` and ``background.json`` if the corpus has them, and, if the
spec depends on arrays, ``table.parquet``, ``names/*.parquet`` and ``exposures.parquet`` (written
here); last, ``sums.json`` has the digests of all files except shards and tokenizer. Apart from the
path in ``background.json``, the files are a pure function of the spec, so writing again only adds
what is missing.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

import numpy as np

from behemoth._gen import digest_file
from behemoth.support.checks import (
    check_directory,
    check_unclaimed,
    is_url,
    part_of,
    path_of,
    whole_number,
)
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import replacing, write_bytes
from behemoth.support.kinds import KINDS, held
from behemoth.support.locks import holder, lock_folder
from behemoth.support.progress import ProgressLike, task
from behemoth.support.provenance import cores
from behemoth.support.replacement import finish, foreign, recover, succeeds, succession
from behemoth.support.text import bytes_text

from .background import BACKGROUND_FILE
from .corpus import Corpus
from .manifest import (
    EXPOSURES_FILE,
    GRAMMAR_FILE,
    MANIFEST,
    TABLE_FILE,
    TOKENIZER_DIRECTORY,
    spec_hash_of,
)
from .source import read_source
from .spec import PROBED_FACTS
from .sums import CORPUS, read_corpus_sums, write_corpus_sums

_PATIENCE = 3.0  # seconds to wait for other parts that begin at the same time

# Approximate disk space of a probe and of a token's name: 6 to 10 and 16 to 20 were measured.
_PROBE_BYTES = 16
_NAME_BYTES = 24

# Memory that writing needs, whatever the corpus, and that each thread needs for the bytes written
# and the documents made at a time, unless they are long: 62 MiB were measured with up to four
# threads, and 91 with all probes of 120,000 facts.
_FIXED_BYTES = 96 << 20
_THREAD_BYTES = 5 << 20


@dataclass(frozen=True)
class Written:
    """The content of a corpus directory after a call that wrote to it; it is path-like.

    Parameters
    ----------
    out : str
    facts, sentences : int
        Counts of the complete corpus.
    tokens, bytes : int
        Size of those shards of the requested part that exist now.
    seconds : float
        Wall time of writing shards.
    tokens_per_second : float
        Tokens that this call wrote, divided by `seconds`.
    vocabulary : int
        Number of token ids.
    dtype : str
    shards_written, shards_present, shards_locked, shards : int
        Number of shards of the part that this call wrote, that existed before it, that another
        process is writing, and of all shards of the corpus.
    complete : bool
        Whether all shards of the corpus exist.
    files_written : bool
        Whether this call wrote other files, such as the tokenizer and probes.
    """

    out: str
    facts: int
    sentences: int
    tokens: int
    bytes: int
    seconds: float
    tokens_per_second: float
    vocabulary: int
    dtype: str
    shards_written: int
    shards_present: int
    shards_locked: int
    shards: int
    complete: bool
    files_written: bool = False

    def __fspath__(self) -> str:
        return self.out

    def __repr__(self) -> str:
        state = "" if self.complete else ", not complete"
        return f"Written({self.out!r}, {self.facts:,} facts, {self.tokens:,} tokens{state})"


@dataclass(frozen=True)
class Estimate:
    """The size of a corpus and the disk space to write it, without writing anything.

    Parameters
    ----------
    facts, sentences, documents, tokens, bytes : int
        Counts of the complete corpus; bytes of its shards.
    exact : bool
        Whether tokens and bytes are exact, because all documents have the same
        length; otherwise they are estimated from the first pages.
    vocabulary : int
        Number of token ids.
    dtype : str
    entropy_bits : float
        Entropy of the world's free choices, in bits.
    shards : int
    disk_needed : int
        Bytes of the requested part's shards, of its probes (approximately) and of the
        tokenizer; for a store, the shards are as many as there are cores.
    disk_free : int
        Free bytes at the place of the directory, even if it does not exist yet.
    """

    facts: int
    sentences: int
    documents: int
    tokens: int
    bytes: int
    exact: bool
    vocabulary: int
    dtype: str
    entropy_bits: float
    shards: int
    disk_needed: int
    disk_free: int


def gen(
    corpus: Corpus,
    out: str | PathLike[str],
    *,
    threads: int = 0,
    part: tuple[int, int] = (0, 1),
    force: bool = False,
    probes: int | Literal["all"] | None = None,
    combinations: bool = False,
    engine: Literal["local", "ray"] = "local",
    memory: int | None = None,
    progress: ProgressLike = None,
) -> Written:
    """Write a corpus to a directory, on this machine or on a Ray cluster.

    The parameters are those of `Corpus.write`, and:

    Parameters
    ----------
    engine : {'local', 'ray'}
        With ``ray`` each core of the cluster writes parts; `out` must be a path that
        all nodes share, `threads` is not used, and `part` is refused.
    memory : int, optional
        Bytes of memory that writing may use, in addition to what the process uses already: fewer
        threads write if they would need more. Unchecked by default, because the memory needed does
        not grow with the corpus, only with its longest document.
    """
    if not isinstance(corpus, Corpus):
        raise ArgumentError(
            "corpus", type(corpus).__name__, "a Corpus; bh.load makes one from a path"
        )
    if engine not in ("local", "ray"):
        raise ArgumentError.unknown("engine", engine, ("local", "ray"))
    if engine == "ray" and part != (0, 1):
        raise ArgumentError("part", part, "not with engine ray, which makes its own parts")
    if memory is not None:
        usual = cores() if is_url(out) else 2 * cores()
        threads = whole_number("threads", threads) or usual
        threads = threads_within(memory, threads, corpus, engine)
    if engine == "ray":
        from .ray import write_with_ray

        path_of("out", out)  # also refuses stores: parts of a cluster share a directory
        check_written(part, probes)
        if force:  # no part can know what the others have already written
            raise ArgumentError("force", "true with engine 'ray'", "false; remove the directory")
        return write_with_ray(corpus, fspath(out), probes, combinations, progress)
    return corpus.write(
        out,
        threads=threads,
        part=part,
        force=force,
        probes=probes,
        combinations=combinations,
        progress=progress,
    )


def threads_within(memory: int, threads: int, corpus: Corpus, engine: str = "local") -> int:
    """Return the number of threads that fit in the argument `memory` of `gen`, at most `threads`.

    Raises
    ------
    ArgumentError
        When one does not fit, or the engine is Ray.
    """
    if engine == "ray":
        raise ArgumentError("memory", memory, "not with engine 'ray', whose workers have their own")
    memory = whole_number("memory", memory, 1)
    each = max(_THREAD_BYTES, corpus._native.thread_bytes)
    fits = (memory - _FIXED_BYTES) // each
    if fits < 1:
        allowed = f"{bytes_text(_FIXED_BYTES + each)} or more, which one thread needs"
        raise ArgumentError("memory", bytes_text(memory), allowed)
    return min(threads, fits)


def write(
    corpus: Corpus,
    out: Path,
    threads: int,
    part: tuple[int, int],
    force: bool,
    probes: int | Literal["all"] | None,
    combinations: bool,
    progress: ProgressLike,
    *,
    companions: bool = True,
) -> Written:
    """Write the shards of a part and, for part 0 with `companions`, all other files."""
    check_written(part, probes)
    _check_place(out)
    if corpus.text_settings is not None:
        corpus.text_settings.check(corpus)
    with lock_folder(out, wait=False) as alone:
        # If other processes are writing, they have done this already.
        if alone:
            recover(out, CORPUS)
    # The engine's own force would remove the old corpus before the new one is complete, so it gets
    # force only for a part, where it refuses it.
    replaces = force and part == (0, 1) and _is_replaced(corpus, out)
    with ExitStack() as stack:
        if not _locked(stack, out, alone=replaces):
            raise CorpusError(f"another process is writing to {out}: {holder(out)}")
        if replaces:
            stack.enter_context(succession(out, CORPUS, force=True))
            # These two tell the engine that a directory with other files in it is ours.
            (out / "tokens").mkdir(exist_ok=True)
            write_bytes(out / "spec.toml", corpus.spec_toml.encode())
        began = time.perf_counter()
        native, forced = corpus._native, force and part != (0, 1)
        with task(progress, "writing", "bytes") as step:
            told = None if progress is None else step  # None saves the engine all calls
            summary = json.loads(native.write(fspath(out), threads, part, forced, told))
            # The engine's total is an estimate if documents vary in length.
            step(summary["bytes"], summary["bytes"])
        seconds = time.perf_counter() - began
        files_written = (
            part[0] == 0
            and companions
            and write_companions(corpus, out, probes, combinations, progress)
        )
        if summary["complete"]:
            write_corpus_sums(corpus, out)
            finish(out)
        elif replaces:
            raise CorpusError(f"another process is writing shards of {out}; run this again")
    return Written(
        out=fspath(out),
        facts=corpus.world.num_facts,
        sentences=corpus.num_sentences,
        tokens=summary["tokens"],
        bytes=summary["bytes"],
        seconds=seconds,
        tokens_per_second=summary["tokens_written"] / seconds,
        vocabulary=corpus.vocabulary_size,
        dtype=str(corpus.dtype),
        shards_written=summary["shards_written"],
        shards_present=summary["shards_present"],
        shards_locked=summary["shards_locked"],
        shards=corpus.num_shards,
        complete=summary["complete"],
        files_written=files_written,
    )


def _locked(stack: ExitStack, out: Path, *, alone: bool) -> bool:
    """Lock a directory until the end of `stack`; return whether this succeeded.

    Parts that begin at the same time each hold the lock alone for a moment, to recover what a
    killed call left.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        with ExitStack() as attempt:
            if attempt.enter_context(lock_folder(out, shared=not alone, wait=False)):
                stack.push(attempt.pop_all())
                return True
        if alone or time.monotonic() > until:
            return False
        time.sleep(0.02)


def _check_place(out: Path) -> None:
    """Refuse a directory of another kind; the engine refuses other files, and other corpora."""
    check_directory("out", out)
    allowed = "a new or empty directory, or one of this corpus"
    check_unclaimed("out", out, allowed, but=(KINDS[MANIFEST], KINDS["spec.toml"]))


def _is_replaced(corpus: Corpus, out: Path) -> bool:
    """Return whether force replaces an existing corpus, of whatever spec or version."""
    try:
        if not (out / CORPUS.record).exists():
            # A corpus that was stopped before its manifest has no shards yet; a directory with
            # further files is not ours.
            there = {path.name for path in out.iterdir()} if out.is_dir() else set[str]()
            mine = there <= {"spec.toml", "tokens"} and not any((out / "tokens").iterdir())
            return mine and bool(read_source(out / "spec.toml"))
        if spec_hash_of(out) is None:
            # A damaged manifest, or somebody else's, which has no spec of ours beside it.
            return foreign(out, CORPUS) is None and bool(read_source(out / "spec.toml"))
    except (OSError, ValueError):
        return False
    if (other := foreign(out, CORPUS)) is not None:
        raise ArgumentError("out", held(out, other), "another directory")
    # A stopped corpus that was itself replacing another one is resumed.
    return not (spec_hash_of(out) == corpus.spec_hash and succeeds(out, CORPUS))


def check_written(part: tuple[int, int], probes: int | Literal["all"] | None) -> None:
    """Refuse a part that is not a pair, and probes that are neither a number, 'all' nor None.

    Raises
    ------
    ArgumentError
    """
    part_of(part)
    if probes is not None and probes != "all":
        whole_number("probes", probes)


def write_companions(
    corpus: Corpus,
    out: Path,
    probes: int | Literal["all"] | None,
    combinations: bool,
    progress: ProgressLike = None,
) -> bool:
    """Write the missing files of a corpus other than shards, manifest and spec.

    Without a number of probes, those that are there stay, and missing ones are like them.

    Returns
    -------
    bool
        Whether a file was missing, or other than it should be.
    """
    from .names import write_names
    from .probes import write_probes

    done = read_corpus_sums(corpus, out)
    sums = done or {}
    if probes is None:
        probes, combinations = _usual_probes(corpus, out, done, combinations)
    there = {name: digest for name, digest in sums.items() if (out / name).is_file()}
    if (table := corpus.world.table_columns) is not None:
        _write_columns(out / TABLE_FILE, table)
    if corpus.world.names is not None:
        write_names(corpus.world.names.frames, out)
    if (exposures := corpus.exposures_array) is not None:
        _write_columns(out / EXPOSURES_FILE, {"exposures": exposures})
    if corpus.grammar is not None:
        write_bytes(out / GRAMMAR_FILE, corpus.grammar.source.encode())
    if corpus.background is not None:
        write_bytes(out / BACKGROUND_FILE, corpus.background.note)
    # The sums do not cover the tokenizer.
    tokenizer = [
        write_bytes(out / TOKENIZER_DIRECTORY / name, data)
        for name, data in corpus.tokenizer_files.items()
    ]
    for name, digest in sums.items():
        # Damaged probe files are written again; for others the decision rests on their metadata.
        if name.startswith("probes/") and name in there and digest_file(out / name) != digest:
            (out / name).unlink()
            del there[name]
    with task(progress, "probes", "probes") as step:
        write_probes(corpus, out / "probes", probes, step, combinations=combinations)
    write_corpus_sums(corpus, out, begin=True)
    after = read_corpus_sums(corpus, out) or {}
    return any(tokenizer) or any(
        there.get(name) != digest for name, digest in after.items() if name != MANIFEST
    )


def _usual_probes(
    corpus: Corpus, out: Path, done: dict[str, str] | None, combinations: bool
) -> tuple[int, bool]:
    """Return the number of probed facts if none is said, and whether in all combinations.

    Probes that `out` has stay; `done` are its sums.
    """
    from .probes import probes_there

    if (found := probes_there(corpus, out / "probes")) is not None:
        return found[0], combinations or found[1]
    # Once the sums are written, a corpus without probes is one that was to have none.
    without = done is not None and not any(name.startswith("probes/") for name in done)
    return 0 if without else PROBED_FACTS, combinations


def estimate(
    corpus: Corpus,
    out: str | PathLike[str] = ".",
    *,
    part: tuple[int, int] = (0, 1),
    probes: int | Literal["all"] | None = None,
    combinations: bool = False,
) -> Estimate:
    """Estimate the size of a corpus and the disk space to write it; see `Corpus.write`."""
    from .probes import count_prompts, written_templates

    check_written(part, probes)
    if probes is None and is_url(out):
        probes = PROBED_FACTS
    elif probes is None:
        done = None
        with suppress(CorpusError):  # damaged sums are for verify to report
            done = read_corpus_sums(corpus, Path(out))
        probes, combinations = _usual_probes(corpus, Path(out), done, combinations)
    size = corpus._native.estimated_bytes
    tokens = size // corpus.dtype.itemsize
    needed = -(-size // part[1])
    if part[0] == 0:
        facts = corpus.world.num_facts
        sample = facts if probes == "all" else min(probes, facts)
        templates = written_templates(corpus).values()
        prompts = sum(count_prompts(rows, combinations=combinations) for rows in templates)
        needed += sample * prompts * _PROBE_BYTES + corpus.vocabulary_size * _NAME_BYTES
    if is_url(out):
        from behemoth.store.cache import stage_of

        place = stage_of(str(out)).absolute()
        # Only one shard for each thread is on the local disk at a time.
        needed -= max(0, size // part[1] - cores() * -(-size // max(1, corpus.num_shards)))
    else:
        place = Path(out).absolute()
    while not place.exists():
        place = place.parent
    return Estimate(
        facts=corpus.world.num_facts,
        sentences=corpus.num_sentences,
        documents=corpus.num_documents,
        tokens=tokens,
        bytes=size,
        exact=corpus.document_tokens is not None,
        vocabulary=corpus.vocabulary_size,
        dtype=str(corpus.dtype),
        entropy_bits=corpus.world.entropy,
        shards=corpus.num_shards,
        disk_needed=needed,
        disk_free=shutil.disk_usage(place).free,
    )


def _write_columns(path: Path, columns: dict[str, np.ndarray[Any, Any]]) -> None:
    import polars as pl

    with replacing(path) as temporary:
        pl.DataFrame(columns).write_parquet(temporary)
