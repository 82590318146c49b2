"""Documents of an existing tokenised corpus, to stand between those of a corpus.

What can be read, a file or a directory of them:

- a corpus directory of Behemoth's, complete, with the vocabulary of the corpus;
- ``NAME.bin`` beside ``NAME.idx`` of Megatron's indexed datasets, in uint16 or int32;
- ``NAME.bin`` of raw little-endian tokens beside ``NAME.idx`` of raw uint64, one past the last
  token of each document; whether tokens are uint16 or uint32 follows from the two sizes;
- ``NAME.ds`` beside ``NAME.ds.index`` of datatrove and nanotron;
- ``NAME.npy`` of OLMo-core, raw tokens, perhaps beside ``NAME.csv.gz``.

Text, and rows of tokens in Parquet, Arrow or LitData's chunks, are made one of these by
`behemoth.corpus.encode_documents`.

The tokens must be those of the corpus's own tokenizer. They are read where they lie, whenever the
corpus is made; a corpus names them by their digest, which takes a pass over the files to check.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from behemoth import _gen
from behemoth.support.errors import ArgumentError
from behemoth.support.text import toml_text

from .files import found, open_files

BACKGROUND_FILE = "background.json"
"""In a corpus directory: where its background lies."""


@dataclass(frozen=True)
class Background:
    """Documents of an existing tokenised corpus.

    Parameters
    ----------
    path : Path
        A directory, or the name of a file with or without ``.bin``.
    end : int
        The token that ends a document of the corpus that they are to stand in.
    vocabulary : int, optional
        Number of token ids of the tokenizer, if there is one: where files do not say how wide a
        token is.

    Raises
    ------
    ArgumentError
        When there is nothing that can be read.
    """

    path: Path
    end: int = 0
    vocabulary: int | None = None

    @cached_property
    def native(self) -> _gen.Background:
        """The documents, ready to be read."""
        manifest = self.path / "manifest.json"
        if manifest.is_file():
            return self._directory(json.loads(manifest.read_text(encoding="utf-8")))
        files = open_files(self.path, self.vocabulary)
        return _gen.Background(files.paths, files.width, self.end, files.ends)

    def _directory(self, manifest: Mapping[str, Any]) -> _gen.Background:
        if not manifest.get("complete"):
            raise ArgumentError("background", fspath(self.path), "a corpus that is complete")
        files = [fspath(self.path / shard["file"]) for shard in manifest["shards"]]
        return _gen.Background(files, np.dtype(manifest["dtype"]).itemsize, self.end, None)

    @property
    def note(self) -> bytes:
        """What a directory says of where it lies."""
        return json.dumps({"path": fspath(self.path)}).encode()

    def check(self, vocabulary: Mapping[str, Any]) -> None:
        """Refuse a corpus directory whose token ids mean something else.

        Parameters
        ----------
        vocabulary : mapping
            The partition of the token ids of the corpus that it is to stand in.
        """
        manifest = self.path / "manifest.json"
        if not manifest.is_file():
            return
        theirs = json.loads(manifest.read_text(encoding="utf-8"))["vocabulary"]["ranges"]
        # The words of a filler come last, and move no other.
        if theirs != vocabulary["ranges"][: len(theirs)]:
            raise ArgumentError(
                "background", f"{fspath(self.path)}, of another vocabulary", "the corpus's own"
            )

    def __getstate__(self) -> tuple[Path, int, int | None]:
        return self.path, self.end, self.vocabulary

    def __setstate__(self, state: tuple[Path, int, int | None]) -> None:
        for name, value in zip(("path", "end", "vocabulary"), state, strict=True):
            object.__setattr__(self, name, value)


def background_of(
    background: Background | str | PathLike[str] | None,
    tokens: int | None,
    end: int,
    vocabulary: int | None,
) -> tuple[Background | None, dict[str, Any] | None]:
    """Make of what a user names a background, and what a spec says of it."""
    if background is None:
        if tokens is not None:
            raise ArgumentError("background_tokens", tokens, "only with a background")
        return None, None
    path = background.path if isinstance(background, Background) else Path(background)
    return Background(found(path), end, vocabulary), {"tokens": tokens}


def read_background(
    told: Any, beside: Path, end: int, vocabulary: int | None
) -> tuple[Background | None, dict[str, Any] | None]:
    """Give the background that a spec names, and what the engine is told of it.

    Parameters
    ----------
    told : mapping or None
        ``path`` (or in a corpus directory the path that is noted there), ``digest``, ``tokens``.
    beside : Path
        Where the spec lies, from where a path is seen.
    end : int
        The token that ends a document.
    vocabulary : int, optional
        Number of token ids of the tokenizer, if there is one.
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
        if key == "path" and not isinstance(value, str):
            raise ArgumentError(("background", key), toml_text(value), "a path")
    path, noted = told.get("path"), beside / BACKGROUND_FILE
    if path is None and noted.is_file():
        path = json.loads(noted.read_text(encoding="utf-8"))["path"]
    if not isinstance(path, str):
        raise ArgumentError("background", "no path", allowed)
    table = {key: value for key, value in told.items() if key != "path"}
    return Background(found(beside / path), end, vocabulary), table
