"""Worlds in which some edited facts have swapped exposures, and all other counts are the same.

``corpus.swap = 16`` takes 16 of the edits that ``[plan]`` chooses, of all levels in turn, and swaps
the exposures of each with those of another fact of its subject, half of all levels away. So the
subject's total and the number of facts at each level stay the same, and a fact can be compared with
itself between two corpora. Their other facts have the same exposures, but in order ``shuffle`` not
the same places (`behemoth.Corpus.exchanged`). With an even number of levels, half of the facts go
up and half go down; with three, each level rises by one, and the highest falls to the lowest. The
edits of such a corpus are these facts alone, and partners that are edits themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from behemoth.plan.choice import choose_edits
from behemoth.plan.structure import Structure
from behemoth.support.checks import whole_number
from behemoth.support.errors import ArgumentError, within

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.request import EditRequest

__all__ = ["SWAP", "swap_of", "swapped_pairs"]

SWAP = ("corpus", "swap")


def swap_of(table: dict[str, Any]) -> int:
    """Remove and return the number of swaps of a corpus table; 0 if it has none.

    Raises
    ------
    ArgumentError
        If it is not a whole number from 0.
    """
    with within("corpus"):
        return whole_number("swap", table.pop("swap", 0))


def swapped_pairs(
    corpus: Corpus, request: EditRequest, count: int, chosen_in: Corpus | None = None
) -> list[list[int]]:
    """Return the pairs of facts that exchange their exposures.

    Parameters
    ----------
    corpus : Corpus
        The corpus before the swaps.
    request : EditRequest
        Request that chooses the edits.
    count : int
        Number of pairs.
    chosen_in : Corpus, optional
        Corpus in which the edits are chosen; `corpus` by default.

    Returns
    -------
    list of [int, int]
        An edited fact, and another fact of its subject; no fact appears twice.

    Raises
    ------
    ArgumentError
        If fewer than `count` edited facts have such a partner.
    """
    first = corpus if chosen_in is None else chosen_in
    chosen = choose_edits(first, Structure(first.world), request, None).facts
    levels = sorted(request.exposures or {int(row["exposures"]) for row in corpus.exposure_classes})
    place = {level: number for number, level in enumerate(levels)}
    by_level: dict[int, list[tuple[int, int]]] = {}
    for fact, subject, level in zip(
        chosen.fact.tolist(), chosen.subject.tolist(), corpus.exposures(chosen.fact).tolist(),
        strict=True,
    ):  # fmt: skip
        by_level.setdefault(level, []).append((fact, subject))
    pairs: list[list[int]] = []
    used: set[int] = set()
    for turn in range(max(map(len, by_level.values()), default=0)):
        for level in sorted(by_level):
            if len(pairs) == count or turn >= len(by_level[level]) or level not in place:
                continue
            fact, subject = by_level[level][turn]
            wanted = levels[(place[level] + len(levels) // 2) % len(levels)]
            others = [other for other in _at(corpus, subject, wanted) if other not in used]
            if fact not in used and others and wanted != level:
                pairs.append([fact, others[0]])
                used |= {fact, others[0]}
    if len(pairs) < count:
        allowed = f"up to {len(pairs)}, as other edits have no fact of their subject to swap with"
        raise ArgumentError(SWAP, count, allowed)
    return pairs


def _at(corpus: Corpus, subject: int, level: int) -> list[int]:
    """Return the facts of a subject at a level of exposures."""
    world = corpus.world
    found = [world.find_fact(subject, relation) for relation in range(world.num_relations)]
    own = np.array([fact for fact in found if fact is not None], np.uint64)
    return own[corpus.exposures(own) == level].tolist()
