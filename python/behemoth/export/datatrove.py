"""datatrove's and nanotron's token files: raw tokens, and where documents end.

``.ds`` holds tokens, ``.ds.index`` u64 ends of documents in tokens, and ``.ds.metadata`` lines of
text: tokenizer and bytes of a token, number of tokens, the same for people.
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
    "datatrove's DatatroveFolderDataset, nanotron",
    by_shard(_write),
    (f"{SHARD}.ds", f"{SHARD}.ds.index", f"{SHARD}.ds.metadata"),
)
