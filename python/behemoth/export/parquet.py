"""Parquet: a row a document, its text and its tokens; ``datasets`` loads it.

Columns: ``text`` (String, without the end of the document) and ``input_ids`` (List of UInt16 or
UInt32, with it). Files hold about four million tokens each, for they are made in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from behemoth.support.files import replacing

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source
from .text import Lines

_PIECE = 1 << 22  # tokens of a file


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    lines = Lines(source)
    for number, tokens in enumerate(shard.documents(_PIECE)):
        target = out / f"{shard.name}-{number:03}.parquet"
        if target.exists():
            continue
        ended = tokens == shard.end_of_document
        document = np.cumsum(ended) - ended
        frame = (
            pl.DataFrame({"document": document, "input_ids": np.asarray(tokens)})
            .group_by("document", maintain_order=True)
            .agg("input_ids")
        )
        text = pl.Series("text", lines.write(tokens).splitlines(), dtype=pl.String)
        with replacing(target) as temporary:
            frame.select(text, "input_ids").write_parquet(temporary)


FORMAT = Format(
    "parquet",
    "datasets, polars, pandas: `text` and `input_ids` of documents",
    by_shard(_write),
    (f"{SHARD}-[0-9]*.parquet",),
)
