"""Rows of probe groups, and the context that all groups are built from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus

from .bystanders import Bystanders
from .choice import Edits
from .request import EditRequest
from .sampling import Facts, Ids, Index, distinct
from .structure import Structure

__all__ = ["NONE", "Asked", "GroupContext", "joined", "kept"]

NONE = -1  # no edit, no new object


@dataclass(frozen=True)
class Asked:
    """Facts to probe in one group: parallel arrays.

    Parameters
    ----------
    group : str
        ``edited`` stands for all groups of the edited facts, which differ by wording.
    edit : int64[n]
        Position of the edit; -1 for the plan as a whole.
    fact : uint64[n]
    right : int64[n]
        Object that is right after the edit; `REFUSED` for a refusal.
    must_change : bool[n]
    new : int64[n]
        The edit's new object if the fact's relation has the same objects, else -1.
    """

    group: str
    edit: Index
    fact: Ids
    right: Index
    must_change: NDArray[np.bool_]
    new: Index


@dataclass(frozen=True)
class GroupContext:
    """Inputs shared by the functions that build the groups.

    Parameters
    ----------
    corpus : Corpus
    structure : Structure
    request : EditRequest
    edits : Edits
    bystanders : Bystanders
    probed : int64[m]
        The edits that have probes.
    """

    corpus: Corpus
    structure: Structure
    request: EditRequest
    edits: Edits
    bystanders: Bystanders
    probed: Index

    @property
    def own(self) -> Facts:
        """The edited facts that have probes."""
        return self.edits.facts[self.probed]

    @property
    def new(self) -> Index:
        """The new objects of those facts."""
        return self.edits.new_object[self.probed]

    def by_relation(self, *, links: bool) -> list[tuple[int, Index]]:
        """Return the relations of edited facts with the positions of their edits in `probed`."""
        relations = self.own.relation
        return [
            (int(relation), np.flatnonzero(relations == relation))
            for relation in distinct(relations)
            if (relation >= self.corpus.world.num_relations) == links
        ]


def joined(parts: Iterable[Asked]) -> list[Asked]:
    """Concatenate the parts of each group, in their order; groups are in that of their first part.

    Groups of the edited facts' own ties come in parts of a few facts, one for each two relations.
    """
    groups: dict[str, list[Asked]] = {}
    for part in parts:
        groups.setdefault(part.group, []).append(part)
    arrays = [field.name for field in fields(Asked) if field.name != "group"]
    return [
        Asked(group, *(np.concatenate([getattr(one, name) for one in own]) for name in arrays))
        for group, own in groups.items()
    ]


def kept(
    context: GroupContext, group: str, rows: Index, facts: Ids, new: Index | None = None
) -> Asked:
    """Return facts whose objects are the same before and after the edit.

    Facts that the plan also edits, or puts in doubt, are excluded.
    """
    stays = ~context.bystanders.concerned(context.probed[rows], facts)
    rows, facts, new = rows[stays], facts[stays], None if new is None else new[stays]
    right = context.corpus.world.arrays_of(facts).object.astype(np.int64)
    none = np.full(len(facts), NONE, np.int64)
    stay = np.zeros(len(facts), bool)
    return Asked(group, context.probed[rows], facts, right, stay, none if new is None else new)
