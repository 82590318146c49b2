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


def ahead(make: Callable[[Tokens], _T], pieces: Iterator[Tokens], threads: int) -> Iterator[_T]:
    """Yield what is made of pieces of complete documents, in order; make it ahead of time.

    Parameters
    ----------
    make : callable
        Converts uint16[n] or uint32[n], in the engine, which releases the interpreter.
    pieces : iterator of uint16[n] or uint32[n]
    threads : int
        Number of pieces that are converted at a time, while an earlier one is written.
    """
    pool = ThreadPoolExecutor(threads, "behemoth-text")
    try:
        waiting = deque[Future[_T]]()
        for piece in pieces:
            waiting.append(pool.submit(make, piece))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    target = out / f"{shard.name}.txt"
    if target.exists():
        return
    with replacing(target) as temporary, temporary.open("wb") as file:
        for made in ahead(source.corpus.decoder.lines, shard.documents(_PIECE), cores()):
            file.write(made.data)


FORMAT = Format("text", "anything; a document a line", by_shard(_write), (f"{SHARD}.txt",))
