"""Token width and document ends of one file of raw tokens."""

from __future__ import annotations

from dataclasses import dataclass
from os import fspath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behemoth.support.errors import ArgumentError

__all__ = ["TokenFile", "fitted", "raw_ends"]


@dataclass(frozen=True)
class TokenFile:
    """A file of raw little-endian tokens.

    Attributes
    ----------
    width : int
        Bytes of a token, 2 or 4.
    ends : uint64[documents], optional
        One past the last token of each document.
    """

    width: int
    ends: NDArray[np.uint64] | None


def raw_ends(index: Path) -> NDArray[np.uint64]:
    """Read one past the last token of each document from a file of raw uint64."""
    data = index.read_bytes()
    if len(data) % 8 or not data:
        raise ArgumentError("background", f"{fspath(index)} of {len(data)} bytes", "raw uint64")
    return np.frombuffer(data, "<u8").astype(np.uint64)


def fitted(file: Path, index: Path, ends: NDArray[np.uint64]) -> TokenFile:
    """Return the token file with the width at which the last document ends at the end of the file.

    Raises
    ------
    ArgumentError
        When neither 2 nor 4 bytes fit.
    """
    size, last = file.stat().st_size, int(ends[-1]) if len(ends) else 0
    if last == 0 or size % last or size // last not in (2, 4):
        raise ArgumentError(
            "background",
            f"{fspath(index)}, which does not fit the {size} bytes beside it",
            "ends of documents in 2- or 4-byte tokens, the last where the file ends",
        )
    return TokenFile(size // last, ends)
