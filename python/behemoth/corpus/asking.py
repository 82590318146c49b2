"""Prompts and answers of facts in one sentence, as the engine writes them, with names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from behemoth import _gen

if TYPE_CHECKING:
    from .corpus import Corpus

__all__ = [
    "Sentences",
    "edit_sentences",
    "refusal_answers",
    "refused_sentences",
    "sentences",
    "sentences_with",
]


class Sentences(NamedTuple):
    """Sentences of n facts, cut into prompt, answer and rest: concatenated tokens, and their ends.

    All are empty for a fact that the sentence cannot ask for.

    Attributes
    ----------
    prompt, answer, rest : uint32[sum of lengths]
    prompt_ends, answer_ends, rest_ends : uint64[n]
        Where the tokens of each fact end (excluded).
    """

    prompt: NDArray[np.uint32]
    prompt_ends: NDArray[np.uint64]
    answer: NDArray[np.uint32]
    answer_ends: NDArray[np.uint64]
    rest: NDArray[np.uint32]
    rest_ends: NDArray[np.uint64]


def sentences(
    corpus: Corpus, facts: NDArray[np.uint64], wording: int, combination: int | None = None
) -> Sentences:
    """Return facts in a wording, by its `wording_index` in `Corpus.templates`.

    `combination` is that of the fillers of the repeats grammar; by default one is drawn.
    """
    return Sentences(*corpus._native.probes(facts, wording, combination))


def sentences_with(
    corpus: Corpus, facts: NDArray[np.uint64], objects: NDArray[np.uint32], wording: int
) -> Sentences:
    """Return facts in a wording, with other objects as their answers: uint32[n]."""
    return Sentences(*corpus._native.answers(facts, objects, wording))


def refused_sentences(corpus: Corpus, facts: NDArray[np.uint64], wording: int) -> Sentences:
    """Return facts in a wording, with a refusal as the answer.

    All are empty if the wording cannot be a prompt or the grammar has no refusal.
    """
    return Sentences(*_gen.refusals(corpus._native, facts, wording))


def edit_sentences(
    corpus: Corpus, facts: NDArray[np.uint64], objects: NDArray[np.uint32], number: int
) -> Sentences:
    """Return facts in a sentence of `edits` of their relation, with new objects: uint32[n]."""
    return Sentences(*_gen.edit_prompts(corpus._native, facts, objects, number))


def refusal_answers(corpus: Corpus) -> list[tuple[int, ...]]:
    """Return the tokens of the refusals of a grammar, each distinct one once."""
    return [tuple(tokens) for tokens in _gen.refusal_answers(corpus._native)]
