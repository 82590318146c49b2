"""Plain text: one document per line, tokens by their names.

Line breaks within a document are written as spaces. The tokenizer encodes the lines of documents
without line breaks back into their tokens.
"""

from __future__ import annotations

from pathlib import Path

from behemoth.support.ahead import ahead
from behemoth.support.files import replacing
from behemoth.support.provenance import cores

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source

_PIECE = 1 << 18  # tokens: small enough to fit in CPU caches with their text


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    target = out / f"{shard.name}.txt"
    if target.exists():
        return
    with replacing(target) as temporary, temporary.open("wb") as file:
        for made in ahead(source.corpus.decoder.lines, shard.documents(_PIECE), cores()):
            file.write(made.data)


FORMAT = Format("text", by_shard(_write), (f"{SHARD}.txt",))
