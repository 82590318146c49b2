"""The tokens of objects of a corpus with a grammar.

With templates the tokens of an object follow from its id by arithmetic. With a grammar they are
the tokenizer's tokens of its name after a space, and are looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from behemoth.support.errors import ArgumentError

from .asking import sentences, sentences_with

if TYPE_CHECKING:
    from .corpus import Corpus


class ObjectTokens:
    """The tokens of all objects of one relation of a corpus that is written with a grammar.

    Parameters
    ----------
    corpus : Corpus
    relation : int
        Id of the relation; a link relation has the objects of its composed relation.

    Attributes
    ----------
    flat : uint32[sum of lengths]
        Tokens of object 0, of object 1, ..., concatenated.
    lengths : int64[objects]
        Number of tokens of each object.
    """

    def __init__(self, corpus: Corpus, relation: int) -> None:
        row = corpus.world.relation_table[relation]
        own = row.get("composed", relation)
        wording = _first_wording(corpus, own)
        fact = _example(corpus, own)
        objects = np.arange(row["objects"], dtype=np.uint32)
        made = sentences_with(corpus, np.repeat(fact, len(objects)), objects, wording)
        self.flat = made.answer
        self.lengths = np.diff(made.answer_ends.astype(np.int64), prepend=0)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum(self.lengths) - self.lengths

    def of(self, object_: int) -> list[int]:
        """Return the tokens of one object."""
        start = self._starts[object_]
        return self.flat[start : start + self.lengths[object_]].tolist()

    @cached_property
    def numbers(self) -> dict[tuple[int, ...], int]:
        """The object of each sequence of tokens."""
        return {tuple(self.of(number)): number for number in range(len(self.lengths))}

    @cached_property
    def leading(self) -> NDArray[np.int64]:
        """The first tokens of objects, each once, in ascending order."""
        return np.unique(self.flat[self._starts]).astype(np.int64)

    def prefixes(self, tokens: list[int]) -> Iterator[int]:
        """Yield the lengths of the objects that `tokens` begins with, the longest first."""
        known = self.numbers
        most = min(len(tokens), int(self.lengths.max()))
        return (n for n in range(most, 0, -1) if tuple(tokens[:n]) in known)


def _example(corpus: Corpus, relation: int) -> NDArray[np.uint64]:
    """Return a fact of a relation, whose prompts are like those of all its facts."""
    examples = corpus.world.examples
    if relation not in examples:
        raise ArgumentError("relation", relation, "one that has facts")
    return np.array([examples[relation]], np.uint64)


def _first_wording(corpus: Corpus, relation: int) -> int:
    """Return the first wording that can be a prompt for the objects of a relation."""
    fact = _example(corpus, relation)
    for row in corpus.templates:
        if row["probe"] and sentences(corpus, fact, row["wording_index"]).answer_ends[0]:
            return row["wording_index"]
    grammar = corpus.grammar
    key = grammar.facts["relations"][relation]["key"] if grammar is not None else str(relation)
    raise ArgumentError(
        "grammar",
        f"no sentence of relations.{key} that names its subject before its object",
        "at least one, which can be a prompt",
    )
