"""``NAME.bin`` of raw tokens beside ``NAME.idx``: Megatron's index, or raw ends of documents."""

from __future__ import annotations

import struct
from os import fspath
from pathlib import Path

import numpy as np

from behemoth.support.errors import ArgumentError

from .tokens import TokenFile, fitted, raw_ends

__all__ = ["MAGIC", "WIDTHS", "read"]

MAGIC = b"MMIDIDX\0\0"
WIDTHS = {8: 2, 4: 4}  # bytes of Megatron's types uint16 and int32


def read(file: Path, vocabulary: int | None) -> TokenFile:
    """Read the index of ``NAME.bin``."""
    index = file.with_suffix(".idx")
    if not index.is_file():
        raise ArgumentError(
            "background", f"{fspath(file)} without {index.name}", "NAME.bin beside NAME.idx"
        )
    with index.open("rb") as opened:
        megatron = opened.read(len(MAGIC)) == MAGIC
    return _read_megatron(file, index) if megatron else fitted(file, index, raw_ends(index))


def _read_megatron(file: Path, index: Path) -> TokenFile:
    data = index.read_bytes()
    try:
        _, code, sequences, documents = struct.unpack_from("<QBQQ", data, len(MAGIC))
        start = len(MAGIC) + struct.calcsize("<QBQQ")
        lengths = np.frombuffer(data, "<i4", sequences, start)
        places = np.frombuffer(data, "<i8", sequences, start + 4 * sequences)
        firsts = np.frombuffer(data, "<i8", documents, start + 12 * sequences)
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        document_ends = ends[firsts[1:]].astype(np.uint64)
    except (struct.error, ValueError, IndexError, OverflowError):
        raise ArgumentError(
            "background", f"{fspath(index)}, which is damaged", "a Megatron index"
        ) from None
    if code not in WIDTHS:
        raise ArgumentError("background", f"{fspath(index)}, type {code}", "uint16 or int32")
    if not np.array_equal(places, ends[:-1] * WIDTHS[code]):
        raise ArgumentError("background", f"{fspath(index)}, with gaps", "contiguous sequences")
    size, expected = file.stat().st_size, int(ends[-1]) * WIDTHS[code]
    if size != expected:
        raise ArgumentError(
            "background",
            f"{fspath(file)} of {size:,} bytes",
            f"the {expected:,} bytes of the sequences in {index.name}",
        )
    return TokenFile(WIDTHS[code], document_ends)
