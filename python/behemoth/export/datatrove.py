"""Token files of datatrove and nanotron: raw tokens, and the ends of documents.

``.ds`` contains tokens, ``.ds.index`` the ends of documents as u64 in tokens, and ``.ds.metadata``
lines of text: tokenizer and bytes per token, number of tokens, and that number in millions.
"""

from __future__ import annotations

from pathlib import Path

from behemoth.support.files import replacing, write_bytes

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source, same_bytes


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    tokens = out / f"{shard.name}.ds"
    same_bytes(shard, tokens)
    index = tokens.with_name(f"{tokens.name}.index")
    if not index.exists():
        with replacing(index) as temporary, temporary.open("wb") as file:
            for ends in shard.document_ends():
                file.write(ends.astype("<u8").tobytes())
    count = len(shard.tokens)
    text = f"tokenizer|{source.dtype.itemsize}\n{count}\n{count / 1e6:.2f} M\n"
    write_bytes(tokens.with_name(f"{tokens.name}.metadata"), text.encode())


FORMAT = Format(
    "datatrove",
    by_shard(_write),
    (f"{SHARD}.ds", f"{SHARD}.ds.index", f"{SHARD}.ds.metadata"),
)
