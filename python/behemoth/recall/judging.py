"""What an answer is worth: the rules by which `recall` and `evaluate` judge a pass of a model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from behemoth.corpus.templates import is_of

from .generation import Decoded
from .ragged import Ragged
from .words import Words

__all__ = [
    "BEYOND_ANSWER",
    "among_objects",
    "copied_fillers",
    "matches",
    "rank_among",
    "said_answers",
    "token_log_probabilities",
    "without_fillers",
]

BEYOND_ANSWER = 4
"""Tokens after an answer: up to three fillers of the repeats grammar, and the period."""


def copied_fillers(prompts: Ragged, templates: pl.Series) -> NDArray[np.int64]:
    """Return the filler of which copies may follow each prompt's object; -1 if none may: int64[n].

    Parameters
    ----------
    prompts : Ragged
    templates : polars.Series
        Name of the template of each prompt.
    """
    last_but_one = prompts.flat[np.cumsum(prompts.lengths) - 2]
    return np.where(is_of(templates, "filler_follows"), last_but_one, -1)


def without_fillers(
    tokens: NDArray[np.int64], lengths: NDArray[np.int64], filler: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the length of each output without its row's filler at the end: int64[B].

    Parameters
    ----------
    tokens : int64[B, T]
    lengths : int64[B]
        Number of tokens of each output.
    filler : int64[B]
        From `copied_fillers`.
    """
    made = lengths.copy()
    each = np.arange(len(made))
    for _ in range(tokens.shape[1]):
        made -= (made > 0) & (tokens[each, made - 1] == filler)
    return made


def said_answers(
    decoded: Decoded,
    most: NDArray[np.int64],
    filler: NDArray[np.int64],
    relations: NDArray[np.uint32],
    words: Words,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the answers of a batch, each within its own limit.

    That of the batch is the largest of its prompts: results must not depend on other prompts.

    Parameters
    ----------
    decoded : Decoded
    most : int64[B]
        Maximum number of tokens of each prompt, including the stop token.
    filler : int64[B]
        From `copied_fillers`.
    relations : uint32[B]
    words : Words

    Returns
    -------
    said : int64[B]
        Number of generated tokens.
    made : int64[B]
        Number of those of the answer.
    finished : bool[B]
        Whether the answer is complete.
    """
    said = np.minimum(decoded.lengths, most)
    finished = decoded.finished & (decoded.lengths < most)
    made = without_fillers(decoded.tokens, said, filler)
    return said, *words.settled(decoded.tokens, made, finished, relations)


def matches(
    tokens: NDArray[np.int64], made: NDArray[np.int64], answers: Ragged, rows: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return whether each output is exactly the answer to its prompt: bool[B].

    Parameters
    ----------
    tokens : int64[B, T]
    made : int64[B]
        Number of tokens of each output, up to T.
    answers : Ragged
        One answer per prompt.
    rows : intp[B]
        Numbers of the prompts.
    """
    lengths = answers.lengths[rows]
    wanted = answers.padded(rows, int(lengths.max()), -1)
    shared = min(wanted.shape[1], tokens.shape[1])
    within = np.arange(shared) < lengths[:, None]
    same = ((tokens[:, :shared] == wanted[:, :shared]) | ~within).all(1)
    return (made == lengths) & same


def token_log_probabilities(
    logits: Tensor, token: NDArray[np.int64], lengths: NDArray[np.int64]
) -> Tensor:
    """Return the log-probability of each token of answers, 0 beyond their ends: float64[B, A].

    Parameters
    ----------
    logits : float32[B, A, V] tensor
        Logits of each token of the answers.
    token : int64[B, A]
    lengths : int64[B]
        Number of tokens of each answer.
    """
    ids = torch.from_numpy(token).to(logits.device)
    own = logits.gather(2, ids[..., None])[..., 0]
    columns = torch.arange(logits.shape[1], device=logits.device)
    within = columns < torch.from_numpy(lengths).to(logits.device)[:, None]
    return (own - logits.logsumexp(2)).double().masked_fill(~within, 0.0)


def among_objects(
    scores: Tensor, relations: NDArray[np.uint32], words: Words
) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.int64], Tensor]]:
    """Yield the scores of objects where their words begin, relation by relation.

    Parameters
    ----------
    scores : float[B, V] tensor
        Logits or log-probabilities of the token that begins a word.
    relations : uint32[B]
    words : Words

    Yields
    ------
    int, intp[m], int64[n], float[m, n] tensor
        A relation; its rows; the first tokens of its objects, ascending; and the rows' scores of
        these tokens.
    """
    for relation in np.unique(relations):
        chosen = np.flatnonzero(relations == relation)
        leading = words.leading(int(relation))
        own = scores[torch.from_numpy(chosen).to(scores.device)]
        yield int(relation), chosen, leading, own[:, torch.from_numpy(leading).to(scores.device)]


def rank_among(
    among: Tensor, leading: NDArray[np.int64], first: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Rank answers by their first tokens; ties count against them: uint32[m].

    Parameters
    ----------
    among : float[m, n] tensor
        Scores of the first tokens of a relation's objects.
    leading : int64[n]
        These tokens, ascending.
    first : int64[m]
        First token of each answer's word.

    Returns
    -------
    uint32[m]
        Ranks, 1 is best; 0 for an answer that is not an object.
    """
    place = np.minimum(np.searchsorted(leading, first), len(leading) - 1)
    value = among.gather(1, torch.from_numpy(place).to(among.device)[:, None])
    # NaN compares false: negated, it counts against the rank instead of improving it.
    ranks = (~(among < value)).sum(1).cpu().numpy()
    return np.where(np.isin(first, leading), ranks, 0).astype(np.uint32)
