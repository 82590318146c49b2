"""Documents of an existing tokenised corpus, to stand between those of a corpus.

What can be read, a file or a directory of them:

- a corpus directory of Behemoth's, complete, with the vocabulary of the corpus;
- ``NAME.bin`` beside ``NAME.idx`` of Megatron's indexed datasets, in uint16 or int32;
- ``NAME.bin`` of raw little-endian tokens beside ``NAME.idx`` of raw uint64, one past the last
  token of each document; whether tokens are uint16 or uint32 follows from the two sizes.

The tokens must be those of the corpus's own tokenizer. They are read where they lie, whenever the
corpus is made; a corpus names them by their digest, which takes a pass over the files to check.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behemoth import _gen
from behemoth.support.errors import ArgumentError
from behemoth.support.text import toml_text

BACKGROUND_FILE = "background.json"
"""In a corpus directory: where its background lies."""

_MEGATRON = b"MMIDIDX\0\0"
_WIDTHS = {8: 2, 4: 4}
_ALLOWED = "a corpus directory, or NAME.bin beside NAME.idx"


@dataclass(frozen=True)
class Background:
    """Documents of an existing tokenised corpus.

    Parameters
    ----------
    path : Path
        A directory, or the name of a file with or without ``.bin``.
    end : int
        The token that ends a document of the corpus that they are to stand in.

    Raises
    ------
    ArgumentError
        When there is nothing that can be read.
    """

    path: Path
    end: int = 0

    @cached_property
    def native(self) -> _gen.Background:
        """The documents, ready to be read."""
        manifest = self.path / "manifest.json"
        if manifest.is_file():
            return self._directory(json.loads(manifest.read_text(encoding="utf-8")))
        files = sorted(self.path.glob("*.bin")) if self.path.is_dir() else [self.path]
        if not all(file.is_file() for file in files):
            files = []
        if not files:
            raise ArgumentError("background", fspath(self.path), _ALLOWED)
        widths, ends, first = set[int](), list[NDArray[np.uint64]](), 0
        for file in files:
            width, own = _read_index(file)
            widths.add(width)
            ends.append(own + np.uint64(first))
            first += file.stat().st_size // width
        if len(widths) > 1:
            raise ArgumentError("background", "files of uint16 and of uint32", "one of them")
        names = [fspath(file) for file in files]
        return _gen.Background(names, widths.pop(), self.end, np.concatenate(ends))

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

    def __getstate__(self) -> tuple[Path, int]:
        return self.path, self.end

    def __setstate__(self, state: tuple[Path, int]) -> None:
        for name, value in zip(("path", "end"), state, strict=True):
            object.__setattr__(self, name, value)


def _read_index(file: Path) -> tuple[int, NDArray[np.uint64]]:
    """Bytes of a token, and one past the last token of each document, of ``NAME.bin``."""
    index = file.with_suffix(".idx")
    if not index.is_file():
        raise ArgumentError("background", f"{fspath(file)} without {index.name}", _ALLOWED)
    data, size = index.read_bytes(), file.stat().st_size
    if data.startswith(_MEGATRON):
        return _read_megatron(index, data)
    ends = np.frombuffer(data[: len(data) // 8 * 8], "<u8").astype(np.uint64)
    last = int(ends[-1]) if len(ends) else 0
    if len(data) % 8 or last == 0 or size % last or size // last not in (2, 4):
        raise ArgumentError(
            "background",
            f"{fspath(index)}, which does not fit the {size} bytes beside it",
            "Megatron's index, or raw uint64 that end at the number of 2- or 4-byte tokens",
        )
    return size // last, ends


def _read_megatron(index: Path, data: bytes) -> tuple[int, NDArray[np.uint64]]:
    head = struct.calcsize("<QBQQ")
    start = len(_MEGATRON) + head
    _, code, sequences, documents = struct.unpack_from("<QBQQ", data, len(_MEGATRON))
    if code not in _WIDTHS:
        raise ArgumentError("background", f"{fspath(index)}, type {code}", "uint16 or int32")
    lengths = np.frombuffer(data, "<i4", sequences, start)
    places = np.frombuffer(data, "<i8", sequences, start + 4 * sequences)
    firsts = np.frombuffer(data, "<i8", documents, start + 12 * sequences)
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    if not np.array_equal(places, ends[:-1] * _WIDTHS[code]):
        raise ArgumentError(
            "background", f"{fspath(index)}, with gaps", "sequences one after the other"
        )
    return _WIDTHS[code], ends[firsts[1:]].astype(np.uint64)


def _found(path: Path) -> Path:
    """A directory or a file, whose ``.bin`` may be left out; noted so that it stays the one."""
    named = Path(f"{path}.bin")
    return (named if named.is_file() and not path.exists() else path).absolute()


def background_of(
    background: Background | str | PathLike[str] | None, tokens: int | None, end: int
) -> tuple[Background | None, dict[str, Any] | None]:
    """Make of what a user names a background, and what a spec says of it."""
    if background is None:
        if tokens is not None:
            raise ArgumentError("background_tokens", tokens, "none without a background")
        return None, None
    path = background.path if isinstance(background, Background) else Path(background)
    return Background(_found(path), end), {"tokens": tokens}


def read_background(
    told: Any, beside: Path, end: int
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
    return Background(_found(beside / path), end), table
