"""Plain text: a document a line, tokens by their names; the tokenizer splits it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from behemoth.support.files import replacing

from .protocol import SHARD, Format, by_shard
from .source import Shard, Source, Tokens

_PIECE = 1 << 20  # tokens


class Lines:
    """Writes pieces of whole documents as lines.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source: Source) -> None:
        self._corpus = source.corpus
        # A token and the space behind it; documents end in token 0.
        self._words = ["\n", *(f"{name} " for name in source.names[1:])]

    def write(self, tokens: Tokens) -> str:
        """The lines of some documents, each with its end; a line break in a text is a space."""
        if self._corpus.grammar is not None:
            ends = np.flatnonzero(tokens == self._corpus.end_of_document)
            documents = np.split(tokens, ends + 1)[: len(ends)]
            texts = (self._corpus.decode(document[:-1]) for document in documents)
            return "".join([f"{' '.join(text.splitlines())}\n" for text in texts])
        text = "".join(map(self._words.__getitem__, tokens.tolist()))
        return text.replace(" \n", "\n")


def _write(source: Source, shard: Shard, out: Path, block_length: int) -> None:
    target = out / f"{shard.name}.txt"
    if target.exists():
        return
    lines = Lines(source)
    with replacing(target) as temporary, temporary.open("wb") as file:
        for tokens in shard.documents(_PIECE):
            file.write(lines.write(tokens).encode())


FORMAT = Format("text", "anything; a document a line", by_shard(_write), (f"{SHARD}.txt",))
