"""The files of a corpus directory, and ``sums.json``, which has their digests."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth._gen import digest_file
from behemoth.support.digests import (
    FILES as _SUMMED,
    damaged,
    digests,
    no_record,
    read_sealed,
    sealed,
)
from behemoth.support.errors import CorpusError
from behemoth.support.files import as_json, write_bytes
from behemoth.support.replacement import Kind

from .background import BACKGROUND_FILE
from .manifest import EXPOSURES_FILE, GRAMMAR_FILE, MANIFEST, SUMS, TABLE_FILE, read_manifest
from .tokenizer import FILES

if TYPE_CHECKING:
    from .corpus import Corpus

CORPUS = Kind(
    MANIFEST,
    (
        "spec.toml", TABLE_FILE, EXPOSURES_FILE, GRAMMAR_FILE, BACKGROUND_FILE,
        "names/*.parquet", "tokens/[0-9]*.bin", "tokens/[0-9]*.json", "tokens/[0-9]*.partial",
        "tokens/[0-9]*.lock", SUMS,
        *(f"tokenizer/{name}" for name in FILES), "probes/*.parquet",
    ),
)  # fmt: skip
"""The files that a corpus directory owns."""


def read_corpus_sums(corpus: Corpus, out: Path) -> dict[str, str] | None:
    """Return the digests in ``sums.json`` by file name; None if it is missing.

    They cover the files of a corpus directory except its shards and its tokenizer.

    Raises
    ------
    CorpusError
        When ``sums.json`` is damaged.
    """
    file = out / SUMS
    if not file.is_file():
        return None
    told = read_sealed(file, "a corpus")
    files = told.get(_SUMMED)
    if not isinstance(files, dict) or not all(isinstance(row, str) for row in files.values()):
        raise no_record(file, "record of a corpus")
    # Another hash: the corpus was replaced part by part.
    return files if told.get("spec_hash") == corpus.spec_hash else None


def disagreement(out: Path, reason: str, *, elsewhere: bool = False) -> CorpusError:
    """Return the error for a directory whose files do not agree: it names the one that was changed.

    It has the reason why they cannot be read. The manifest is compared with its digest first.
    Without digests nobody knows which file it is, and the error names the directory. If the reason
    is of files `elsewhere`, the directory itself is not damaged.
    """
    told: Any = None
    if (out / SUMS).is_file():
        with suppress(CorpusError):  # damaged digests tell nothing
            told = read_sealed(out / SUMS, "a corpus").get(_SUMMED)
    names = told if isinstance(told, dict) else {}
    for name in sorted(names, key=lambda name: (name != MANIFEST, name)):
        if not (out / name).is_file():
            return damaged(out / name, "is missing")
        if digest_file(out / name) != names[name]:
            return damaged(out / name, f"is damaged: {reason}")
    return CorpusError(f"{out}{'' if elsewhere else ' is damaged'}: {reason}")


def write_corpus_sums(corpus: Corpus, out: Path, *, begin: bool = False) -> None:
    """Write ``sums.json``: the digests of all files except the shards, which have records.

    The tokenizer is excluded, too.

    Parameters
    ----------
    corpus : Corpus
    out : Path
    begin : bool
        If true, also create the file if it is missing, after all companions were written.
    """
    there = read_corpus_sums(corpus, out)
    if there is None and not begin:
        return
    own = [path for path in CORPUS.own(out) if path.parts[0] not in ("tokens", "tokenizer", SUMS)]
    complete = _is_complete(out)
    files = digests(out, [path for path in own if complete or path.name != MANIFEST])
    # A complete manifest depends only on spec and shards: if it changes later, it is damaged.
    if there is not None and MANIFEST in there:
        files[MANIFEST] = there[MANIFEST]
    write_bytes(out / SUMS, as_json(sealed({"spec_hash": corpus.spec_hash, _SUMMED: files})))
    # Another part may have completed the manifest since, and found no sums to add it to.
    if not complete and _is_complete(out):
        write_corpus_sums(corpus, out)


def _is_complete(out: Path) -> bool:
    """Return whether all shards of a corpus are written."""
    return (out / MANIFEST).is_file() and read_manifest(out)["complete"]
