"""Frames of questions and answers as text, in the wordings of a corpus.

Columns of a frame of questions:

- question, answer (String): the texts alone, without the markers that a corpus writes around them;
- fact (UInt64), subject (UInt64; for a link fact the object that it is about), relation (UInt32),
  object (UInt32);
- template (String), wording (UInt32), held_out (Boolean; never written in the corpus);
- exposures (UInt64): number of times the fact is written, in statements and questions;
- seen (Boolean): whether the corpus asks questions about the fact's subject; about all subjects, if
  the template question has a weight.

Rows are in the order of facts, and for each fact in the order of wordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .asking import sentences

if TYPE_CHECKING:
    from .corpus import Corpus

__all__ = ["SCHEMA", "question_frame", "question_wordings"]

SCHEMA = pl.Schema(
    {
        "question": pl.String(),
        "answer": pl.String(),
        "fact": pl.UInt64(),
        "subject": pl.UInt64(),
        "relation": pl.UInt32(),
        "object": pl.UInt32(),
        "template": pl.String(),
        "wording": pl.UInt32(),
        "held_out": pl.Boolean(),
        "exposures": pl.UInt64(),
        "seen": pl.Boolean(),
    }
)
"""Columns of a frame of questions."""


def question_wordings(corpus: Corpus, held_out: bool | None = None) -> list[dict[str, Any]]:
    """Return the wordings of `Corpus.templates` that ask for an object."""
    return [
        row
        for row in corpus.templates
        if row["is_question"] and row["probe"] and held_out in (None, row["held_out"])
    ]


def question_frame(
    corpus: Corpus, facts: NDArray[np.uint64], held_out: bool | None = None
) -> pl.DataFrame:
    """Return the questions about facts.

    Parameters
    ----------
    corpus : Corpus
    facts : uint64[n]
    held_out : bool, optional
        If true, only held-out wordings; if false, only the others.
    """
    wordings = question_wordings(corpus, held_out)
    native = corpus._native
    about = corpus.world.facts_of(facts).select("fact", "subject", "relation", "object")
    about = about.with_row_index("row").with_columns(
        pl.Series("exposures", native.exposures(facts), pl.UInt64),
        pl.Series("seen", native.seen_in_questions(facts), pl.Boolean),
    )
    texts = _texts_of_templates if corpus.grammar is None else _texts_of_grammar
    frames: list[pl.DataFrame] = []
    for row in wordings:
        questions, answers = texts(corpus, facts, row["wording_index"])
        frame = about.with_columns(
            pl.Series("question", questions, pl.String),
            pl.Series("answer", answers, pl.String),
            pl.lit(row["name"]).alias("template"),
            pl.lit(row["wording"], pl.UInt32).alias("wording"),
            pl.lit(row["held_out"]).alias("held_out"),
        )
        # Relations of a grammar differ in their number of questions.
        frames.append(frame.filter(pl.col("question") != ""))
    if not frames:
        return pl.DataFrame(schema=SCHEMA)
    whole = pl.concat(frames).sort("row", maintain_order=True)
    return whole.select(SCHEMA.names()).cast(SCHEMA)


def _texts_of_grammar(
    corpus: Corpus, facts: NDArray[np.uint64], wording: int
) -> tuple[list[str], list[str]]:
    return corpus._native.question_texts(facts, wording)


def _texts_of_templates(
    corpus: Corpus, facts: NDArray[np.uint64], wording: int
) -> tuple[list[str], list[str]]:
    """Return questions and answers without the marker words of question, answer and object."""
    asked, asked_ends, answers, answer_ends, _, _ = sentences(corpus, facts, wording)
    # The decoder omits the last token of each. For answers the first token is to be omitted, so the
    # roll moves it to the end of the answer before.
    there = np.diff(asked_ends, prepend=np.uint64(0)) > 0
    firsts = (asked_ends - np.diff(asked_ends, prepend=np.uint64(0)))[there]
    rest = np.delete(asked, firsts.astype(np.int64))
    ends = asked_ends - np.cumsum(there, dtype=np.uint64)
    decoder = corpus.decoder
    return decoder.texts(rest, ends), decoder.texts(np.roll(answers, -1), answer_ends)
