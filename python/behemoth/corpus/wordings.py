"""Which wordings are probes of which relations.

The relations of a grammar have sentences of their own, and only a sentence that names its subject
before its object can be a prompt: it is usable. A relation is probed in the usable ones of the
grammar's first few written sentences, and in all usable held-out ones. A relation that can use none
of those few is probed in as many of its own, so that every fact is. Without a grammar all relations
have the same wordings, and all of these are probes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .asking import sentences

if TYPE_CHECKING:
    from .corpus import Corpus

WRITTEN_ASKED = 3
"""Maximum number of a relation's written sentences that are probes."""


class Asked(NamedTuple):
    """A wording, and the relations of a grammar that are probed in it.

    Attributes
    ----------
    wording : dict
        A row of `Corpus.templates`.
    relations : uint32[n], or None
        None without a grammar: all of them.
    """

    wording: dict[str, Any]
    relations: NDArray[np.uint32] | None


def probed(corpus: Corpus) -> dict[str, list[dict[str, Any]]]:
    """Return the wordings that end in an object, by the name of their template."""
    names: dict[str, list[dict[str, Any]]] = {}
    for row in corpus.templates:
        if row["probe"]:
            names.setdefault(row["name"], []).append(row)
    return names


def usable(corpus: Corpus, wordings: Sequence[dict[str, Any]]) -> NDArray[np.bool_]:
    """Return in which wordings a relation can be asked about: bool[wordings, relations].

    A relation of a table without facts can be asked about in none.
    """
    # All facts of a relation have the same sentences, with other names.
    examples = corpus.world.examples
    relations, facts = list(examples), np.array(list(examples.values()), np.uint64)
    found = np.zeros((len(wordings), len(corpus.world.relation_table)), bool)
    for number, row in enumerate(wordings):
        answer_ends = sentences(corpus, facts, row["wording_index"]).answer_ends
        found[number, relations] = np.diff(answer_ends, prepend=np.uint64(0)) > 0
    return found


def usable_wordings(
    corpus: Corpus, relation: int, template: str, *, held_out: bool
) -> list[dict[str, Any]]:
    """Return the usable wordings of a relation in a template, in the order of their numbers."""
    rows = [row for row in probed(corpus).get(template, []) if row["held_out"] == held_out]
    able = usable(corpus, rows)[:, relation]
    return [row for row, can in zip(rows, able, strict=True) if can]


def asked_wordings(corpus: Corpus, template: str, *, earlier: bool = False) -> list[Asked]:
    """Return the wordings of a template that are probes, with the relations probed in them.

    Parameters
    ----------
    corpus : Corpus
    template : str
        A template whose sentences end in an object.
    earlier : bool
        Whether to choose as earlier versions did, which left relations without probes that can use
        none of the grammar's first few written sentences.
    """
    rows = probed(corpus)[template]
    if corpus.grammar is None:
        return [Asked(row, None) for row in rows]
    can = usable(corpus, rows)
    written = np.array([not row["held_out"] for row in rows])[:, None]
    own = can & written
    chosen = own & (np.cumsum(written, axis=0) <= WRITTEN_ASKED)
    if not earlier:
        chosen |= own & (np.cumsum(own, axis=0) <= WRITTEN_ASKED) & ~chosen.any(axis=0)
    asked = chosen | (can & ~written)
    return [
        Asked(row, np.flatnonzero(own).astype(np.uint32))
        for row, own in zip(rows, asked, strict=True)
        if own.any()
    ]
