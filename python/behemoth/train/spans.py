"""Spans of tokens in a packed stream: answers and documents.

The rule for answers: after a sentence has named its subject and its relation, the next marker
(``answer:`` in a question, else ``object``) opens the answer. The period that ends the sentence
closes the answer and belongs to it, because a model that is never trained to stop cannot answer
correctly. So does the end of a document, which may be cut before its period. So the answer is

========================  =====================================================
default, rso, nonsense    ``O .``
repeats                   ``O ~object ... .``
question                  ``object O .``
refusal                   ``object object .`` (a refusal is three markers)
question_refusal          ``object object object .``
sor, osr                  nothing: the object precedes the subject or the relation
========================  =====================================================

and the same for every paraphrase. In a link fact the *subject* is a word made of object tokens;
it follows the marker ``subject``, opens nothing and is not an answer.

In text the answers are the objects that come after a subject of their document, each with the token
after it (`TextAnswers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from behemoth import _gen
from behemoth.corpus.roles import END, OBJECT, SUBJECT
from behemoth.corpus.tokens import END_OF_DOCUMENT
from behemoth.model.labels import IGNORED

_NAMES, _OPENS, _CLOSES = 1, 2, 3
_STRUCTURE = {"subject": _NAMES, "relation": _NAMES, "object": _OPENS, "answer:": _OPENS,
              ".": _CLOSES, "<|endoftext|>": _CLOSES}  # fmt: skip
# Number of tokens of the longest sentence without its words: the repeats grammar has 18 fillers.
_MOST_BESIDE_WORDS = 32
# Tokens that are read at first to find whether a document has named a subject.
_LOOKED_BACK = 64


class Filler(Protocol):
    """Random access to a stream, such as a `RoleReader`."""

    def fill(self, out: NDArray[np.int64], token: int) -> None:
        """Fill `out` from token offset `token` on."""
        ...


class Answers:
    """Finds the answers in a stream of tokens.

    Parameters
    ----------
    vocabulary : mapping
        Partition of the token ids (`Corpus.vocabulary`).

    Attributes
    ----------
    context : int
        Number of tokens before a piece of the stream that determine the answers inside it.
    structure : uint8[vocabulary]
        Effect of each token id on the answers, for `_gen.label_answers`.
    """

    def __init__(self, vocabulary: Mapping[str, Any]) -> None:
        self.structure = np.zeros(vocabulary["size"], np.uint8)
        digits: dict[str, int] = {}
        for part in vocabulary["ranges"]:
            if part["kind"] in ("special", "marker"):
                for index, name in enumerate(part["names"]):
                    self.structure[part["first"] + index] = _STRUCTURE.get(name, 0)
            elif part["kind"] != "filler":
                role = "object" if part["kind"] == "nested" else part["kind"]
                digits[role] = max(digits.get(role, 0), part["position"] + 1)
        # The subject of a link fact is the word of an object.
        subject = max(digits["subject"], digits["object"])
        self.context = subject + digits["relation"] + digits["object"] + _MOST_BESIDE_WORDS

    def label(self, tokens: NDArray[np.int64], labels: NDArray[np.int64], start: int = 0) -> None:
        """Write the labels of the last ``len(labels)`` tokens.

        Parameters
        ----------
        tokens : int64[c + n]
            A piece of the stream after `context` tokens of it, or after as many as exist.
        labels : int64[n]
            Output: the token if it belongs to an answer, else `IGNORED`.
        start : int
            Offset of the first token in the stream; not used, the ids suffice.
        """
        _gen.label_answers(self.structure, tokens, labels)


class TextAnswers:
    """Finds the answers in a stream of text: objects after a subject, and the token after each.

    An object before the first subject of its document is no answer, because nothing predicts it.
    The token after an answer belongs to it, because a model that is never trained to stop cannot
    answer correctly.

    Parameters
    ----------
    roles : RoleReader

    Attributes
    ----------
    context : int
    """

    context = 1

    def __init__(self, roles: Filler) -> None:
        self._roles = roles

    def label(self, tokens: NDArray[np.int64], labels: NDArray[np.int64], start: int = 0) -> None:
        """Write the last ``len(labels)`` labels as `Answers.label` does, but using `start`."""
        roles = np.empty(len(tokens), np.int64)
        self._roles.fill(roles, start)
        places = np.arange(len(tokens))
        named = np.where(roles == SUBJECT, places, -1 if self._is_named(start) else -2)
        ended = np.where(roles == END, places, -1)
        # The last subject comes after the last end of a document.
        after = np.maximum.accumulate(named) >= np.maximum.accumulate(ended)
        answer = (roles == OBJECT) & after
        answer[1:] |= answer[:-1]
        before = len(tokens) - len(labels)
        labels[:] = np.where(answer[before:], tokens[before:], IGNORED)

    def _is_named(self, start: int) -> bool:
        """Whether the document that a token is in has named a subject before the token."""
        length = _LOOKED_BACK
        while start > 0:
            roles = np.empty(min(length, start), np.int64)
            start -= len(roles)
            self._roles.fill(roles, start)
            telling = roles[(roles == SUBJECT) | (roles == END)]
            if telling.size:
                return bool(telling[-1] == SUBJECT)
            length *= 4  # documents may be long
        return False


def place_tokens(
    blocks: NDArray[np.int64],
    positions: NDArray[np.int32],
    labels: NDArray[np.int64],
    end: int = END_OF_DOCUMENT,
    *,
    copied: bool = False,
) -> None:
    """Write the position of each token in its document.

    A document ends with its end-of-document token. Positions count from 0 in every block, also
    those of a document that started before the block.

    Parameters
    ----------
    blocks : int64[..., T]
    positions : int32[..., T]
    labels : int64[..., T]
        Set to `IGNORED` at the first token of each document, which nothing before it predicts.
    end : int
        Token that ends a document.
    copied : bool
        Whether to overwrite all other labels with their tokens.

    Notes
    -----
    All arrays must be contiguous, and must not overlap.
    """
    tokens, places, labels = blocks.reshape(-1), positions.reshape(-1), labels.reshape(-1)
    _gen.place_tokens(tokens, blocks.shape[-1], end, places, labels, copied)
