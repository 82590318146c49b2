"""Token files of other tools: how to find them, and the width of their tokens.

All kinds contain raw little-endian tokens and differ in the files beside them: the reader of a kind
returns the number of bytes of a token and the ends of documents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import fspath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behemoth.support.checks import as_found
from behemoth.support.errors import ArgumentError

from . import binary, datatrove, olmo
from .tokens import TokenFile

__all__ = ["ALLOWED", "TokenFiles", "found", "open_files"]

ALLOWED = (
    "a corpus directory, NAME.bin beside NAME.idx, NAME.ds beside NAME.ds.index, NAME.npy, or a "
    "directory of such files"
)

_READERS: dict[str, Callable[[Path, int | None], TokenFile]] = {
    ".bin": binary.read,
    ".ds": datatrove.read,
    ".npy": olmo.read,
}
"""Readers by the suffix of a file name; their arguments are the file and the vocabulary size."""


@dataclass(frozen=True)
class TokenFiles:
    """Files of one kind, read one after the other.

    Attributes
    ----------
    paths : list of str
    width : int
        Bytes of a token, 2 or 4.
    ends : uint64[documents], optional
        One past the last token of each document, counted over all files; if None, documents end
        at their end-of-document tokens.
    """

    paths: list[str]
    width: int
    ends: NDArray[np.uint64] | None


def found(path: Path) -> Path:
    """Return the absolute path of a directory or of a file, whose suffix may be omitted."""
    if not path.exists():
        named = (Path(f"{path}{ending}") for ending in _READERS)
        path = next((file for file in named if file.is_file()), path)
    return path.absolute()


def open_files(path: Path, vocabulary: int | None) -> TokenFiles:
    """Read the width and document ends of a token file, or of all those in a directory.

    Raises
    ------
    ArgumentError
        When there are no files that can be read, or they differ in kind or width.
    """
    files = sorted(file for file in path.iterdir()) if path.is_dir() else [path]
    files = [file for file in files if file.is_file() and file.suffix in _READERS]
    endings = {file.suffix for file in files}
    if not files:
        raise ArgumentError("background", as_found(path), ALLOWED)
    if len(endings) > 1:
        raise ArgumentError("background", f"{' and '.join(sorted(endings))} files", "one kind")
    reader = _READERS[endings.pop()]
    read = [reader(file, vocabulary) for file in files]
    if len({own.width for own in read}) > 1:
        raise ArgumentError("background", "files of uint16 and of uint32", "one of them")
    ends, first = list[NDArray[np.uint64]](), 0
    for file, own in zip(files, read, strict=True):
        if own.ends is not None:
            ends.append(own.ends + np.uint64(first))
        first += file.stat().st_size // own.width
    if ends and len(ends) < len(files):
        raise ArgumentError("background", "files with and without ends of documents", "one of them")
    return TokenFiles(
        [fspath(file) for file in files],
        read[0].width,
        np.concatenate(ends) if ends else None,
    )
