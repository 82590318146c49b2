"""Plain text: a document a line, tokens by their names; the tokenizer splits it back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behemoth.corpus.decoding import Decoder
from behemoth.support.files import replacing
from behemoth.support.provenance import cores

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source, Tokens

_PIECE = 1 << 18  # tokens: with their text they lie in the caches


def lines(
    decoder: Decoder, pieces: Iterator[Tokens], threads: int
) -> Iterator[tuple[Tokens, NDArray[np.uint8]]]:
    """Decode pieces of whole documents, some ahead; each with its lines, in order.

    Parameters
    ----------
    decoder : Decoder
    pieces : iterator of uint16[n] or uint32[n]
    threads : int
        As many pieces are being decoded, and one more may wait, while one is written.
    """
    pool = ThreadPoolExecutor(threads, "behemoth-text")
    try:
        ahead = deque[tuple[Tokens, Future[NDArray[np.uint8]]]]()
        for piece in pieces:
            ahead.append((piece, pool.submit(decoder.lines, piece)))
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
        for _, made in lines(source.corpus.decoder, shard.documents(_PIECE), cores()):
            file.write(made.data)


FORMAT = Format("text", "anything; a document a line", by_shard(_write), (f"{SHARD}.txt",))
