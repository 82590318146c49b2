"""Parquet: one row per document with its text and its tokens; ``datasets`` loads it.

Columns: ``text`` (String, as `Corpus.decode` returns it, without the end-of-document token) and
``input_ids`` (List of UInt16 or UInt32, with it). A file has about four million tokens, because
files are made in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.support.files import replacing

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source, Tokens
from .text import decoded

_PIECE = 1 << 22  # tokens of a file


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    targets: list[Path] = []

    def missing() -> Iterator[Tokens]:
        for number, tokens in enumerate(shard.documents(_PIECE)):
            target = out / f"{shard.name}-{number:03}.parquet"
            if not target.exists():
                targets.append(target)
                yield tokens

    decoder, end = source.corpus.decoder, shard.end_of_document

    def said(tokens: Tokens) -> tuple[NDArray[np.uint64], list[str]]:
        ends = (np.flatnonzero(tokens == end) + 1).astype(np.uint64)
        return ends, decoder.texts(tokens, ends)

    # One file is decoded while the one before is compressed, which keeps all cores busy.
    for number, (tokens, (ends, texts)) in enumerate(decoded(said, missing(), 1)):
        with replacing(targets[number]) as temporary:
            _frame(tokens, ends, texts).write_parquet(temporary)


def _frame(tokens: Tokens, ends: NDArray[np.uint64], texts: list[str]) -> pl.DataFrame:
    numbers = np.arange(len(ends), dtype=np.uint32)
    # Numbered by their lengths: a cumulative sum of the ends took as long as all the rest together.
    # With the column declared as sorted, groups are runs, which is four times as fast.
    lengths = np.diff(ends, prepend=np.uint64(0)).astype(np.int64)
    document = pl.Series("document", np.repeat(numbers, lengths)).set_sorted()
    ids = pl.Series("input_ids", np.asarray(tokens))
    grouped = pl.DataFrame([document, ids]).group_by("document", maintain_order=True)
    said = pl.Series("text", texts, dtype=pl.String)
    return grouped.agg("input_ids").select(said, "input_ids")


FORMAT = Format(
    "parquet",
    "datasets, polars, pandas: `text` and `input_ids` of documents",
    by_shard(_write),
    (f"{SHARD}-[0-9]*.parquet",),
)
