"""Decoding of many documents to text: in the engine if a table of bytes is sufficient.

A table has two entries of bytes for every token: at the beginning of a document, and after another
token. This is sufficient for names separated by spaces, a grammar's own words, the bytes of a
byte-level BPE, and pieces that mark the beginning of words. Other tokenizers (byte fallback,
suffixes that end a word) are decoded by their own library, in batches.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from behemoth import _gen
from behemoth.support.errors import ArgumentError

from .text_tokenizer import TOKENIZER_FILE, TextTokenizer

__all__ = ["Decoder", "table_decoder", "text_decoder"]

# Tokens that a library decodes at once: their lists of Python take 40 bytes each.
_AT_ONCE = 1 << 18
_LOCAL = {None, "Metaspace", "WordPiece", "Fuse"}  # decoders that ignore neighbouring tokens


class Decoder(Protocol):
    """Writes documents as text."""

    def write_lines(self, path: Path, pieces: Iterable[NDArray[Any]]) -> str:
        """Write a file of UTF-8 with a line for each document.

        Parameters
        ----------
        path : path
        pieces : iterable of uint16[n] or uint32[n]
            Complete documents with the tokens that end them. A line break inside a document
            is written as a space.

        Returns
        -------
        str
            BLAKE3 digest of the file.
        """
        ...

    def texts(self, tokens: NDArray[Any], ends: NDArray[np.uint64]) -> list[str]:
        """Return documents as texts.

        Parameters
        ----------
        tokens : uint16[n] or uint32[n]
        ends : uint64[documents]
            One past the last token of each document, in non-decreasing order; the last token is
            omitted from the text.
        """
        ...

    def write_parquet(self, path: Path, tokens: NDArray[Any], compressed: bool = True) -> str:
        """Write a Parquet file of complete documents: their texts, and their tokens with the ends.

        Returns
        -------
        str
            BLAKE3 digest of the file.
        """
        ...


def text_decoder(tokenizer: TextTokenizer, end: int) -> Decoder:
    """Return a decoder whose results equal `TextTokenizer.decode` of each document.

    Parameters
    ----------
    tokenizer : TextTokenizer
    end : int
        The token that ends a document.
    """
    table = _table(tokenizer)
    return _Library(tokenizer, end) if table is None else table_decoder(*table, end)


def table_decoder(opening: Sequence[bytes], within: Sequence[bytes], end: int) -> Decoder:
    """Return a decoder with the bytes of each token, first in a document and within one.

    Parameters
    ----------
    opening, within : sequence of bytes, by token id
    end : int
        The token that ends a document.
    """
    return _gen.Decoder(
        b"".join(opening), _ends(map(len, opening)), b"".join(within), _ends(map(len, within)), end
    )


def _ends(lengths: Iterable[int]) -> NDArray[np.uint64]:
    return np.cumsum(np.fromiter(lengths, np.uint64), dtype=np.uint64)


class _Library:
    """Decodes with the tokenizer's own library."""

    def __init__(self, tokenizer: TextTokenizer, end: int) -> None:
        self._tokenizer, self._end = tokenizer, end

    def write_lines(self, path: Path, pieces: Iterable[NDArray[Any]]) -> str:
        with path.open("wb") as file:
            for tokens in pieces:
                ends = np.flatnonzero(tokens == self._end) + 1
                lines = (" ".join(text.splitlines()) for text in self.texts(tokens, ends))
                file.write("".join([f"{line}\n" for line in lines]).encode())
        return _gen.digest_file(path)

    def texts(self, tokens: NDArray[Any], ends: NDArray[Any]) -> list[str]:
        falls = np.flatnonzero(ends[1:] < ends[:-1])
        if len(falls):
            at = int(falls[0])
            raise ArgumentError(
                "ends", f"{ends[at + 1]} after {ends[at]}", "ends that do not decrease"
            )
        stops, ids = ends.tolist(), tokens.tolist()
        documents = [ids[a : max(a, b - 1)] for a, b in pairwise([0, *stops])]
        return self._tokenizer.decode_batch(documents)

    def write_parquet(self, path: Path, tokens: NDArray[Any], compressed: bool = True) -> str:
        ends = np.flatnonzero(tokens == self._end) + 1
        parts = np.searchsorted(ends, range(_AT_ONCE, len(tokens), _AT_ONCE))
        joined, lengths, begin = bytearray(), list[int](), 0
        for part in np.split(ends, parts):
            if len(part):
                decoded = self.texts(tokens[begin : part[-1]], part - begin)
                texts = [text.encode() for text in decoded]
                joined += b"".join(texts)
                lengths += map(len, texts)
                begin = int(part[-1])
        text = np.frombuffer(joined, np.uint8)
        ended = ends.astype(np.uint64)
        made = _gen.parquet_documents(text, _ends(lengths), tokens, ended, compressed)
        file = made.tobytes()
        path.write_bytes(file)
        return _gen.digest(file)


def _table(tokenizer: TextTokenizer) -> tuple[list[bytes], list[bytes]] | None:
    """Return the bytes of every token, or None if a table is not sufficient."""
    kind = (json.loads(tokenizer.files[TOKENIZER_FILE]).get("decoder") or {}).get("type")
    if kind == "ByteLevel":
        opening = within = [_bytes_of(name) for name in tokenizer.names]
    elif kind in _LOCAL and "" not in tokenizer.names:
        opening, within = _probed(tokenizer)
    else:
        return None
    return (opening, within) if _agrees(tokenizer, opening, within) else None


def _probed(tokenizer: TextTokenizer) -> tuple[list[bytes], list[bytes]]:
    """Return the library's text of each token alone, and after token 0."""
    ids = range(tokenizer.size)
    before = tokenizer.decode([0])
    opening = tokenizer.decode_batch([[token] for token in ids])
    behind = tokenizer.decode_batch([[0, token] for token in ids])
    within = [text[len(before) :] for text in behind]
    return [text.encode() for text in opening], [text.encode() for text in within]


def _agrees(tokenizer: TextTokenizer, opening: list[bytes], within: list[bytes]) -> bool:
    """Return whether table and library decode all tokens alike, in ascending and falling order."""
    ids = list(range(tokenizer.size))

    def said(order: list[int]) -> str:
        written = [opening[order[0]], *(within[token] for token in order[1:])] if order else []
        return b"".join(written).decode(errors="replace")

    return all(said(order) == tokenizer.decode(order) for order in (ids, ids[::-1]))


def _letters() -> dict[str, int]:
    """Return the letter of each byte in byte-level tokenizers; printable ones are unchanged."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(256 + number): byte for number, byte in enumerate(others)
    }


def _byte_maker() -> Callable[[str], bytes]:
    letters = _letters()

    def bytes_of(name: str) -> bytes:
        """Return the bytes of a name; a name with other letters is encoded as UTF-8."""
        if all(letter in letters for letter in name):
            return bytes(letters[letter] for letter in name)
        return name.encode()

    return bytes_of


_bytes_of = _byte_maker()
