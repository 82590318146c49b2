"""Token files of OLMo-core: raw tokens that are called ``NAME.npy`` and have no such header.

Where documents end lies beside them in ``NAME.csv.gz``, whose lines begin with start and end; or
nowhere, and then each ends with the token that ends a document. The width of a token is said
nowhere: it follows from these ends, or is the least that holds the vocabulary, as OLMo-core has it.
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
    """Read what lies beside ``NAME.npy``."""
    with file.open("rb") as opened:
        if opened.read(len(_HEADER)) == _HEADER:
            raise ArgumentError(
                "background", f"{fspath(file)}, an array of numpy's", "raw tokens, as OLMo has them"
            )
    index = file.with_suffix(".csv.gz")
    if not index.is_file():
        return TokenFile(4 if (vocabulary or 0) > 1 << 16 else 2, None)
    try:
        with gzip.open(index, "rt", encoding="utf-8") as lines:
            ends = np.array([int(line.split(",")[1]) for line in lines], np.uint64)
    except (OSError, EOFError, zlib.error, ValueError, IndexError):
        raise ArgumentError(
            "background", fspath(index), "lines that begin with start,end of a document"
        ) from None
    return fitted(file, index, ends)
