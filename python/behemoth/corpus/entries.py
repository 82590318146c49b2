"""Frames of sentences and of the mentions in them, from the columns of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .corpus import Corpus

__all__ = ["sentence_frame", "span_frame"]


def sentence_frame(corpus: Corpus, columns: tuple[NDArray[Any], ...]) -> pl.DataFrame:
    """Return the engine's entries of a corpus as a frame; `Corpus.ledger` has its columns."""
    fact, copy, index, document, sentence, offset, background, objects, minority, joint = columns
    names = pl.Series([row["name"] for row in corpus.templates], dtype=pl.String)
    wordings = pl.Series([row["wording"] for row in corpus.templates], dtype=pl.UInt32)
    return pl.DataFrame(
        {
            "fact": fact,
            "copy": copy,
            "template": names.gather(index),
            "wording": wordings.gather(index).set(pl.Series(joint), None),
            "document": document,
            "sentence": sentence,
            "offset": offset,
            "background": pl.Series(background).replace(-1, None).cast(pl.UInt64),
            "object": objects,
            "minority": minority,
        }
    )


def span_frame(columns: tuple[NDArray[Any], ...]) -> pl.DataFrame:
    """Return the engine's mentions as a frame; `Corpus.spans` has its columns."""
    document, sentence, fact, copy, role, first, end = columns
    return pl.DataFrame(
        {
            "document": document,
            "sentence": sentence,
            "fact": fact,
            "copy": copy,
            "role": pl.Series(["", "subject", "object"]).gather(role),
            "first": first,
            "end": end,
        }
    )
