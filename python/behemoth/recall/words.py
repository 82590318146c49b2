"""The words of objects: valid answers, and where a generated answer ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behemoth.corpus.asking import refusal_answers
from behemoth.corpus.corpus import Corpus

from .generation import STOP


class Words(ABC):
    """How the objects of each relation are written, link relations included.

    Attributes
    ----------
    stop : frozenset of int
        Tokens that end a generation.
    single : bool[relations]
        Whether all objects of a relation are distinguished by one token.
    """

    stop: frozenset[int]
    single: NDArray[np.bool_]

    @abstractmethod
    def leading(self, relation: int) -> NDArray[np.int64]:
        """Return the first tokens of the objects of a relation, ascending: int64[n]."""

    def marked(
        self, lengths: NDArray[np.int64], relations: NDArray[np.uint32]
    ) -> NDArray[np.int64]:
        """Return the number of tokens before the object's word, by answer length: 1 or 0.

        By default 0: there is no marker.
        """
        return np.zeros(len(lengths), np.int64)

    def most(self, relations: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the length of the longest object of each relation if lengths differ, else 0.

        By default 0: all words of a relation have one length.
        """
        return np.zeros(len(relations), np.int64)

    def settled(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        finished: NDArray[np.bool_],
        relations: NDArray[np.uint32],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the lengths of generated answers, and whether they are complete.

        By default the inputs: an answer ends where the generation was stopped.
        """
        return lengths, finished

    @abstractmethod
    def valid(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        marked: NDArray[np.int64],
        marker: NDArray[np.int64],
        relations: NDArray[np.uint32],
    ) -> NDArray[np.bool_]:
        """Return whether a row's first `lengths` tokens are a word, after `marker` if `marked`."""

    def ends_at(self, line: list[int], length: int) -> bool:
        """Return whether a word ends after so many tokens of a line.

        By default True: each token is a digit or a word of its own.
        """
        return True


def text_of(corpus: Corpus) -> Callable[[Sequence[int]], str]:
    """Return a function that writes generated tokens: decoded if the corpus has a grammar.

    Otherwise the text is the names of the tokens, separated by spaces. Of tokens that only a padded
    model has, decoded text has nothing, and names have ``<id>``.
    """
    names = corpus.token_names

    def named(tokens: Sequence[int]) -> str:
        return " ".join([names[token] if token < len(names) else f"<{token}>" for token in tokens])

    def decoded(tokens: Sequence[int]) -> str:
        return corpus.decode([token for token in tokens if token < len(names)])

    return named if corpus.grammar is None else decoded


def words_of(corpus: Corpus) -> Words:
    """Return the words of a corpus's objects."""
    return TemplateWords(corpus) if corpus.grammar is None else TextWords(corpus)


class TemplateWords(Words):
    """Words of digits, each from its own range of ids; a period or the end ends an answer."""

    def __init__(self, corpus: Corpus) -> None:
        parts: dict[int, list[Mapping[str, Any]]] = {}
        for part in corpus.vocabulary["ranges"]:
            if part["kind"] in ("object", "nested"):
                parts.setdefault(part["relation"], []).append(part)
        table = corpus.world.relation_table
        self.stop = STOP
        self._objects = np.array([row["objects"] for row in table], np.int64)
        # A link has the objects of the composed relation that it belongs to.
        self._parts = [parts[row.get("composed", row["relation"])] for row in table]
        self._digits = np.array([len(part) for part in self._parts], np.int64)
        several = np.array([part[0]["count"] > 1 for part in self._parts])
        self.single = several & (self._digits == 1)

    def leading(self, relation: int) -> NDArray[np.int64]:
        """Return the first tokens of the objects of a relation."""
        part = self._parts[relation][0]
        return np.arange(part["first"], part["first"] + part["count"], dtype=np.int64)

    def marked(
        self, lengths: NDArray[np.int64], relations: NDArray[np.uint32]
    ) -> NDArray[np.int64]:
        """Return 1 for answers to questions, which begin with the object marker, else 0."""
        marked = lengths - self._digits[relations]
        assert not len(marked) or set(np.unique(marked)) <= {0, 1}
        return marked

    def valid(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        marked: NDArray[np.int64],
        marker: NDArray[np.int64],
        relations: NDArray[np.uint32],
    ) -> NDArray[np.bool_]:
        """Return whether tokens are digits of the relation's ranges that form an object's id."""
        found = (marked == 0) | (tokens[:, 0] == marker)
        for relation in np.unique(relations):
            chosen = np.flatnonzero(relations == relation)
            parts = self._parts[relation]
            fits = lengths[chosen] == marked[chosen] + len(parts)
            value = np.zeros(len(chosen), np.int64)
            for position, part in enumerate(parts):
                column = np.minimum(marked[chosen] + position, tokens.shape[1] - 1)
                digit = tokens[chosen, column] - part["first"]
                fits &= (digit >= 0) & (digit < part["count"])
                value = value * (part["count"] if position else 1) + digit
            found[chosen] &= fits & (value < self._objects[relation])
        return found


class TextWords(Words):
    """Names in the tokens of a tokenizer.

    A sentence may continue after its object in many ways, so an answer is judged by its beginning:
    it ends with the longest object name that it begins with, or with a refusal. Unless the grammar
    itself writes letters right after an object, the name must end a word: a model that says
    "Colombooters" has not said "Colombo".
    """

    def __init__(self, corpus: Corpus) -> None:
        self._objects = corpus.object_tokens
        self._refusals = sorted(refusal_answers(corpus), key=len, reverse=True)
        self._text = text_of(corpus)
        assert corpus.grammar is not None
        self._ends_words = corpus.grammar.objects_end_words
        self.stop = frozenset({corpus.end_of_document})
        table = corpus.world.relation_table
        self.single = np.array([self._is_single(row["relation"]) for row in table])

    def _is_single(self, relation: int) -> bool:
        objects = self._objects(relation)
        return bool((objects.lengths == 1).all()) and len(objects.lengths) > 1

    def leading(self, relation: int) -> NDArray[np.int64]:
        """Return the first tokens of the objects of a relation; several objects may share one."""
        return self._objects(relation).leading

    def most(self, relations: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the length of the longest name of each relation."""
        out = np.zeros(len(relations), np.int64)
        for relation in np.unique(relations):
            out[relations == relation] = self._objects(int(relation)).lengths.max()
        return out

    def settled(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        finished: NDArray[np.bool_],
        relations: NDArray[np.uint32],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """End answers after a name or a refusal; others keep their length and are incomplete."""
        rows = zip(relations.tolist(), tokens.tolist(), lengths.tolist(), strict=True)
        found = np.array(
            [self._answered(relation, line[:length]) for relation, line, length in rows], np.int64
        )
        return np.where(found > 0, found, lengths), found > 0

    def _answered(self, relation: int, line: list[int]) -> int:
        """Return the length of the longest name, else refusal, that a line begins with, or 0."""
        refusals = (len(own) for own in self._refusals if tuple(line[: len(own)]) == own)
        lengths = chain(self._objects(relation).prefixes(line), refusals)
        return next((length for length in lengths if self.ends_at(line, length)), 0)

    def ends_at(self, line: list[int], length: int) -> bool:
        """Return whether a word ends after so many tokens of a line.

        The line is decoded as a whole, since a token may hold a part of a letter.
        """
        if not self._ends_words or length == len(line):
            return True
        rest = self._text(line).removeprefix(self._text(line[:length]))
        return not rest[:1].isalnum()

    def valid(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        marked: NDArray[np.int64],
        marker: NDArray[np.int64],
        relations: NDArray[np.uint32],
    ) -> NDArray[np.bool_]:
        """Return whether the settled tokens are an object's name."""
        rows = zip(relations.tolist(), tokens.tolist(), lengths.tolist(), strict=True)
        return np.array(
            [tuple(line[:length]) in self._objects(own).numbers for own, line, length in rows],
            np.bool_,
        )
