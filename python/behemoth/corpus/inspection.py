"""Inspection and verification of corpus directories, for `behemoth inspect` and `verify`."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass, field
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from behemoth.support.checks import whole_number
from behemoth.support.digests import Checked, no_record, read_object
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import check_regular
from behemoth.support.progress import ProgressLike, task

from .corpus import Corpus
from .manifest import MANIFEST, SUMS
from .tokenizer import earlier_tokenizer_files


@dataclass(frozen=True)
class Inspection:
    """The spec and counts of a corpus directory, and samples of its text."""

    directory: str
    behemoth: str
    format_version: int
    spec: dict[str, Any]
    spec_hash: str
    complete: bool
    shards_present: int
    shards: int
    facts: int
    sentences: int
    documents: int
    tokens: int
    dtype: str
    vocabulary: int
    entropy_bits: float
    exposure_classes: list[dict[str, int]]
    templates: list[dict[str, Any]]
    grammar: str | None
    tokenizer: str
    names: list[str]
    samples: list[str]


@dataclass(frozen=True)
class Verification:
    """The result of `verify`: bad files with the reason, and missing files.

    `unhashed` names the records that earlier versions wrote without digests.
    """

    directory: str
    ok: bool
    shards: int
    tokens: int
    bad: list[dict[str, Any]]
    missing: list[str]
    unhashed: list[str] = field(default_factory=list)


def inspect(directory: str | PathLike[str], *, samples: int = 3) -> Inspection:
    """Describe a corpus directory, with decoded documents from its first shard.

    Parameters
    ----------
    directory : path
        Or the URL of a corpus in a store.
    samples : int
        Number of documents to decode; long ones are cut at 200 tokens.

    Raises
    ------
    ArgumentError
        When it is not a corpus directory.
    CorpusError
        When its manifest or the record of a shard is damaged, or it has another version.
    """
    samples = whole_number("samples", samples)
    corpus = Corpus.open(directory)
    place = corpus.require_directory()  # of a URL, the copy in the cache
    manifest = corpus.manifest
    complete = bool(manifest["complete"])
    # The manifest lists all shards from the start; the records show which are written.
    records = manifest["shards"] if complete else _records(place, manifest["shards"])
    return Inspection(
        directory=fspath(directory),
        behemoth=manifest["behemoth"],
        format_version=manifest["format_version"],
        spec=manifest["spec"],
        spec_hash=manifest["spec_hash"],
        complete=complete,
        shards_present=len(records),
        shards=corpus.num_shards,
        facts=corpus.world.num_facts,
        sentences=corpus.num_sentences,
        documents=corpus.num_documents,
        tokens=sum(record["tokens"] for record in records),
        dtype=str(corpus.dtype),
        vocabulary=corpus.vocabulary_size,
        entropy_bits=corpus.world.entropy,
        exposure_classes=corpus.exposure_classes,
        templates=corpus.templates,
        grammar=None if corpus.grammar is None else corpus.grammar.name,
        tokenizer=corpus.tokenizer_kind,
        names=[] if corpus.world.names is None else list(corpus.world.names.frames),
        samples=sample_text(corpus, samples),
    )


def _records(directory: Path, shards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    paths = [(directory / shard["file"]).with_suffix(".json") for shard in shards]
    return [_record(path) for path in paths if path.is_file()]


def _record(path: Path) -> dict[str, Any]:
    record = read_object(path, "record of a shard")
    if type(record.get("tokens")) is not int:
        raise no_record(path, "record of a shard")
    return record


def sample_text(corpus: Corpus, documents: int, longest: int = 200) -> list[str]:
    """Decode the first documents of a corpus, from its first shard if that exists.

    Of a document that is longer than `longest` tokens only an excerpt is shown, with ellipses: its
    first tokens, or those around the first sentence that is inserted in it.
    """
    count = min(documents, corpus.num_documents)
    tokens: np.ndarray[Any, Any]
    try:
        # Decode the tokens on the disk, not those that should be: this shows the actual state.
        tokens = np.asarray(corpus.shard(0)[: 1 << 16]) if corpus.directory else np.empty(0)
    except FileNotFoundError:
        tokens = np.empty(0)
    ends = np.flatnonzero(tokens == corpus.end_of_document)
    if len(ends) < count:
        tokens = corpus.tokens(0, count, threads=1)
        ends = np.flatnonzero(tokens == corpus.end_of_document)
    # A twin without some facts has documents without tokens, and so possibly fewer ends.
    ends = ends[:count] + 1
    inserted = _inserted(corpus, count)
    texts: list[str] = []
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        before = max(inserted.get(number, 0) - longest // 4, 0)
        first = min(start + before, max(end - longest, start))
        text = corpus.decode(tokens[first : min(end, first + longest)])
        cut = "... " if first > start else ""
        texts.append(f"{cut}{text}" if end - first <= longest else f"{cut}{text} ...")
    return texts


def _inserted(corpus: Corpus, documents: int) -> dict[int, int]:
    """Return the offset of the first inserted sentence by number of the first documents."""
    if "insert" not in corpus.spec["corpus"]:
        return {}
    entries = corpus.sentences(0, documents).filter(sentence=0)
    return dict(entries.select("document", "offset").iter_rows())


def verify(
    directory: str | PathLike[str],
    *,
    threads: int = 0,
    progress: ProgressLike = None,
) -> Verification:
    """Recompute every hash and every count of a corpus directory.

    With a grammar, tokens of a sample of documents are compared with those the tokenizer makes of
    their text, as when the corpus was written.

    Parameters
    ----------
    directory : path
        Or the URL of a corpus in a store.
    threads : int
        Number of threads; 0 for all cores.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Returns
    -------
    Verification
        ``bad`` and ``missing`` name files; ``ok`` is true if both are empty.

    Raises
    ------
    ArgumentError
        When it is not a corpus directory.
    CorpusError
        When its manifest is damaged or has another version.
    """
    from .sums import CORPUS

    corpus = Corpus.open(directory)
    place = corpus.require_directory()  # of a URL, the copy in the cache
    for name in CORPUS.own(place):
        check_regular(place / name)
    threads = whole_number("threads", threads)
    with task(progress, "verifying", "bytes") as step:
        told = None if progress is None else step
        try:
            report = json.loads(corpus._native.verify(fspath(place), threads, told))
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise CorpusError(f"{error.filename} is not a regular file") from None
            if "UTF-8" not in str(error):
                raise
            raise CorpusError(f"{error.filename} is damaged: it is not a valid text") from None
    bad, missing = list(report["bad"]), list(report["missing"])
    damaged, lost = list[dict[str, Any]](), list[str]()
    unhashed = _verify_sums(corpus, place, damaged, lost)
    # A file that is not what was written is not parsed: it could be anything.
    _verify_companions(corpus, place, bad, missing, {row["file"] for row in damaged})
    _verify_text(corpus, bad)
    known = {row["file"] for row in bad}
    bad += [row for row in damaged if row["file"] not in known]
    missing += [name for name in lost if name not in missing]
    return Verification(
        directory=fspath(directory),
        ok=not bad and not missing,
        shards=report["shards"],
        tokens=report["tokens"],
        bad=bad,
        missing=missing,
        unhashed=unhashed,
    )


def _verify_sums(
    corpus: Corpus, directory: Path, bad: list[dict[str, Any]], missing: list[str]
) -> list[str]:
    """Compare the files beside the shards with their digests; return records without digests."""
    from .probes import written_templates
    from .sums import read_corpus_sums

    try:
        files = read_corpus_sums(corpus, directory)
    except CorpusError:
        bad.append({"shard": None, "file": SUMS, "reason": "is damaged"})
        return []
    if files is None:
        # The digests are written last: a corpus with all probes and no digests is of an earlier
        # version.
        probes = {path.stem for path in (directory / "probes").glob("*.parquet")}
        if set(written_templates(corpus)) <= probes:
            return [MANIFEST]
        missing.append(f"{SUMS} (run the same `behemoth gen` again)")
        return []
    looked = Checked(fspath(directory))
    looked.look(directory, files)
    bad += [{"shard": None, **row} for row in looked.bad]
    missing += looked.missing
    return []


def _verify_text(corpus: Corpus, bad: list[dict[str, Any]]) -> None:
    """Compare the tokens of documents with those that the tokenizer makes of their text."""
    if corpus.text_settings is None:
        return
    try:
        corpus.text_settings.check_tokens(corpus)
    except ArgumentError as error:
        reason = f"makes {error.got}"
        bad.append({"shard": None, "file": "tokenizer/tokenizer.json", "reason": reason})


def _verify_companions(
    corpus: Corpus,
    directory: Path,
    bad: list[dict[str, Any]],
    missing: list[str],
    damaged: set[str],
) -> None:
    """Check tokenizer, shard records and probes; the arrays were checked with the spec."""
    import polars as pl

    from behemoth.support.parquet import panics_are_errors

    from .probes import count_probes, probe_metadata, written_templates

    def report(name: str, reason: str) -> None:
        bad.append({"shard": None, "file": name, "reason": reason})

    files = corpus.tokenizer_files
    earlier = {} if corpus.grammar is not None else earlier_tokenizer_files(corpus.token_names)
    for name, data in files.items():
        path = directory / "tokenizer" / name
        if not path.is_file():
            missing.append(f"tokenizer/{name}")
        elif path.read_bytes() not in (data, earlier.get(name)):
            report(f"tokenizer/{name}", "is not the tokenizer of this corpus")
    for path in sorted((directory / "tokens").glob("[0-9]*.json")):
        if f'"file": "tokens/{path.stem}.bin"' not in path.read_text(errors="replace"):
            report(f"tokens/{path.name}", "is the record of another shard")
    templates = written_templates(corpus)
    for path in sorted((directory / "probes").glob("*.parquet")):
        name = f"probes/{path.name}"
        if name in damaged:
            continue
        metadata = probe_metadata(path) or {}
        facts = metadata.get("behemoth_facts", "")
        own = metadata.get("behemoth_spec_hash") == corpus.spec_hash and path.stem in templates
        if not own or not facts.isdecimal():
            report(name, "contains no probes of this corpus")
            continue
        try:
            with panics_are_errors():
                rows = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
        except pl.exceptions.PolarsError:
            report(name, "cannot be read")
            continue
        every = "behemoth_combinations" in metadata
        count = partial(count_probes, corpus, int(facts), path.stem, combinations=every)
        expected = count()
        # Earlier versions wrote fewer probes of some grammars, with the same contents otherwise.
        if rows not in (expected, count(earlier=True)):
            report(name, f"contains {rows} probes, not {expected}")
