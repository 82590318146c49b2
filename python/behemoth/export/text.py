"""Plain text: a document a line, tokens by their names.

What ends a line inside of a document is written as a space. The tokenizer splits lines back into
the tokens of documents that have none.
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

_PIECE = 1 << 18  # tokens: with their text they lie in the caches


_T = TypeVar("_T")


def decoded(
    decode: Callable[[Tokens], _T], pieces: Iterator[Tokens], threads: int
) -> Iterator[tuple[Tokens, _T]]:
    """Decode pieces of whole documents, some ahead; each with what was made of it, in order.

    Parameters
    ----------
    decode : callable
        Makes text of uint16[n] or uint32[n].
    pieces : iterator of uint16[n] or uint32[n]
    threads : int
        As many pieces are being decoded, and one more may wait, while one is written.
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
