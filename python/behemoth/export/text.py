"""Plain text: one document per line, tokens by their names.

Line breaks within a document are written as spaces. The tokenizer encodes the lines of documents
without line breaks back into their tokens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from behemoth.support.files import replacing
from behemoth.support.provenance import cores

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source, Tokens

_PIECE = 1 << 18  # tokens: small enough to fit in CPU caches with their text


_T = TypeVar("_T")


def decoded(
    decode: Callable[[Tokens], _T], pieces: Iterator[Tokens], threads: int
) -> Iterator[tuple[Tokens, _T]]:
    """Decode pieces of complete documents ahead of time; yield each with its result, in order.

    Parameters
    ----------
    decode : callable
        Converts uint16[n] or uint32[n] to text.
    pieces : iterator of uint16[n] or uint32[n]
    threads : int
        Number of pieces that are decoded at a time, while an earlier one is written.
    """
    pool = ThreadPoolExecutor(threads, "behemoth-text")
    try:
        ahead = deque[tuple[Tokens, Future[_T]]]()
        for piece in pieces:
            ahead.append((piece, pool.submit(decode, piece)))
            if len(ahead) > threads:
                first, made = ahead.popleft()
                yield first, made.result()
        for first, made in ahead:
            yield first, made.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    target = out / f"{shard.name}.txt"
    if target.exists():
        return
    with replacing(target) as temporary, temporary.open("wb") as file:
        for _, made in decoded(source.corpus.decoder.lines, shard.documents(_PIECE), cores()):
            file.write(made.data)


FORMAT = Format("text", "anything; a document a line", by_shard(_write), (f"{SHARD}.txt",))
