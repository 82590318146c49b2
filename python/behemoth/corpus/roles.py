"""Roles of tokens: part of the grammar, a subject, an object, the background, or a document's end.

With templates the id of a token determines its role; with a grammar its position does, and the
engine reports the role token by token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .corpus import Corpus

GRAMMAR, SUBJECT, OBJECT, END, BACKGROUND = range(5)
"""Roles, numbered as in the engine."""

_OF_KIND = {"subject": SUBJECT, "object": OBJECT, "nested": OBJECT}


def roles(corpus: Corpus, start: int, stop: int, threads: int = 0) -> NDArray[np.uint8]:
    """Return the role of each of ``corpus.tokens(start, stop)``; see `Corpus.roles`."""
    if corpus.grammar is not None:
        return corpus._native_roles.tokens(start, stop, threads).astype(np.uint8)
    return roles_of_ids(corpus.vocabulary, corpus.end_of_document)[
        corpus.tokens(start, stop, threads=threads)
    ]


def role_filler(corpus: Corpus) -> Callable[[NDArray[np.int64], int, int], int]:
    """Return a function that fills arrays with the roles of a corpus with a grammar.

    It is called with the array, the offset of its first token and a number of threads, and returns
    the number of roles that it has written.
    """
    return corpus._native_roles.fill_tokens


def roles_of_ids(vocabulary: Mapping[str, Any], end: int) -> NDArray[np.uint8]:
    """Return the role of each token id of a partitioned vocabulary: uint8[size]."""
    found = np.zeros(vocabulary["size"], np.uint8)
    for part in vocabulary["ranges"]:
        first, count = part["first"], part["count"]
        found[first : first + count] = _OF_KIND.get(part["kind"], GRAMMAR)
    found[end] = END
    return found
