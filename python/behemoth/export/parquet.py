"""Parquet: one row per document with its text and its tokens; ``datasets`` loads it.

Columns: ``text`` (String, as `Corpus.decode` returns it, without the end-of-document token) and
``input_ids`` (List of UInt16 or UInt32, with it). A file has about four million tokens, because
files are made in memory, in the engine: frames of polars took two to four times as long, to make
strings of Python and to compress the tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behemoth import _gen
from behemoth.support.ahead import ahead
from behemoth.support.files import replacing
from behemoth.support.provenance import cores

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source, Tokens

_PIECE = 1 << 22  # tokens of a file
_THREADS = 8  # at most: each has a file in memory, about 100 MB


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    def missing() -> Iterator[tuple[Path, Tokens]]:
        for number, tokens in enumerate(shard.documents(_PIECE)):
            target = out / f"{shard.name}-{number:03}.parquet"
            if not target.exists():
                yield target, tokens

    decoder, end = source.corpus.decoder, shard.end_of_document

    def made(piece: tuple[Path, Tokens]) -> tuple[Path, NDArray[np.uint8]]:
        target, tokens = piece
        ends = (np.flatnonzero(tokens == end) + 1).astype(np.uint64)
        texts, text_ends = decoder.joined(tokens, ends)
        return target, _gen.parquet_documents(texts, text_ends, tokens, ends)

    for target, file in ahead(made, missing(), min(cores(), _THREADS)):
        with replacing(target) as temporary:
            temporary.write_bytes(file.data)


FORMAT = Format(
    "parquet",
    "datasets, polars, pandas: `text` and `input_ids` of documents",
    by_shard(_write),
    (f"{SHARD}-[0-9]*.parquet",),
)
