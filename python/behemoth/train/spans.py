"""Which tokens of a packed stream belong together: answers, and documents.

The rule of answers. A sentence asks for its object once it has named its subject and its
relation; the next marker (``answer:`` of a question, else ``object``) opens the answer, and the
period that ends the sentence closes it and belongs to it, for a model that is never taught to
stop cannot be right. So the answer is

========================  =====================================================
default, rso, nonsense    ``O .``
repeats                   ``O ~object ... .``
question                  ``object O .``
refusal                   ``object object .`` (a refusal is three markers)
question_refusal          ``object object object .``
sor, osr                  nothing: the object comes before what it is asked by
========================  =====================================================

and the same for every paraphrase. In a link fact the *subject* is a word made of object tokens;
it stands behind the marker ``subject``, opens nothing and is no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from behemoth import _gen
from behemoth.corpus.roles import OBJECT
from behemoth.corpus.tokens import END_OF_DOCUMENT
from behemoth.model.labels import IGNORED

_NAMES, _OPENS, _CLOSES = 1, 2, 3
_STRUCTURE = {"subject": _NAMES, "relation": _NAMES, "object": _OPENS, "answer:": _OPENS,
              ".": _CLOSES}  # fmt: skip
# Tokens of the longest sentence beside its words: the repeats grammar has 18 fillers.
_MOST_BESIDE_WORDS = 32


class Filler(Protocol):
    """Something that fills an array from an offset of a stream on."""

    def fill(self, out: NDArray[np.int64], token: int) -> None:
        """Fill `out` from token offset `token` on."""
        ...


class Answers:
    """Finds the answers in a stream of tokens.

    Parameters
    ----------
    vocabulary : mapping
        The partition of the token ids (`Corpus.vocabulary`).

    Attributes
    ----------
    context : int
        Tokens before a piece of the stream that suffice to know the answers inside it.
    """

    def __init__(self, vocabulary: Mapping[str, Any]) -> None:
        self._structure = np.zeros(vocabulary["size"], np.uint8)
        digits: dict[str, int] = {}
        for part in vocabulary["ranges"]:
            if part["kind"] in ("special", "marker"):
                for index, name in enumerate(part["names"]):
                    self._structure[part["first"] + index] = _STRUCTURE.get(name, 0)
            elif part["kind"] != "filler":
                role = "object" if part["kind"] == "nested" else part["kind"]
                digits[role] = max(digits.get(role, 0), part["position"] + 1)
        # The subject of a link fact is an object's word.
        subject = max(digits["subject"], digits["object"])
        self.context = subject + digits["relation"] + digits["object"] + _MOST_BESIDE_WORDS

    def label(self, tokens: NDArray[np.int64], labels: NDArray[np.int64], start: int = 0) -> None:
        """Write the labels of the last ``len(labels)`` tokens.

        Parameters
        ----------
        tokens : int64[c + n]
            A piece of the stream behind `context` tokens of it, or behind all there are.
        labels : int64[n]
            Gets the token where it belongs to an answer, else `IGNORED`.
        start : int
            Place of the first token in the stream; the ids say enough without it.
        """
        _gen.label_answers(self._structure, tokens, labels)


class TextAnswers:
    """Finds the answers in a stream of text: objects, and the token behind each.

    The token behind belongs to it, for a model that is never taught to stop cannot be right.

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
        """Write the labels of the last ``len(labels)`` tokens; `start` as of `Answers.label`."""
        roles = np.empty(len(tokens), np.int64)
        self._roles.fill(roles, start)
        answer = roles == OBJECT
        answer[1:] |= answer[:-1]
        before = len(tokens) - len(labels)
        labels[:] = np.where(answer[before:], tokens[before:], IGNORED)


def documents(
    blocks: NDArray[np.int64],
    positions: NDArray[np.int64],
    numbers: NDArray[np.int64],
    labels: NDArray[np.int64],
    end: int = END_OF_DOCUMENT,
    *,
    copied: bool = False,
) -> None:
    """Write the place of each token in its document and the number of its document.

    A document ends with its end-of-document token. Both count from 0 in every block, and the
    document that a block begins inside of counts from the block's first token.

    Parameters
    ----------
    blocks : int64[..., T]
    positions, numbers : int64[..., T]
    labels : int64[..., T]
        Gets `IGNORED` at the first token of each document, which nothing before it foretells.
    end : int
        The token that ends a document.
    copied : bool
        Whether `labels` gets all other tokens as well, whatever is in it.

    Notes
    -----
    All are contiguous, and none is another.
    """
    flat = [part.reshape(-1) for part in (blocks, positions, numbers, labels)]
    tokens, positions, numbers, labels = flat
    _gen.number_documents(tokens, blocks.shape[-1], end, positions, numbers, labels, copied)
