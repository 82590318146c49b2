"""Encoding of existing documents, text or rows of tokens, to a file that can be a background.

The inputs are JSON lines, Parquet, Arrow (as `datasets` saves it to disk) and chunks of LitData.
The output, ``NAME.bin`` beside ``NAME.idx``, is read in place whenever a corpus is made, so all
tokens must be on the disk; a background of a hundred billion tokens is better left in a format
that is read directly (`behemoth.corpus.background`).

Text is only text: names of special tokens in it, such as ``<|endoftext|>`` on a page about
tokenizers, are encoded as their letters. Only the name of the end of document at the end of a text
is its end.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.support.checks import as_found, path_of
from behemoth.support.errors import ArgumentError
from behemoth.support.files import left_by_writers, replacing
from behemoth.support.locks import sole
from behemoth.support.parquet import panics_are_errors
from behemoth.support.progress import ProgressLike, task

from .text_tokenizer import TextTokenizer, read_tokenizer

__all__ = ["encode_documents"]

_ROWS = 4_096  # documents in memory at a time
_PIECE = 1 << 20  # tokens of a LitData chunk in memory at a time, unless a document is longer
_COLUMNS = ("text", "input_ids")
_ALLOWED = "files .jsonl, .parquet or .arrow, directories of them, or a directory of LitData chunks"
# LitData's codes of the token dtypes.
_LITDATA = {16: "<i4", 20: "<u2"}


def encode_documents(
    source: str | PathLike[str],
    tokenizer: TextTokenizer | str | PathLike[str],
    out: str | PathLike[str],
    *,
    column: str | None = None,
    progress: ProgressLike = None,
) -> int:
    """Write documents as tokens that ``--background`` reads.

    Parameters
    ----------
    source : path
        A file of JSON lines (``.jsonl``), of Parquet or of Arrow's streams, or a directory of
        such files, which are read in the order of their names; or a directory of LitData's chunks.
    tokenizer : TextTokenizer or path
        Tokenizer that encodes text. Rows of tokens must already use its ids; its end of document
        inside a row ends a document there.
    out : path
        ``NAME`` or ``NAME.bin``: tokens are written to ``NAME.bin`` (uint16 or uint32), ends of
        documents to ``NAME.idx`` (uint64).
    column : str, optional
        Key or column with text, or lists of token ids. By default ``text``, or else
        ``input_ids``. Not allowed with LitData's chunks.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Returns
    -------
    int
        Number of tokens.

    Raises
    ------
    ArgumentError
        When there is nothing to read, a token is not in the tokenizer, the tokenizer has no other
        tokens for a text with the name of its end of document, or an output file exists.
    CorpusError
        When another process is writing these files.
    """
    made = read_tokenizer(tokenizer)
    place = path_of("source", source, _ALLOWED)
    named = path_of("out", out)
    target = named if named.suffix == ".bin" else Path(f"{named}.bin")
    index = target.with_suffix(".idx")
    # Until the index is there, its writer has a folder beside it, or has left one.
    if index.exists() or (target.exists() and not any(left_by_writers(index))):
        file = target if target.exists() else index
        raise ArgumentError("out", fspath(out), f"a name without {fspath(file)}")
    files, read = _reader(place, column, made.end_of_document)
    width = np.dtype("<u2" if made.size <= 1 << 16 else "<u4")
    total, ends = 0, list[NDArray[np.uint64]]()
    # The index is written last: tokens without an index are not read.
    with _both_or_none(target, index) as at_last:
        with replacing(target) as temporary, task(progress, "encoding", "files") as step:
            with temporary.open("wb") as tokens:
                for number, file in enumerate(files):
                    for part in _documents(read(file), made, file):
                        tokens.write(part.flat.astype(width).tobytes())
                        ends.append(np.cumsum(part.lengths).astype(np.uint64) + np.uint64(total))
                        total += len(part.flat)
                    step(number + 1, len(files))
            if total == 0:
                raise ArgumentError("source", f"{fspath(source)}, without a token", _ALLOWED)
        np.concatenate(ends).astype("<u8").tofile(at_last)
    return total


@contextmanager
def _both_or_none(target: Path, index: Path) -> Generator[Path]:
    """Yield a temporary name for the index, in a folder that is there before `target` is.

    If the block fails or a signal stops it, neither file is left, or the same command would
    refuse them afterwards. A second writer is refused.
    """
    ours = False
    try:
        with replacing(index) as temporary:
            for room in left_by_writers(index):
                if room != temporary.parent:
                    with sole(room, f"writing to {index}"):
                        pass
            ours = True
            yield temporary
    except BaseException:
        if ours:
            target.unlink(missing_ok=True)
            index.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class _Tokens:
    """Concatenated documents: int64[tokens], and the length of each: int64[documents]."""

    flat: NDArray[np.int64]
    lengths: NDArray[np.int64]


_Chunk = list[str] | _Tokens
_Chunks = Iterator[_Chunk]
_Read = Callable[[Path], _Chunks]


def _reader(place: Path, column: str | None, end: int) -> tuple[list[Path], _Read]:
    """Return the files to read, and the function that reads one."""
    readers: dict[str, _Read] = {
        ".jsonl": lambda file: _read_lines(file, column),
        ".parquet": lambda file: _parquet(file, column),
        ".arrow": lambda file: _arrow(file, column),
    }
    if (place / "index.json").is_file():
        if column is not None:
            raise ArgumentError("column", column, "not with chunks of LitData")
        return _litdata(place, end)
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    files = [file for file in files if file.suffix in readers and file.is_file()]
    kinds = {file.suffix for file in files}
    if not files:
        raise ArgumentError("source", as_found(place), _ALLOWED)
    if len(kinds) > 1:
        found = as_found(place, f"a directory of {' and '.join(sorted(kinds))} files")
        raise ArgumentError("source", found, "files of one kind: .jsonl, .parquet or .arrow")
    return files, readers[kinds.pop()]


def _documents(chunks: _Chunks, tokenizer: TextTokenizer, file: Path) -> Iterator[_Tokens]:
    """Yield documents as tokens, with their ends of document."""
    end, before = tokenizer.end_of_document, 0
    for chunk in chunks:
        if not isinstance(chunk, _Tokens):
            texts = [text.removesuffix(tokenizer.end) for text in chunk]
            chunk = _tokens_of([one.ids for one in tokenizer.encode_plain(texts)])
            if (cut := np.flatnonzero(chunk.flat == end)).size:
                number = before + np.searchsorted(np.cumsum(chunk.lengths), cut[0], "right") + 1
                raise ArgumentError(
                    "source",
                    f"document {number} of {fspath(file)}, whose text has {tokenizer.end}",
                    "text without it, because this tokenizer has no other tokens for it",
                )
        flat, lengths = chunk.flat, chunk.lengths
        before += len(lengths)
        if len(flat) and not 0 <= flat.min() <= flat.max() < tokenizer.size:
            bad = flat.min() if flat.min() < 0 else flat.max()
            raise ArgumentError(
                "source", f"token {bad} in {fspath(file)}", f"tokens below {tokenizer.size}"
            )
        # An end inside a row ends a document, as it does in the stream.
        stops = np.cumsum(lengths)
        inner = np.setdiff1d(np.flatnonzero(flat == end) + 1, stops)
        stops = np.sort(np.concatenate([stops, inner]))
        lengths = np.diff(stops, prepend=0)
        # Documents that already have an end of document are unchanged.
        open_ = np.ones(len(lengths), np.bool_)
        some = lengths > 0
        open_[some] = flat[stops[some] - 1] != end
        yield _Tokens(np.insert(flat, stops[open_], end), lengths + open_)


def _tokens_of(rows: Sequence[Sequence[int]]) -> _Tokens:
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return _Tokens(np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum())), lengths)


def _read_lines(file: Path, column: str | None) -> _Chunks:
    rows: list[Any] = []
    # Bytes that are not UTF-8 are kept as halves of surrogate pairs, so that their line is known.
    # A byte order mark is passed over, which programs of Windows write.
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            own = _row(line, column)
            if not _is_text(line) or (isinstance(own, str) and not _is_text(own)):
                got = f"line {number} of {fspath(file)}, which is not UTF-8"
                raise ArgumentError("source", got, "UTF-8 text without halves of surrogate pairs")
            if own is None:
                wanted = repr(column) if column else " or ".join(map(repr, _COLUMNS))
                raise ArgumentError(
                    "source",
                    f"line {number} of {fspath(file)}",
                    f"an object with {wanted}, a text or a list of token ids",
                )
            if rows and (len(rows) == _ROWS or type(own) is not type(rows[0])):
                yield _chunk(rows)
                rows = []
            rows.append(own)
    if rows:
        yield _chunk(rows)


def _row(line: str, column: str | None) -> str | list[int] | None:
    try:
        row = json.loads(line)
        own = row[column or next(name for name in _COLUMNS if name in row)]
    except (ValueError, TypeError, KeyError, StopIteration, RecursionError):
        return None
    tokens = isinstance(own, list) and all(
        type(token) is int and abs(token) < 1 << 63 for token in own
    )
    return own if tokens or isinstance(own, str) else None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _chunk(rows: list[Any]) -> _Chunk:
    return rows if isinstance(rows[0], str) else _tokens_of(rows)


def _of_column(series: pl.Series, file: Path) -> _Chunk:
    """Return the documents in a part of a column; nulls are skipped."""
    series = series.drop_nulls()
    if series.dtype == pl.String:
        return series.to_list()
    try:
        lists = series.cast(pl.List(pl.Int64))
    except pl.exceptions.PolarsError:
        got = f"a token of {fspath(file)} that has more than 63 bits"
        raise ArgumentError("source", got, "token ids of the tokenizer") from None
    return _Tokens(
        lists.explode(empty_as_null=False).to_numpy(), lists.list.len().to_numpy().astype(np.int64)
    )


def _parquet(file: Path, column: str | None) -> _Chunks:
    try:
        scan = pl.scan_parquet(file, glob=False)
        with panics_are_errors():
            key = _column(scan.collect_schema(), column, file)
            rows = scan.select(pl.len()).collect().item()
        for first in range(0, rows, _ROWS):
            with panics_are_errors():
                values = scan.select(key).slice(first, _ROWS).collect()[key]
            yield _of_column(values, file)
    except (OSError, pl.exceptions.PolarsError):
        raise ArgumentError("source", fspath(file), "a Parquet file that can be read") from None


def _arrow(file: Path, column: str | None) -> _Chunks:
    """Read a stream saved by `datasets` completely into memory: half a gigabyte at most."""
    try:
        with panics_are_errors():
            frame = pl.read_ipc_stream(file)
    except (OSError, pl.exceptions.PolarsError):
        raise ArgumentError("source", fspath(file), "a stream of Arrow that can be read") from None
    key = _column(frame.schema, column, file)
    for first in range(0, frame.height, _ROWS):
        yield _of_column(frame[key].slice(first, _ROWS), file)


def _column(schema: pl.Schema, column: str | None, file: Path) -> str:
    """Return the name of the column to read: text, or lists of integers."""
    wanted = _COLUMNS if column is None else (column,)
    for name in wanted:
        kind = schema.get(name)
        if kind == pl.String or (isinstance(kind, pl.List | pl.Array) and kind.inner.is_integer()):
            return name
    allowed = f"a column of text, or of lists of token ids; {fspath(file)} has {', '.join(schema)}"
    raise ArgumentError("column", column, allowed)


def _litdata(place: Path, end: int) -> tuple[list[Path], _Read]:
    """Read chunks of tokens: u32 number of items, u32 offsets of the items and their end, items.

    Documents continue across items, so they end only at the end-of-document token; the pieces of
    documents at the beginning and the end of a chunk become separate documents.
    """
    try:
        told = json.loads((place / "index.json").read_text(encoding="utf-8"))
        [kind] = told["config"]["data_format"]
        name, _, code = kind.partition(":")
        files = [place / Path(chunk["filename"]).name for chunk in told["chunks"]]
        usable = name == "no_header_tensor" and not told["config"].get("compression")
        dtype = _LITDATA.get(int(code)) if usable else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ArgumentError("source", fspath(place / "index.json"), "a LitData index") from None
    if dtype is None:
        raise ArgumentError(
            "source",
            f"{kind} in {fspath(place / 'index.json')}",
            "tokens of int32 or uint16 without compression",
        )

    return files, lambda file: _pieces(_mapped(file, np.dtype(dtype)), end)


def _mapped(file: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the tokens of a LitData chunk, memory-mapped."""
    try:
        with file.open("rb") as opened:
            (items,) = struct.unpack("<I", opened.read(4))
        first, size = 4 * (items + 2), file.stat().st_size
        if size < first or (size - first) % dtype.itemsize:
            raise ValueError
        # An empty part of a file cannot be mapped.
        if size == first:
            return np.empty(0, dtype)
        return np.memmap(file, dtype, "r", offset=first)
    except (OSError, struct.error, ValueError):
        raise ArgumentError("source", fspath(file), "a LitData chunk") from None


def _pieces(flat: NDArray[Any], end: int) -> _Chunks:
    """Yield tokens in pieces of complete documents; the last one may lack its end."""
    start, length = 0, _PIECE
    while start < len(flat):
        piece = np.asarray(flat[start : start + length])
        stops = np.flatnonzero(piece == end) + 1
        if start + len(piece) == len(flat):
            if not len(stops) or stops[-1] < len(piece):
                stops = np.append(stops, len(piece))
        elif not len(stops):
            length *= 2  # a document that is longer than a piece
            continue
        piece, length = piece[: stops[-1]], _PIECE
        yield _Tokens(piece.astype(np.int64), np.diff(stops, prepend=0))
        start += len(piece)
