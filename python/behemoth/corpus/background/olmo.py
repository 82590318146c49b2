"""Token files of OLMo-core: raw tokens in files named ``NAME.npy``, without numpy's header.

Ends of documents are in ``NAME.csv.gz`` beside them, whose lines begin with start and end; without
that file each document ends with the end-of-document token. The width of a token is not stored: it
follows from these ends, or is the smallest that fits the vocabulary, as in OLMo-core.
"""

from __future__ import annotations

import gzip
import zlib
from os import fspath
from pathlib import Path

import numpy as np

from behemoth.support.errors import ArgumentError

from .tokens import TokenFile, fitted

__all__ = ["read"]

_HEADER = b"\x93NUMPY"


def read(file: Path, vocabulary: int | None) -> TokenFile:
    """Read the file beside ``NAME.npy``, if it exists."""
    with file.open("rb") as opened:
        if opened.read(len(_HEADER)) == _HEADER:
            raise ArgumentError(
                "background", f"{fspath(file)}, a numpy array", "raw tokens of OLMo-core"
            )
    index = file.with_suffix(".csv.gz")
    if not index.is_file():
        return TokenFile(4 if (vocabulary or 0) > 1 << 16 else 2, None)
    try:
        with gzip.open(index, "rt", encoding="utf-8") as lines:
            ends = np.array([int(line.split(",")[1]) for line in lines], np.uint64)
    except (OSError, EOFError, zlib.error, ValueError, IndexError, OverflowError):
        raise ArgumentError(
            "background", fspath(index), "lines that begin with start,end of a document"
        ) from None
    return fitted(file, index, ends)
