"""Answers of a model to prompts of one's own, before and after an edit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from behemoth.delta.context import positions_left
from behemoth.delta.delta import EditDelta
from behemoth.recall.generation import decode
from behemoth.recall.judging import token_log_probabilities
from behemoth.recall.ragged import Ragged
from behemoth.recall.words import text_of
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
        excluded; probability: of all its tokens, or of the token that ended it at once if there are
        none; next: the likeliest tokens after the prompt, the likeliest first.

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
    if not isinstance(prompts, Iterable):
        raise ArgumentError("prompts", prompts, "text, or a list of texts")
    asked = [prompts] if isinstance(prompts, str) else list(prompts)
    most, top = whole_number("most", most, 1), whole_number("top", top, 0)
    _, run, record = open_source("source", source, corpus)
    if record is not None:
        record.check_edit(edit)
    elif edit is not None:
        raise ArgumentError("edit", edit, "none for a model without edits")
    tokens = [_tokens(run.corpus, prompt) for prompt in asked]
    model = run.load_model(device)
    delta = None if record is None else EditDelta.load(record.delta_place(edit))
    room = positions_left(model, delta) - most
    if room < 1:
        raise ArgumentError("most", most, f"up to {room + most - 1}, for a prompt of one token")
    for prompt, own in zip(asked, tokens, strict=True):
        if len(own) > room:
            got = f"{prompt[:20]}... of {len(own)} tokens"
            raise ArgumentError("prompts", got, f"up to {room} before an answer of {most}")
    stages = [_answers(model, run.corpus, asked, tokens, "before", most, top)]
    if delta is not None:
        with delta.apply(model):
            stages.append(_answers(model, run.corpus, asked, tokens, "after", most, top))
    rows = [row for of_prompt in zip(*stages, strict=True) for row in of_prompt]
    return pl.DataFrame(rows, schema=ANSWERS, orient="row")


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
    text = text_of(corpus)
    given = Ragged.of(tokens)
    made: list[list[int]] = [[] for _ in tokens]
    scored: list[list[int]] = [[] for _ in tokens]
    for batch in decode(model, given, None, most=most, stop=stop):
        for row, own, length in zip(batch.rows, batch.tokens, batch.lengths, strict=True):
            made[row] = own[:length].tolist()
            scored[row] = own[: max(1, length)].tolist()
    answers = Ragged.of(scored)
    chance = np.ones(len(made))
    likeliest: list[list[dict[str, Any]]] = [[] for _ in made]
    for batch in decode(model, given, answers, most=1, stop=stop):
        lengths = answers.lengths[batch.rows]
        padded = answers.padded(batch.rows, int(lengths.max()), 0)
        each = token_log_probabilities(batch.logits, padded, lengths)
        chance[batch.rows] = each.sum(1).exp().cpu().numpy()
        first = batch.logits[:, 0].softmax(1)
        found = first.topk(min(top, first.shape[1]), 1)
        for row, ids, values in zip(
            batch.rows, found.indices.tolist(), found.values.tolist(), strict=True
        ):
            likeliest[row] = [
                {"token": text([token]).strip(), "probability": value}
                for token, value in zip(ids, values, strict=True)
            ]
    return [
        (prompt, stage, text(own).strip(), float(own_chance), after)
        for prompt, own, own_chance, after in zip(prompts, made, chance, likeliest, strict=True)
    ]
