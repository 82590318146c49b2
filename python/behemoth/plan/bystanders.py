"""Facts that an edit must not change, drawn from the whole world and dealt to the edits.

Every bystander belongs to one side, training or probes, decided by a hash of its id: so the two
sides never share a fact, however facts are drawn, and no assignment has to be stored.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus

from .choice import Edits
from .dealing import Dealt, deal
from .request import EditRequest
from .sampling import (
    Facts,
    Ids,
    Index,
    Mask,
    Pool,
    among,
    distinct,
    mixed,
    pair_keys,
    relation_pool,
    round_keys,
)
from .structure import Structure

_NO_FACT = np.uint64(2**64 - 1)
_SHARED = 50_000  # maximum number of bystanders that the independent edits of a bucket share


class Bystanders:
    """Draws the bystanders of a plan.

    Parameters
    ----------
    corpus : Corpus
    structure : Structure
    request : EditRequest
    edits : Edits
    """

    def __init__(
        self, corpus: Corpus, structure: Structure, request: EditRequest, edits: Edits
    ) -> None:
        self._corpus, self._structure = corpus, structure
        self._request, self._edits = request, edits
        self._key = round_keys(request.seed, "side")[0]
        self._links = np.uint32(corpus.world.num_relations)
        self._avoided = self._avoid()
        self._changed = self._pairs()
        facts = edits.facts
        self._avoided_sorted = distinct(self._avoided)
        self._changed_sorted = distinct(self._changed)
        self._edited = distinct(facts.fact)
        self._taken = np.empty(0, np.uint64)
        link = facts.relation >= self._links
        self._subjects = distinct(facts.subject[~link])
        self._objects = {
            int(relation): distinct(facts.subject[facts.relation == relation])
            for relation in distinct(facts.relation[link])
        }
        self._doubted = np.array(
            sorted(
                {other for r in distinct(facts.relation) for other in structure.rests_on(int(r))}
            ),
            np.uint32,
        )

    def for_probes(self, facts: Ids) -> Mask:
        """Return a mask of the facts on the side of the probes: bool[n]."""
        return (mixed(facts, self._key) >> np.uint64(63)).astype(bool)

    def take(self, facts: Ids) -> None:
        """Exclude facts from all later draws for training."""
        self._taken = distinct(np.concatenate([self._taken, facts]))

    def _mine(self, facts: Facts, *, probes: bool) -> Mask:
        """Return a mask of the facts that can be drawn for probes, or for training: bool[n]."""
        keep = self.untouched(facts) & (self.for_probes(facts.fact) == probes)
        return keep if probes else keep & ~among(facts.fact, self._taken)

    def _avoid(self) -> Ids:
        """Return the facts that follow from each edit, or that it puts in doubt: uint64[n, m].

        Facts composed of the edited one follow. Those of inverse relations are in doubt, with all
        that is composed of them, and so is what is composed of a correlated fact that agrees.
        """
        facts, new = self._edits.facts, self._edits.new_object
        columns = [np.full(len(facts), _NO_FACT)]
        for relation in map(int, distinct(facts.relation)):
            mine = np.flatnonzero(facts.relation == relation)
            own, old = facts.subject[mine].astype(np.int64), facts.object[mine].astype(np.int64)
            tied = [(composed, own) for composed, _, _ in self._structure.chain(relation)]
            for other in self._structure.inverses(relation):
                tied += [(each, on) for each in self._with_chain(other) for on in (old, new[mine])]
            for other in self._structure.siblings(relation):
                tied += [(each, own) for each in self._with_chain(other)]
            for other in self._structure.partners(relation):
                agrees = self._structure.agrees(facts.subject[mine], facts.object[mine], other)
                agreeing = np.where(agrees, own, -1)
                tied += [(each, agreeing) for each in self._with_chain(other)[1:]]
            for other, subjects in tied:
                some = np.flatnonzero(subjects >= 0)
                some = some[self._structure.has(subjects[some].astype(np.uint64), other)]
                column = np.full(len(facts), _NO_FACT)
                column[mine[some]] = self._corpus.world.fact_ids(subjects[some], other)
                columns.append(column)
        return np.stack(columns, axis=1)

    def _with_chain(self, relation: int) -> list[int]:
        """Return a relation and those composed of it, through chains of any depth."""
        return [relation, *(composed for composed, _, _ in self._structure.chain(relation))]

    def _pairs(self) -> Ids:
        """Return the relation-object pairs that rest on each edited link: uint64[n, m]."""
        facts = self._edits.facts
        columns = [np.full(len(facts), _NO_FACT)]
        for relation in distinct(facts.relation[facts.relation >= self._links]):
            mine = np.flatnonzero(facts.relation == relation)
            base, old = self._structure.base(int(relation)), facts.object[mine]
            below = [(base, old)]
            below += [(c, there[0]) for c, _, there in self._structure.chain(base, old)]
            for composed, objects in below:
                column = np.full(len(facts), _NO_FACT)
                column[mine] = pair_keys(np.full(len(mine), composed, np.uint32), objects)
                columns.append(column)
        return np.stack(columns, axis=1)

    def affected(self) -> Ids:
        """Return each edited fact with those that follow from it or are in doubt: uint64[n, m]."""
        return np.column_stack([self._edits.facts.fact, self._avoided])

    def concerned(self, edits: Index, facts: Ids) -> Mask:
        """Return a mask of facts that are edited, follow from an edit, or are in doubt: bool[n].

        In a batch any edit counts; with independent edits only the one at the fact's position.
        """
        if not self._request.independent:
            found = among(facts, self._edited) | among(facts, self._avoided_sorted)
            if self._objects:  # edited links, through which subjects inherit facts
                there = self._corpus.world.arrays_of(facts)
                found |= among(pair_keys(there.relation, there.object), self._changed_sorted)
            return found
        own = self._edits.facts.fact[edits] == facts
        return own | (self._avoided[edits] == facts[:, None]).any(1)

    def concerned_by_others(self, edits: Index, facts: Facts) -> Mask:
        """Return a mask of facts that another edit than the one at their position concerns.

        Parameters
        ----------
        edits : int64[n]
            Positions of the facts' own edits; -1 for those of none.
        facts : Facts

        Returns
        -------
        bool[n]
        """
        return _of_others(edits, facts.fact, self.affected()) | _of_others(
            edits, pair_keys(facts.relation, facts.object), self._changed
        )

    def untouched(self, facts: Facts) -> Mask:
        """Return a mask of the written facts that no edit of a batch concerns: bool[n]."""
        if self._request.independent:
            return facts.exposures > 0  # decided for each edit, in `apart`
        keep = (facts.exposures > 0) & ~among(facts.fact, self._edited)
        if self._request.by_rule:
            return keep & ~among(facts.relation, self._doubted)
        link = facts.relation >= self._links
        keep &= link | ~among(facts.subject, self._subjects)
        for relation, objects in self._objects.items():
            keep &= (facts.relation != relation) | ~among(facts.subject, objects)
        keep &= ~among(facts.fact, self._avoided_sorted)
        return keep & ~among(pair_keys(facts.relation, facts.object), self._changed_sorted)

    def apart(self, edit: Index, facts: Facts) -> Mask:
        """Return a mask of facts that the edit at their position does not concern: bool."""
        own = self._edits.facts[edit]
        link, own_link = facts.relation >= self._links, own.relation >= self._links
        same = (facts.subject == own.subject) & np.where(
            link | own_link, facts.relation == own.relation, True
        )
        keep = ~same
        for column in self._avoided.T[1:]:
            keep &= facts.fact != column[edit]
        if self._changed.shape[1] > 1:
            keys = pair_keys(facts.relation, facts.object)
            for column in self._changed.T[1:]:
                keep &= keys != column[edit]
        return keep

    def same_object(self, edits: Index, count: int, *, probes: bool) -> Dealt:
        """Deal facts of the edit's relation with its old object."""
        own = self._edits.facts[edits].object
        return self._with_objects(edits, own, count, "same_object", probes=probes)

    def new_object(self, edits: Index, count: int, *, probes: bool) -> Dealt:
        """Deal facts of the edit's relation that have its new object already."""
        edits = edits[self._edits.new_object[edits] >= 0]
        new = self._edits.new_object[edits].astype(np.uint32)
        return self._with_objects(edits, new, count, "new_object", probes=probes)

    def _with_objects(
        self, edits: Index, objects: NDArray[np.uint32], count: int, purpose: str, *, probes: bool
    ) -> Dealt:
        """Deal facts of the edit's relation with given objects: uint32[n], one per edit."""
        own = self._edits.facts[edits]
        keys = pair_keys(own.relation, objects)
        buckets, bucket = np.unique(keys, return_inverse=True)
        per_edit = self._request.independent or probes
        sizes = np.bincount(bucket, minlength=len(buckets)) if per_edit else np.ones(len(buckets))
        wanted = np.minimum(sizes * count, _SHARED).astype(np.int64)
        parts: list[Facts] = []
        places = [np.empty(0, np.int64)]
        for relation in distinct(own.relation):
            if self._structure.table[int(relation)]["kind"] in ("one_to_one", "inverse"):
                continue  # no two facts share an object
            mine = np.flatnonzero(buckets >> np.uint64(32) == relation)
            facts, place = relation_pool(self._corpus, int(relation)).first_of_each(
                self._corpus,
                self._request.seed,
                f"{purpose} {relation}",
                lambda facts: pair_keys(facts.relation, facts.object),
                buckets[mine],
                wanted[mine],
                partial(self._mine, probes=probes),
            )
            parts.append(facts)
            places.append(mine[place])
        found, place = Facts.concat(self._corpus, parts), np.concatenate(places)
        order = np.argsort(place, kind="stable")
        lengths = np.bincount(place, minlength=len(buckets))
        return deal(
            edits, bucket, found[order], lengths, count, self.apart, once=self._once(probes)
        )

    def same_relation(self, edits: Index, count: int, *, probes: bool) -> Dealt:
        """Deal facts of the edit's relation whose object differs from the edit's old one."""
        own = self._edits.facts[edits]
        relations, bucket = np.unique(own.relation, return_inverse=True)
        old = distinct(pair_keys(own.relation, own.object))
        found, lengths = [], []
        for number, relation in enumerate(relations):
            pool = relation_pool(self._corpus, int(relation))
            wanted = count * int((bucket == number).sum())
            spread = self._spread(pool, wanted)

            def other(facts: Facts) -> Mask:
                return ~among(pair_keys(facts.relation, facts.object), old)

            # In a batch, facts with an edit's old object are left to that role if others remain.
            objects = (
                2 if self._structure.binarised[relation] else self._structure.objects[relation]
            )
            in_use = int((old >> np.uint64(32) == relation).sum())
            strict = not self._request.independent and not probes and in_use < objects
            found.append(
                self.draw(
                    pool,
                    spread,
                    f"same_relation {relation}",
                    probes=probes,
                    keep=other if strict else None,
                )
            )
            lengths.append(len(found[-1]))

        # A batch's mixture has no fact twice; of an independent edit those that had its new object
        # are in a part of their own.
        once = self._request.independent and not probes and bool(self._request.new_object)

        def fits(edit: Index, facts: Facts) -> Mask:
            keep = self.apart(edit, facts) & (facts.object != self._edits.facts.object[edit])
            return keep & (facts.object != self._edits.new_object[edit]) if once else keep

        return deal(
            edits,
            bucket,
            Facts.concat(self._corpus, found),
            np.array(lengths, np.int64),
            count,
            fits,
            once=self._once(probes),
        )

    def other_relations(
        self, edits: Index, count: int, purpose: str, *, probes: bool, any_relation: bool = False
    ) -> Dealt:
        """Deal facts of other relations (or of any) about subjects that are not edited."""
        pool = Pool.span(0, self._corpus.world.num_facts)
        found = self.draw(
            pool, self._spread(pool, count * len(edits)), purpose, probes=probes,
            keep=None if any_relation else self._elsewhere,
        )  # fmt: skip

        def fits(edit: Index, facts: Facts) -> Mask:
            elsewhere = facts.relation != self._edits.facts.relation[edit]
            return self.apart(edit, facts) & (elsewhere | any_relation)

        bucket = np.zeros(len(edits), np.int64)
        lengths = np.array([len(found)])
        return deal(edits, bucket, found, lengths, count, fits, once=self._once(probes))

    def _once(self, probes: bool) -> bool:
        """Return whether each fact goes to one edit only: a batch's mixture has it once."""
        return not probes and not self._request.independent

    def _elsewhere(self, facts: Facts) -> Mask:
        """Return a mask of facts whose relation differs from that of some edit: bool[n]."""
        relations = distinct(self._edits.facts.relation)
        if len(relations) > 1:
            return np.ones(len(facts), bool)
        return facts.relation != relations[0]

    def _spread(self, pool: Pool, wanted: int) -> int:
        """Return the number of facts to draw: more than wanted, as not each suits each edit."""
        if self._request.independent:
            wanted = min(wanted, _SHARED)
        return min(pool.count, wanted + wanted // 4 + 64 if wanted else 0)

    def draw(
        self,
        pool: Pool,
        count: int,
        purpose: str,
        *,
        probes: bool,
        keep: Callable[[Facts], Mask] | None = None,
    ) -> Facts:
        """Draw up to `count` untouched facts of one side, in random order."""

        def good(facts: Facts) -> Mask:
            mine = self._mine(facts, probes=probes)
            return mine if keep is None else mine & keep(facts)

        return pool.first(self._corpus, self._request.seed, purpose, count, good)


def _of_others(edits: Index, values: Ids, of_edits: Ids) -> Mask:
    """Return a mask of values that are among those of another edit than their own: bool[n].

    `of_edits` has a row of values for each edit: uint64[edits, m].
    """
    if not of_edits.size:
        return np.zeros(len(values), bool)
    known, by = of_edits.ravel(), np.repeat(np.arange(len(of_edits)), of_edits.shape[1])
    order = np.lexsort((by, known))
    known, by = known[order], by[order]
    first, last = np.searchsorted(known, values), np.searchsorted(known, values, side="right")
    there = last > first  # in ascending order: if another edit has it, the first or the last has
    ends = [by[np.minimum(place, len(by) - 1)] for place in (first, np.maximum(last, 1) - 1)]
    return there & ((ends[0] != edits) | (ends[1] != edits))
