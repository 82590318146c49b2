"""New objects for edited facts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from behemoth.support.errors import ArgumentError

from .request import EditRequest
from .sampling import Facts, distinct, round_keys
from .structure import Structure


def new_objects(
    structure: Structure,
    request: EditRequest,
    facts: Facts,
    given: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Choose the new object of each fact: int64[n], 0 for censors and -1 for refusals.

    New objects are not among the old objects of their relation's edits, and are distinct as far as
    there are enough of them (with ``to="one"``, all the same). For independent edits, or if too
    few such objects exist, each new object only differs from its own fact's old one.

    Parameters
    ----------
    structure : Structure
    request : EditRequest
    facts : Facts
    given : int64[n], optional
        For a remap, objects that are already chosen, -1 for those that are not. New objects that
        are to be distinct differ from these too, if enough are left.
    """
    new = np.full(len(facts), -1, np.int64)
    if request.refuses:
        return new
    if request.kind == "censor":
        return np.zeros(len(facts), np.int64)
    generator = np.random.Generator(np.random.Philox(key=round_keys(request.seed, "objects")[:2]))
    for relation in distinct(facts.relation):
        mine = np.flatnonzero(facts.relation == relation)
        old = facts.object[mine]
        choices = structure.choices(int(relation))
        free = choices[~np.isin(choices, old)]
        if given is not None:
            new[mine] = given[mine]
            untaken = free[~np.isin(free, given[mine])]
            if request.to == "distinct" and len(untaken) >= (1 if request.distinct else 2):
                free = untaken
            mine = mine[given[mine] < 0]
            old = facts.object[mine]
        if request.independent or (not len(free)) or (not request.distinct and len(free) < 2):
            new[mine] = _others(choices, old, generator)
        else:
            order = generator.permutation(free)
            if request.to == "one":
                order = order[:1]
            new[mine] = order[np.arange(len(mine)) % len(order)]
    if (new < 0).any():
        lone = int(facts.relation[np.flatnonzero(new < 0)[0]])
        raise ArgumentError("relation", lone, "one with another object to change to")
    return new


def _others(
    choices: NDArray[np.uint32], old: NDArray[np.uint32], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw a different object for each old one, uniformly; -1 if there is none."""
    place = np.searchsorted(choices, old)
    inside = (place < len(choices)) & (choices[np.minimum(place, len(choices) - 1)] == old)
    count = len(choices) - inside
    drawn = generator.integers(0, np.maximum(count, 1))
    drawn += inside & (drawn >= place)
    others = choices[np.minimum(drawn, len(choices) - 1)].astype(np.int64)
    return np.where(count > 0, others, -1)
