"""Export and import of worlds as tables, which `behemoth facts` and `behemoth import` call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, overload

from behemoth.support.checks import flag, path_of, whole_number
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.files import replacing, write_bytes
from behemoth.support.locks import lock_folder
from behemoth.support.progress import ProgressLike, task
from behemoth.support.replacement import Kind, check_kind, is_under_way, recover, succession

from .manifest import TABLE_FILE
from .source import read_source

if TYPE_CHECKING:
    import polars as pl

SPEC = Kind("spec.toml", (TABLE_FILE, "names/*.parquet"))
"""The files that a spec directory owns."""

_CHUNK = 1 << 19  # facts in memory at a time: about 15 MB of columns


@dataclass(frozen=True)
class FactsWritten:
    """The result of `facts`: the file, the number of facts, its bytes, and the seconds."""

    out: str
    facts: int
    bytes: int
    seconds: float

    def __fspath__(self) -> str:
        return self.out


@dataclass(frozen=True)
class Imported:
    """The result of `import_`: the directory, the world's size, the kinds of names it has.

    `named` is whether corpora use these names; `objects` is the number of objects of each relation;
    `correlated` is a relation and one that is known to be correlated with it.
    """

    out: str
    subjects: int
    relations: int
    facts: int
    names: list[str]
    named: bool
    reference: bool
    objects: list[int]
    correlated: tuple[int, int] | None

    def __fspath__(self) -> str:
        return self.out


@overload
def facts(
    source: str | PathLike[str],
    out: None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    progress: ProgressLike = None,
) -> pl.DataFrame: ...


@overload
def facts(
    source: str | PathLike[str],
    out: str | PathLike[str],
    *,
    start: int = 0,
    stop: int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
) -> FactsWritten: ...


def facts(
    source: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
) -> FactsWritten | pl.DataFrame:
    """Return the facts of a corpus directory or a spec as a table, or write them to a file.

    They are written in chunks, so that memory does not grow with their number. If the world has
    names, these are in columns after the others, as in `World.named`.

    Parameters
    ----------
    source : path
        Corpus directory, spec directory or spec TOML.
    out : path, optional
        Parquet file to write; one with facts of the same corpus is replaced. By default the table
        is returned.
    start, stop : int
        Range of fact ids, `stop` excluded; all by default.
    force : bool
        Replace a Parquet file that holds something else.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Returns
    -------
    FactsWritten or polars.DataFrame
        The table has the columns fact, link, subject, relation, object, minority_object and
        exposures (UInt64; number of times that the corpus states the fact).

    Raises
    ------
    ArgumentError
        When `source` is not a spec, `out` is a directory, another kind of file, a name that does
        not end in ``.parquet`` or a file of a corpus, a run or a plan, or holds another result and
        `force` is not set, or the range is not within the facts.
    """
    import polars as pl

    from behemoth.support.parquet import sink_parquet

    from .output import Origin, check_target

    force = flag("force", force)
    began = time.perf_counter()
    path = None if out is None else check_target(out)
    start = whole_number("start", start)
    # The world of the corpus, and not of the spec alone, includes the overrides of a twin.
    with renamed(spec="source"):
        corpus = read_source(source).make_corpus()
    origin = Origin("facts", (corpus.spec_hash,))
    if path is not None:
        origin.check(path, "another corpus", force=force)
    world = corpus.world
    end = world.num_facts if stop is None else whole_number("stop", stop)
    if not start <= end <= world.num_facts:
        raise ArgumentError(
            "start, stop",
            f"{start}:{end}",
            f"a:b with 0 <= a <= b <= {world.num_facts}, the number of facts",
        )

    def chunks() -> Iterator[pl.DataFrame]:
        for first in range(start, end, _CHUNK):
            last = min(first + _CHUNK, end)
            yield table(first, last)
            step(last - start, end - start)

    def table(first: int, last: int) -> pl.DataFrame:
        found = world.facts(first, last)
        exposures = pl.Series("exposures", corpus.exposures(found["fact"].to_numpy()), pl.UInt64)
        return world.named(found.with_columns(exposures))

    if path is None:
        with task(progress, "making", "facts") as step:
            return pl.concat([table(start, start), *chunks()])
    with task(progress, "writing", "facts") as step, replacing(path) as temporary:
        sink_parquet(chunks, table(0, 0), temporary, origin.metadata)
    seconds = time.perf_counter() - began
    return FactsWritten(fspath(path), end - start, path.stat().st_size, seconds)


def import_(
    table: str | PathLike[str],
    out: str | PathLike[str],
    *,
    seed: int = 0,
    correlated: tuple[int, int] | None = None,
    names: bool = True,
    force: bool = False,
) -> Imported:
    """Make a spec directory from a file of facts.

    Parameters
    ----------
    table : path
        The reference's ``relationship_graph.txt``, a Parquet or a CSV file; see
        `behemoth.corpus.table.read_table`. If the reference's ``args.json`` is beside the graph,
        or in ``metadata/`` or ``viscera/``, it supplies the true numbers of subjects, relations
        and objects, and whether relations 0 and 1 are correlated.
    out : path
        Directory to write: ``spec.toml``, ``table.parquet`` and, if the file has
        names, ``names/*.parquet``.
    seed : int
        Seed in the spec.
    correlated : (int, int), optional
        A relation, and a later one that is known to be correlated with it; by default the pair
        noted in ``args.json``, if any.
    names : bool
        If true, corpora of the spec use the names of the file, each of which is then one token.
        Otherwise they use numbers, and the names are only stored beside the spec.
    force : bool
        If true, replace an existing spec directory.

    Raises
    ------
    ArgumentError
        When the file is not a table of facts, one of its names cannot be a token, or `out` contains
        something else.
    CorpusError
        When `out` contains a spec, without `force`.
    """
    from .corpus import Corpus
    from .names import write_names
    from .table import read_table

    directory = path_of("out", out)
    names, force = flag("names", names), flag("force", force)
    seed = whole_number("seed", seed)
    read = read_table(table, correlated)
    # Made before anything is written, so that a table that the engine refuses leaves no files.
    world = read.world(seed, names=names)
    corpus = Corpus(world)
    corpus.token_names  # noqa: B018  # refuses names that cannot be distinguished
    spec = corpus.spec_toml
    with lock_folder(directory):
        recover(directory, SPEC)
        _check(directory, spec, force)
        with succession(directory, SPEC, force=force):
            with replacing(directory / TABLE_FILE) as temporary:
                read.frame.write_parquet(temporary)
            # Also if corpora use numbers: the names are then for people to read.
            write_names(read.names if world.names is None else world.names.frames, directory)
            # Last, because the record identifies the directory as a spec.
            write_bytes(directory / SPEC.record, spec.encode())
    return Imported(
        out=fspath(out),
        subjects=world.num_subjects,
        relations=world.num_relations,
        facts=world.num_facts,
        names=sorted(read.names),
        named=world.names is not None,
        reference=read.reference,
        objects=[row["objects"] for row in world.spec["table"]["relations"]],
        correlated=read.correlated,
    )


def _check(directory: Path, spec: str, force: bool) -> None:
    """Refuse a directory that must not be written to."""
    check_kind("out", directory, SPEC)
    file = directory / SPEC.record
    # The same spec, killed after its last file and before its end, is resumed.
    own = is_under_way(directory, SPEC) and file.is_file() and file.read_bytes() == spec.encode()
    if file.exists() and not own and not force:
        raise CorpusError(f"{fspath(directory)} holds a spec already; force=True replaces it")
