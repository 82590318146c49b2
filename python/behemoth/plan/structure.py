"""Dependencies between relations of a world: which of them an edit of one relation concerns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behemoth.corpus.world import World
from behemoth.support.errors import ArgumentError

from .request import EditRequest
from .sampling import among

_MISSING = np.uint32(2**32 - 1)


class Structure:
    """The relations of a world and the dependencies between them.

    Parameters
    ----------
    world : World
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.table = world.relation_table
        self.objects = np.array([row["objects"] for row in self.table], dtype=np.int64)
        self._maps: dict[int, NDArray[np.uint32]] = {}

    def targets(self, request: EditRequest) -> list[int]:
        """Return the relations whose facts a request may edit.

        Raises
        ------
        ArgumentError
            When there is none, or the request's relation is not among them.
        """
        kinds = {"subject_nested": "composed", "object_nested": "link"}
        wanted = kinds.get(request.target)
        found = [
            row["relation"]
            for row in self.table
            if (row["kind"] == wanted if wanted else row["kind"] not in kinds.values())
        ]
        if not found:
            raise ArgumentError(
                "target", request.target, "'subject', as the world has no nested objects"
            )
        if request.correlated_only:
            found = [relation for relation in found if self.partners(relation)]
            if not found:
                raise ArgumentError(
                    "correlated_only",
                    True,
                    "only in a world with correlated relations of this target",
                )
        if request.relation is None:
            if request.target == "object_nested":
                # Edits of links, and of the links of their objects, would affect each other.
                found = [r for r in found if self.table[self.table[r]["of"]]["kind"] != "composed"]
            return found
        if request.relation not in found:
            raise ArgumentError(
                "relation",
                request.relation,
                f"{', '.join(map(str, found))} (target {request.target!r})",
            )
        return [request.relation]

    def partners(self, relation: int) -> list[int]:
        """Return the relations correlated with one, in either direction."""
        own = self.table[relation].get("with")
        return ([] if own is None else [own]) + [
            row["relation"] for row in self.table if row.get("with") == relation
        ]

    def inverses(self, relation: int) -> list[int]:
        """Return the relations that are the inverse of one, or of which it is the inverse."""
        row = self.table[relation]
        own = [row["of"]] if row["kind"] == "inverse" else []
        return own + [
            other["relation"]
            for other in self.table
            if other["kind"] == "inverse" and other["of"] == relation
        ]

    def siblings(self, relation: int) -> list[int]:
        """Return the other inverses of the relation that one is the inverse of: all are equal."""
        row = self.table[relation]
        if row["kind"] != "inverse":
            return []
        return [other for other in self.inverses(row["of"]) if other != relation]

    def composed(self, relation: int) -> list[int]:
        """Return the relations composed of one."""
        return [
            row["relation"]
            for row in self.table
            if row["kind"] == "composed" and row["of"] == relation
        ]

    def link(self, composed: int) -> int:
        """Return the link relation of a composed relation."""
        return next(row["relation"] for row in self.table if row.get("composed") == composed)

    def map(self, composed: int) -> NDArray[np.uint32]:
        """Return the map object -> nested object that a composed relation rests on."""
        if composed not in self._maps:
            self._maps[composed] = self.world.links(composed)
        return self._maps[composed]

    def chain(
        self, relation: int, *values: NDArray[np.uint32]
    ) -> Iterator[tuple[int, list[NDArray[np.uint32]], list[NDArray[np.uint32]]]]:
        """Iterate over the relations that rest on one, through chains of any depth.

        Parameters
        ----------
        relation : int
            A relation of subjects.
        *values : uint32[n]
            Objects of this relation.

        Yields
        ------
        int, list of uint32[n], list of uint32[n]
            A composed relation; the objects that its links start from, for each of `values`; and
            the nested objects that they lead to.
        """
        for composed in self.composed(relation):
            there = [self.map(composed)[value.astype(np.int64)] for value in values]
            yield composed, list(values), there
            yield from self.chain(composed, *there)

    def base(self, relation: int) -> int:
        """Return the relation of subjects with this one's objects: of a link, the composed one."""
        return self.table[relation].get("composed", relation)

    def rests_on(self, relation: int) -> list[int]:
        """Return relations of subjects whose facts an edit of one may change or put in doubt."""
        base = self.base(relation)
        tied = [*self.partners(relation), *self.inverses(relation), *self.siblings(relation)]
        found = tied if base == relation else [base, *tied]
        waiting = [base, *tied]
        while waiting:
            below = self.composed(waiting.pop())
            found += below
            waiting += below
        return found

    def choices(self, relation: int) -> NDArray[np.uint32]:
        """Return the objects that a fact of a relation can be changed to: uint32[n].

        If another relation is composed of it, only objects whose nested object is known.
        """
        objects = np.arange(self.objects[relation], dtype=np.uint32)
        for composed in self.composed(self.base(relation)):
            objects = objects[self.map(composed)[objects.astype(np.int64)] != _MISSING]
        return objects

    def has(self, subjects: NDArray[np.uint64], relation: int) -> NDArray[np.bool_]:
        """Return a mask of subjects that have a fact in a relation: bool[n]."""
        if self._held is None:
            return np.ones(len(subjects), bool)
        own = subjects * np.uint64(self.world.num_relations) + np.uint64(relation)
        return among(own, self._held)

    def agrees(
        self, subjects: NDArray[np.uint64], objects: NDArray[np.uint32], partner: int
    ) -> NDArray[np.bool_]:
        """Return a mask of subjects that have the objects in a correlated relation too: bool[n]."""
        there = np.flatnonzero(self.has(subjects, partner))
        found = np.zeros(len(subjects), bool)
        found[there] = self.world.objects(subjects[there], partner) == objects[there]
        return found

    @cached_property
    def _held(self) -> NDArray[np.uint64] | None:
        """Subject and relation of each fact as one number, ascending; None if none is missing."""
        world = self.world
        if world.num_subject_facts == world.num_subjects * world.num_relations:
            return None
        facts = world.arrays_of(range(world.num_subject_facts))
        return facts.subject * np.uint64(world.num_relations) + facts.relation

    def link_facts(
        self, relation: int, objects: NDArray[Any]
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the facts of a link relation about objects.

        Returns
        -------
        uint64[m], int64[m]
            The facts, and the positions of their objects in `objects`; a table may lack links.
        """
        known = np.flatnonzero(self.map(self.base(relation)) != _MISSING)
        there = np.flatnonzero(among(objects.astype(np.int64), known))
        return self.world.fact_ids(objects[there], relation), there

    @cached_property
    def binarised(self) -> NDArray[np.bool_]:
        """Mask of the relations that draw from two objects only: bool[relations]."""
        return np.array([bool(row.get("binarised")) for row in self.table])
