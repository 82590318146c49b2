"""Answers of a model to prompts of one's own, before and after an edit."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from behemoth.recall.generation import decode, generate
from behemoth.recall.judging import token_log_probabilities
from behemoth.recall.ragged import Ragged
from behemoth.support.checks import whole_number
from behemoth.support.errors import ArgumentError, renamed

from .source import open_source

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus

__all__ = ["ANSWERS", "ask"]

ANSWERS: dict[str, Any] = {
    "prompt": pl.String,
    "stage": pl.String,
    "answer": pl.String,
    "probability": pl.Float64,
    "next": pl.List(pl.Struct({"token": pl.String, "probability": pl.Float64})),
}
"""Columns of `ask`."""


def ask(
    source: str | PathLike[str],
    prompts: str | Sequence[str],
    *,
    corpus: str | PathLike[str] | Corpus | None = None,
    edit: int | None = None,
    most: int = 16,
    top: int = 5,
    device: torch.device | str | None = None,
) -> pl.DataFrame:
    """Let a model continue prompts; of an edit, the model without and with it.

    Parameters
    ----------
    source : path
        A training run, a model or an edit directory.
    prompts : str or sequence of str
        Text in the words of the corpus. Spaces at its end are left out, since a space belongs to
        the word after it.
    corpus : path or Corpus, optional
        For a model that is not a training run: the corpus or spec whose words it reads.
    edit : int, optional
        Number of one of the single edits; None for a batch or a sequence.
    most : int
        Maximum number of tokens of an answer.
    top : int
        Number of the likeliest next tokens to return.
    device : optional
        By default a GPU if one is available.

    Returns
    -------
    polars.DataFrame
        One row per prompt and stage (``before``; of an edit also ``after``), columns as in
        `ANSWERS`. answer: the greedy continuation up to a period or the end of the document, both
        excluded; probability: of all its tokens; next: the likeliest tokens after the prompt, the
        likeliest first.

    Raises
    ------
    ArgumentError
        When `source` is none of these, or a prompt is empty, too long or has a word that the
        corpus has no token for.

    Examples
    --------
    >>> import behemoth as bh
    >>> bh.ask("run", "subject S1 has the relation R0 with object").columns
    ['prompt', 'stage', 'answer', 'probability', 'next']
    """
    asked = [prompts] if isinstance(prompts, str) else list(prompts)
    most, top = whole_number("most", most, 1), whole_number("top", top, 0)
    _, run, record = open_source("source", source, corpus)
    if record is not None:
        record.check_edit(edit)
    elif edit is not None:
        raise ArgumentError("edit", edit, "none for a model without edits")
    tokens = [_tokens(run.corpus, prompt) for prompt in asked]
    model = run.load_model(device)
    rows = _answers(model, run.corpus, asked, tokens, "before", most, top)
    if record is not None:
        from behemoth.delta.delta import EditDelta

        with EditDelta.load(record.delta_place(edit)).apply(model):
            rows += _answers(model, run.corpus, asked, tokens, "after", most, top)
    frame = pl.DataFrame(rows, schema=ANSWERS, orient="row")
    # A prompt's rows together.
    stages = len(rows) // max(1, len(asked))
    order = np.arange(len(rows)).reshape(stages, len(asked)).T.ravel() if rows else []
    return frame[order]


def _tokens(corpus: Corpus, prompt: object) -> list[int]:
    if not isinstance(prompt, str) or not prompt.strip():
        raise ArgumentError("prompts", prompt, "text of one or more words")
    with renamed(text="prompts"):
        return corpus.encode(prompt.rstrip()).tolist()


def _answers(
    model: PreTrainedModel,
    corpus: Corpus,
    prompts: Sequence[str],
    tokens: Sequence[Sequence[int]],
    stage: str,
    most: int,
    top: int,
) -> list[tuple[str, str, str, float, list[dict[str, Any]]]]:
    """Return the rows of a stage, in the order of the prompts."""
    periods = (token for token, name in enumerate(corpus.token_names) if name.strip(" Ġ") == ".")
    stop = {corpus.end_of_document, *periods}
    made = generate(model, tokens, most=most, stop=stop)
    # An answer without tokens is scored by the token that ended it.
    scored = Ragged.of([one or [corpus.end_of_document] for one in made])
    chance = np.ones(len(made))
    likeliest: list[list[dict[str, Any]]] = [[] for _ in made]
    for batch in decode(model, Ragged.of(tokens), scored, most=1, stop=stop):
        lengths = scored.lengths[batch.rows]
        padded = scored.padded(batch.rows, int(lengths.max()), 0)
        each = token_log_probabilities(batch.logits, padded, lengths)
        chance[batch.rows] = each.sum(1).exp().cpu().numpy()
        first = batch.logits[:, 0, : corpus.vocabulary_size].softmax(1)
        found = first.topk(min(top, first.shape[1]), 1)
        for row, ids, values in zip(
            batch.rows, found.indices.tolist(), found.values.tolist(), strict=True
        ):
            likeliest[row] = [
                {"token": corpus.decode([token]).strip(), "probability": value}
                for token, value in zip(ids, values, strict=True)
            ]
    return [
        (prompt, stage, corpus.decode(own).strip(), float(own_chance), after)
        for prompt, own, own_chance, after in zip(prompts, made, chance, likeliest, strict=True)
    ]
