"""The words of objects: what an answer may be, and where a generated one ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from behemoth import _gen
from behemoth.corpus.corpus import Corpus

from .generation import STOP


class Words(Protocol):
    """How the objects of each relation are written, link relations included.

    Attributes
    ----------
    stop : frozenset of int
        Tokens that end a generation.
    single : bool[relations]
        Whether all objects of a relation are told apart by one token.
    """

    stop: frozenset[int]
    single: NDArray[np.bool_]

    def leading(self, relation: int) -> NDArray[np.int64]:
        """Tokens that an object of a relation begins with, ascending: int64[n]."""
        ...

    def marked(
        self, lengths: NDArray[np.int64], relations: NDArray[np.uint32]
    ) -> NDArray[np.int64]:
        """Tokens of answers of these lengths before the object's word: 1 or 0."""
        ...

    def most(self, relations: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Tokens of the longest object of each relation, where objects differ; else 0."""
        ...

    def settled(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        finished: NDArray[np.bool_],
        relations: NDArray[np.uint32],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where generated answers end, and whether they do."""
        ...

    def valid(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        marked: NDArray[np.int64],
        marker: NDArray[np.int64],
        relations: NDArray[np.uint32],
    ) -> NDArray[np.bool_]:
        """Whether each row's first `lengths` tokens are a word, behind `marker` where `marked`."""
        ...


def words_of(corpus: Corpus) -> Words:
    """The words of a corpus's objects."""
    return TemplateWords(corpus) if corpus.grammar is None else TextWords(corpus)


class TemplateWords:
    """Words of digits, each from a range of ids of its own; a period or the end closes them."""

    def __init__(self, corpus: Corpus) -> None:
        parts: dict[int, list[Mapping[str, Any]]] = {}
        for part in corpus.vocabulary["ranges"]:
            if part["kind"] in ("object", "nested"):
                parts.setdefault(part["relation"], []).append(part)
        table = corpus.world.relation_table
        self.stop = STOP
        self._objects = np.array([row["objects"] for row in table], np.int64)
        # The objects of a link are those of the composed relation it belongs to.
        self._parts = [parts[row.get("composed", row["relation"])] for row in table]
        self._digits = np.array([len(part) for part in self._parts], np.int64)
        several = np.array([part[0]["count"] > 1 for part in self._parts])
        self.single = several & (self._digits == 1)

    def leading(self, relation: int) -> NDArray[np.int64]:
        """Tokens that an object of a relation begins with."""
        part = self._parts[relation][0]
        return np.arange(part["first"], part["first"] + part["count"], dtype=np.int64)

    def marked(
        self, lengths: NDArray[np.int64], relations: NDArray[np.uint32]
    ) -> NDArray[np.int64]:
        """A question's answer begins with the marker of the object, all others with its word."""
        marked = lengths - self._digits[relations]
        assert not len(marked) or set(np.unique(marked)) <= {0, 1}
        return marked

    def most(self, relations: NDArray[np.uint32]) -> NDArray[np.int64]:
        """All words of a relation have one length."""
        return np.zeros(len(relations), np.int64)

    def settled(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        finished: NDArray[np.bool_],
        relations: NDArray[np.uint32],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """An answer ends where the generation was stopped."""
        return lengths, finished

    def valid(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        marked: NDArray[np.int64],
        marker: NDArray[np.int64],
        relations: NDArray[np.uint32],
    ) -> NDArray[np.bool_]:
        """Digits of the relation's ranges that are the id of an object."""
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


class TextWords:
    """Names in the tokens of a tokenizer.

    A sentence goes on behind its object in many ways, so an answer is judged by what it begins
    with: it ends where the longest name of an object ends that it begins with, or a refusal.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._objects = corpus.object_tokens
        self._refusals = [tuple(tokens) for tokens in _gen.refusal_answers(corpus._native)]
        self.stop = frozenset({corpus.end_of_document})
        table = corpus.world.relation_table
        self.single = np.array([self._is_single(row["relation"]) for row in table])

    def _is_single(self, relation: int) -> bool:
        objects = self._objects(relation)
        return bool((objects.lengths == 1).all()) and len(objects.lengths) > 1

    def leading(self, relation: int) -> NDArray[np.int64]:
        """Tokens that an object of a relation begins with; several objects may share one."""
        return self._objects(relation).leading

    def marked(
        self, lengths: NDArray[np.int64], relations: NDArray[np.uint32]
    ) -> NDArray[np.int64]:
        """No marker stands before a name."""
        return np.zeros(len(lengths), np.int64)

    def most(self, relations: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The longest name of each relation."""
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
        """An answer that is a name or a refusal ends with it; what is none is as long as it is."""
        found = np.array(
            [
                self._objects(relation).longest(line[:length]) or self._refused(line[:length])
                for relation, line, length in zip(
                    relations.tolist(), tokens.tolist(), lengths.tolist(), strict=True
                )
            ],
            np.int64,
        )
        return np.where(found > 0, found, lengths), found > 0

    def _refused(self, line: list[int]) -> int:
        """Tokens of the longest refusal that a line begins with."""
        own = (len(t) for t in self._refusals if tuple(line[: len(t)]) == t)
        return max(own, default=0)

    def valid(
        self,
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        marked: NDArray[np.int64],
        marker: NDArray[np.int64],
        relations: NDArray[np.uint32],
    ) -> NDArray[np.bool_]:
        """What was settled as a name is one."""
        rows = zip(relations.tolist(), tokens.tolist(), lengths.tolist(), strict=True)
        return np.array(
            [tuple(line[:length]) in self._objects(own).numbers for own, line, length in rows],
            np.bool_,
        )
