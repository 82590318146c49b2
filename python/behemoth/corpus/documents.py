"""Frames of documents: their text, and the facts they state.

Columns of a frame of documents:

- document (UInt64): its number in the corpus;
- kind (String): ``statements``, ``questions``, ``mixed`` (both in one document), ``filler`` or
  ``background``, the last two also if facts are inserted in it;
- text (String): without the end-of-document token;
- tokens (UInt32): number of tokens, including its end;
- subjects (List of UInt64): the subjects of its facts, each once, in order of appearance;
- facts (List of Struct): the facts it states, in order: fact, subject (for a link fact the object
  that it is about), relation, object (the one that is stated), minority (whether that is the second
  object), template, wording, sentence (its index in the document; facts that one sentence states
  together have the same index).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .corpus import Corpus

__all__ = ["FACT", "SCHEMA", "document_frame", "document_texts", "says_facts"]

FACT = pl.Struct(
    {
        "fact": pl.UInt64(),
        "subject": pl.UInt64(),
        "relation": pl.UInt32(),
        "object": pl.UInt32(),
        "minority": pl.Boolean(),
        "template": pl.String(),
        "wording": pl.UInt32(),
        "sentence": pl.UInt32(),
    }
)
"""A statement of a fact in a document."""

SCHEMA = pl.Schema(
    {
        "document": pl.UInt64(),
        "kind": pl.String(),
        "text": pl.String(),
        "tokens": pl.UInt32(),
        "subjects": pl.List(pl.UInt64()),
        "facts": pl.List(FACT),
    }
)
"""Columns of a frame of documents."""

_OTHERS = ("statements", "filler", "background")  # in the order of the engine's codes


def document_frame(corpus: Corpus, start: int, stop: int) -> pl.DataFrame:
    """Return documents start..stop (`stop` excluded), except those without tokens.

    Parameters
    ----------
    corpus : Corpus
    start, stop : int

    Raises
    ------
    ArgumentError
        When the corpus has no such documents.
    """
    native = corpus._native
    kinds = native.document_kinds(start, stop)  # first: it refuses a range that is none
    frame = pl.DataFrame(
        {
            "document": np.arange(start, stop, dtype=np.uint64),
            "other": kinds,
            "text": pl.Series(document_texts(corpus, start, stop), dtype=pl.String),
            "tokens": native.document_lengths(start, stop).astype(np.uint32),
        }
    ).filter(pl.col("tokens") > 0)
    said = _said(corpus, start, stop)
    share = pl.col("questions")
    other = pl.Series(_OTHERS)
    frame = frame.join(said, on="document", how="left", maintain_order="left").with_columns(
        kind=pl.when(pl.col("other") > 0)
        .then(pl.lit(other).gather(pl.col("other")))
        .when(share == 0)
        .then(pl.lit("statements"))
        .when(share == 1)
        .then(pl.lit("questions"))
        .otherwise(pl.lit("mixed")),
        subjects=pl.col("subjects").fill_null([]),
        facts=pl.col("facts").fill_null([]),
    )
    return frame.select(SCHEMA.names()).cast(SCHEMA)


def _said(corpus: Corpus, start: int, stop: int) -> pl.DataFrame:
    """Return the content of documents: document, subjects, facts, and the share of questions."""
    said = corpus.sentences(start, stop)
    about = corpus.world.facts_of(said["fact"])
    questions = {row["name"] for row in corpus.templates if row["is_question"]}
    frame = said.with_columns(
        subject=about["subject"],
        relation=about["relation"],
        link=about["link"],
        is_question=pl.col("template").is_in(questions),
    )
    return frame.group_by("document", maintain_order=True).agg(
        subjects=pl.col("subject").filter(~pl.col("link")).unique(maintain_order=True),
        facts=pl.struct(field.name for field in FACT.fields),
        questions=pl.col("is_question").mean(),
    )


def says_facts(corpus: Corpus, start: int, stop: int) -> NDArray[np.bool_]:
    """Return whether each of documents start..stop states facts, as bool[stop - start]."""
    native = corpus._native
    says = native.document_kinds(start, stop) == 0
    if "insert" in corpus.spec["corpus"]:  # other documents may have sentences inserted
        says[native.entries(start, stop)[3] - start] = True
    elif says.any():  # a document of facts without tokens is of facts that are not written
        says &= native.document_lengths(start, stop) > 0
    return says


def document_texts(corpus: Corpus, start: int, stop: int) -> list[str]:
    """Return the texts of documents start..stop; a document without tokens is empty."""
    native = corpus._native
    kinds = native.document_kinds(start, stop)
    if corpus.grammar is None or kinds.all():
        return _decoded(corpus, start, stop)
    texts = native.texts(start, stop)
    if kinds.any():  # the engine has fillers and backgrounds only as tokens
        decoded = _decoded(corpus, start, stop)
        for number in np.flatnonzero(kinds).tolist():
            texts[number] = decoded[number]
    return texts


def _decoded(corpus: Corpus, start: int, stop: int) -> list[str]:
    tokens = corpus.tokens(start, stop)
    ends = np.cumsum(corpus._native.document_lengths(start, stop), dtype=np.uint64)
    return corpus.decoder.texts(tokens, ends)
