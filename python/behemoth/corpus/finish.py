"""Completion of a corpus written in parts: missing files are written, existing ones checked."""

from __future__ import annotations

from os import PathLike, fspath

from behemoth.support.checks import as_found, is_url, path_of, whole_number
from behemoth.support.digests import check
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.progress import ProgressLike

from .manifest import MANIFEST
from .source import read_source
from .sums import read_corpus_sums
from .write import Written, write

__all__ = ["finish_corpus"]


def finish_corpus(
    directory: str | PathLike[str], *, threads: int = 0, progress: ProgressLike = None
) -> Written:
    """Finish a corpus that was written in parts, or confirm that it is complete.

    Missing shards are written, and so are the other files if part 0 has not finished them; existing
    other files are checked against their digests, and shards only by their length (`verify`
    recomputes them). It may be called repeatedly.

    Parameters
    ----------
    directory : path
        Directory of the corpus, or its URL in a store. Part 0 must have written there the files
        that its spec depends on, such as a table.
    threads : int
        Number of threads; 0 for the default of `Corpus.write`.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Returns
    -------
    Written

    Raises
    ------
    ArgumentError
        When the directory contains no part of a corpus.
    CorpusError
        When something is damaged, or other processes are still writing.

    Examples
    --------
    >>> import behemoth as bh
    >>> corpus = bh.Corpus(bh.World(subjects=40, relations=2, objects=5))
    >>> corpus.write("corpus", part=(0, 2)).complete
    False
    >>> bh.finish_corpus("corpus")
    Written('corpus', 80 facts, 880 tokens)
    """
    threads = whole_number("threads", threads)
    if is_url(directory):
        from .stored import finish_in_store

        return finish_in_store(str(directory), threads, progress)
    place = path_of("directory", directory, "a corpus written in parts")
    if not (place / MANIFEST).is_file():
        raise ArgumentError(
            "directory", as_found(directory), "a corpus written in parts (`gen --part`)"
        )
    corpus = read_source(place).make_corpus()
    sums = read_corpus_sums(corpus, place)
    # The manifest changes until all shards exist.
    check(place, sums, *(name for name in sums or () if name != MANIFEST))
    done = write(
        corpus, place, threads, (0, 1), False, None, False, progress,
        companions=sums is None,
    )  # fmt: skip
    if done.shards_locked:
        raise CorpusError(
            f"{fspath(directory)}: {done.shards_locked} of {done.shards} shards are being written "
            "by other processes; run this again when they are done"
        )
    return done
