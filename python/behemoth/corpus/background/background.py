"""Documents of an existing tokenised corpus, placed between those of a corpus.

These can be read, as a file or a directory of files:

- a complete corpus directory of Behemoth, with the vocabulary of the corpus;
- ``NAME.bin`` beside ``NAME.idx`` of Megatron's indexed datasets, in uint16 or int32;
- ``NAME.bin`` of raw little-endian tokens beside ``NAME.idx`` of raw uint64, one past the last
  token of each document; whether tokens are uint16 or uint32 follows from the two sizes;
- ``NAME.ds`` beside ``NAME.ds.index`` of datatrove and nanotron;
- ``NAME.npy`` of OLMo-core, raw tokens, optionally beside ``NAME.csv.gz``.

An index must be of documents: a new corpus refuses one that has an end-of-document token between
the first and the last token of a document, as an index of blocks has.

`behemoth.corpus.encode_documents` converts text, and rows of tokens in JSON lines, Parquet, Arrow
or LitData's chunks, to one of these.

The tokens must be those of the corpus's own tokenizer. The files are read in place, whenever the
corpus is made; a corpus identifies them by their digest, and checking it needs a pass over the
files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from behemoth import _gen
from behemoth.corpus.manifest import MANIFEST, read_manifest
from behemoth.corpus.tokens import END_OF_DOCUMENT
from behemoth.support.checks import path_of
from behemoth.support.digests import no_record, read_object
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.text import toml_text

from .files import found, open_files

BACKGROUND_FILE = "background.json"
"""File of a corpus directory with the absolute path of its background."""


@dataclass(frozen=True)
class Background:
    """Documents of an existing tokenised corpus.

    A corpus that is made with a background has one of its own `end` and `vocabulary`.

    Parameters
    ----------
    path : path
        A directory, or the name of a file with or without ``.bin``.

    Attributes
    ----------
    path : Path
    end : int
        The token that ends a document of the corpus they are placed in.
    vocabulary : int, optional
        Number of token ids of the tokenizer, if there is one; determines the width of a token if
        the files do not.
    """

    path: Path
    end: int = field(default=END_OF_DOCUMENT, init=False)
    vocabulary: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", path_of("background", self.path))

    @classmethod
    def _within(cls, path: Path, end: int, vocabulary: int | None) -> Background:
        """Return the documents of files as they are read for a corpus."""
        made = cls.__new__(cls)
        for name, value in (("path", path), ("end", end), ("vocabulary", vocabulary)):
            object.__setattr__(made, name, value)
        return made

    @cached_property
    def native(self) -> _gen.Background:
        """The documents, opened by the engine.

        Raises
        ------
        ArgumentError
            When there are no files that can be read.
        CorpusError
            When the manifest of a corpus directory is damaged.
        """
        manifest = self._manifest()
        if manifest is not None:
            return self._directory(manifest)
        files = open_files(self.path, self.vocabulary)
        return _gen.Background(files.paths, files.width, self.end, files.ends)

    def _manifest(self) -> dict[str, Any] | None:
        """Return the manifest of a corpus directory; None for other files."""
        file = self.path / MANIFEST
        if not file.is_file():
            return None
        manifest = read_manifest(self.path)
        try:
            sound = isinstance(manifest["vocabulary"]["ranges"], list)
            sound = sound and manifest["dtype"] in ("uint16", "uint32")
        except (KeyError, TypeError):
            sound = False
        if not sound:
            raise no_record(file, "manifest of a corpus")
        return manifest

    def _directory(self, manifest: Mapping[str, Any]) -> _gen.Background:
        if not manifest.get("complete"):
            raise ArgumentError("background", fspath(self.path), "a complete corpus")
        files = [fspath(self.path / shard["file"]) for shard in manifest["shards"]]
        return _gen.Background(files, np.dtype(manifest["dtype"]).itemsize, self.end, None)

    @property
    def note(self) -> bytes:
        """The content of `BACKGROUND_FILE`: the path as JSON."""
        return json.dumps({"path": fspath(self.path)}).encode()

    def check(self, vocabulary: Mapping[str, Any], tokenizer: str | None) -> None:
        """Refuse a corpus directory whose token ids have other meanings.

        Parameters
        ----------
        vocabulary : mapping
            The partition of the token ids of the corpus it is placed in.
        tokenizer : str, optional
            Digest of the tokenizer of that corpus. None if it has none: then `vocabulary` names
            all its words.

        Raises
        ------
        ArgumentError
        """
        manifest = self._manifest()
        if manifest is None:
            return
        theirs = manifest["vocabulary"]["ranges"]
        # The words of a filler come last, and do not change other ids.
        if theirs != vocabulary["ranges"][: len(theirs)]:
            size = manifest["vocabulary"]["size"]
            got = f"{fspath(self.path)}, with another vocabulary ({size:,} token ids)"
            raise ArgumentError("background", got, f"the corpus's own ({vocabulary['size']:,})")
        # Of a tokenizer, the ranges state only the size.
        grammar = manifest["spec"]["corpus"].get("grammar")
        if tokenizer is not None and (
            not isinstance(grammar, Mapping) or grammar.get("tokenizer") != tokenizer
        ):
            raise ArgumentError(
                "background", f"{fspath(self.path)}, with another tokenizer", "the corpus's own"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return Background._within, (self.path, self.end, self.vocabulary)


def background_of(
    background: Background | str | PathLike[str] | None,
    tokens: int | None,
    end: int,
    vocabulary: int | None,
) -> tuple[Background | None, dict[str, Any] | None]:
    """Return the background that a user names, and its table in the spec."""
    if background is None:
        if tokens is not None:
            raise ArgumentError("background_tokens", tokens, "only with a background")
        return None, None
    given = isinstance(background, Background)
    path = background.path if given else path_of("background", background)
    return Background._within(found(path), end, vocabulary), {"tokens": tokens}


def changed_background(told: Any, changes: Mapping[str, Any]) -> Any:
    """Return what a spec tells of its background, with another path or number of tokens.

    The digest stays: documents that were only moved are still those of the corpus, and `told` is
    then read with `moved`.

    Parameters
    ----------
    told : mapping, str or None
    changes : mapping
        ``background``, ``background_tokens`` or both.

    Raises
    ------
    ArgumentError
        When there is a number of tokens, and no background.
    """
    path, tokens = changes.get("background", told), changes.get("background_tokens")
    if isinstance(told, Mapping) and "digest" in told and isinstance(path, str):
        path = {"path": path, "digest": told["digest"]}
    if tokens is None:
        return path
    if path is None:
        raise ArgumentError("background_tokens", tokens, "only with a background")
    path = {"path": path} if isinstance(path, str) else path
    # Anything else is refused where it is read.
    return {**path, "tokens": tokens} if isinstance(path, Mapping) else path


def read_background(
    told: Any, beside: Path, end: int, vocabulary: int | None, *, moved: bool = False
) -> tuple[Background | None, dict[str, Any] | None]:
    """Return the background that a spec names, and its table for the engine.

    Parameters
    ----------
    told : mapping, str or None
        ``path`` (in a corpus directory by default the path in `BACKGROUND_FILE` or, if nothing is
        there, its name beside the directory), ``digest``, ``tokens``; or the path alone.
    beside : Path
        Folder of the spec, which a path is relative to.
    end : int
        The token that ends a document.
    vocabulary : int, optional
        Number of token ids of the tokenizer, if there is one.
    moved : bool
        Whether a path beside a digest is a new one, whose documents may be others.

    Raises
    ------
    ArgumentError
        When `told` is not valid, the path leads to no background, or that of a corpus directory has
        changed since.
    CorpusError
        When `BACKGROUND_FILE` is damaged, or there is nothing at either of its two places.
    """
    if told is None:
        return None, None
    if isinstance(told, str):
        told = {"path": told}
    allowed = "a path, or a table with path and tokens"
    if not isinstance(told, Mapping):
        raise ArgumentError("background", toml_text(told), allowed)
    known = ("path", "tokens", "digest")
    for key, value in told.items():
        if key not in known:
            raise ArgumentError.unknown(("background", key), key, known)
        if key == "path" and (not isinstance(value, str) or not value):
            raise ArgumentError(("background", key), toml_text(value), "a path")
    path, noted = told.get("path"), beside / BACKGROUND_FILE
    is_noted = path is None and noted.is_file()
    if is_noted:
        path = _noted_place(noted, told.get("tokens"))
    if not isinstance(path, str):
        raise ArgumentError("background", "no path", allowed)
    table = {key: value for key, value in told.items() if key != "path"}
    made = Background._within(found(beside / path), end, vocabulary)
    if is_noted and "digest" in table:
        _check_unchanged(made, table["digest"], beside)
    elif moved and table.get("digest") != made.native.digest:
        table.pop("digest", None)
    return made, table


def _check_unchanged(background: Background, digest: object, directory: Path) -> None:
    """Refuse files that are not, or no longer, those that a corpus was made with."""
    try:
        if background.native.digest == digest:
            return
        what = "other tokens or ends of documents"
    except ArgumentError as error:
        what = str(error.got)
    got = f"{background.path} with {what}"
    allowed = f"the files that {directory} was made with, there or beside it"
    raise ArgumentError("background", got, allowed)


def _noted_place(file: Path, tokens: Any) -> str:
    """Return where the background in a `BACKGROUND_FILE` is now.

    A project that was moved, or fetched, has it beside the directory.
    """
    noted, directory = Path(_noted_path(file)), file.parent
    for place in (noted, directory.absolute().parent / noted.name):
        if found(place).exists():
            return fspath(place)
    said = f"{directory}: its background has moved from {noted}: put it there or beside {directory}"
    if (directory / MANIFEST).is_file():  # a run has no command that writes its path
        number = "" if tokens is None else f" --background-tokens {tokens}"
        repair = f"gen --spec {directory} --background PATH{number} --out {directory}"
        said += f", or write its new path: `behemoth {repair}`"
    raise CorpusError(said)


def _noted_path(file: Path) -> str:
    """Return the path in a `BACKGROUND_FILE`."""
    path = read_object(file, "path of a background").get("path")
    if not isinstance(path, str):
        raise no_record(file, "path of a background")
    return path
