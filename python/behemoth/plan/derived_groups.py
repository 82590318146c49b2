"""The probe groups that are tied to the edited facts themselves, one function each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .dealing import Dealt
from .group_rows import NONE, Asked, GroupContext, kept
from .prompts import REFUSED
from .sampling import Facts, Ids, Index, among, distinct, relation_pool

__all__ = ["correlated", "edited", "nested_links", "same_subject", "subject_nested"]


def edited(context: GroupContext) -> list[Asked]:
    """The edited facts in every wording, and in one of them once more as the group ``forget``."""
    right = np.where(context.new < 0, REFUSED, context.new)
    change = np.ones(len(right), bool)
    return [
        Asked(group, context.probed, context.own.fact, right, change, context.new)
        for group in ("edited", "forget")
    ]


def same_subject(context: GroupContext) -> list[Asked]:
    """Other relations of the edited subject that do not follow from an edit.

    In a batch they do not follow from other edits of the subject either. For an edited link: the
    other links of that object.
    """
    world, table, out = context.corpus.world, context.structure.table, []
    edits = context.edits.facts[:0] if context.request.independent else context.edits.facts
    agreeing = distinct(
        np.concatenate([np.empty(0, np.uint64), *(facts for _, facts in _agreeing(context, edits))])
    )
    for relation, mine in context.by_relation(links=False):
        below = {c for c, _, _ in context.structure.chain(relation)}
        partners = context.structure.partners(relation)
        for other in range(world.num_relations):
            if other == relation or other in below:
                continue
            rows = mine[context.structure.has(context.own.subject[mine], other)]
            if other in partners:  # those that agree are a group of their own
                there = world.objects(context.own.subject[rows], other)
                rows = rows[there != context.own.object[rows]]
            facts = world.fact_ids(context.own.subject[rows], other)
            alone = ~among(facts, agreeing)
            out.append(kept(context, "same_subject", rows[alone], facts[alone]))
    for relation, mine in context.by_relation(links=True):
        for row in table:
            if row["link"] and row["of"] == table[relation]["of"] and row["relation"] != relation:
                facts, there = context.structure.link_facts(
                    row["relation"], context.own.subject[mine]
                )
                out.append(kept(context, "same_subject", mine[there], facts))
    return out


def correlated(context: GroupContext) -> list[Asked]:
    """The fact of a correlated relation that agreed with the edited one, kept and followed."""
    out = []
    for rows, facts in _agreeing(context, context.own):
        stays = ~context.bystanders.concerned(context.probed[rows], facts)
        rows, facts = rows[stays], facts[stays]
        new = context.new[rows]
        out.append(kept(context, "correlated_kept", rows, facts, new))
        some = new >= 0
        out.append(
            Asked(
                "correlated_followed",
                context.probed[rows[some]],
                facts[some],
                new[some],
                np.ones(int(some.sum()), bool),
                new[some],
            )
        )
    return out


def _agreeing(context: GroupContext, edited: Facts) -> Iterator[tuple[Index, Ids]]:
    """Iterate over facts of correlated relations that agree with edited ones, by their places."""
    world, structure = context.corpus.world, context.structure
    for relation in distinct(edited.relation[edited.relation < world.num_relations]):
        mine = np.flatnonzero(edited.relation == relation)
        for partner in structure.partners(int(relation)):
            rows = mine[structure.agrees(edited.subject[mine], edited.object[mine], partner)]
            yield rows, world.fact_ids(edited.subject[rows], partner)


def subject_nested(context: GroupContext) -> list[Asked]:
    """The facts that subjects inherit from the edited fact, down the chain.

    For an edited link: those of subjects with that object, up to `probes` subjects for each edit.
    """
    out = []
    for relation, mine in context.by_relation(links=False):
        subjects = context.own.subject[mine]
        old, new = context.own.object[mine], context.new[mine]
        after = np.where(new < 0, old, new).astype(np.uint32)
        out += _composed(context, relation, mine, subjects, old, after)
    for relation, mine in context.by_relation(links=True):
        out += _inherited(context, relation, mine)
    return out


def _inherited(context: GroupContext, relation: int, mine: Index) -> list[Asked]:
    """The facts that subjects inherit through edited links."""
    base, of = context.structure.base(relation), context.structure.table[relation]["of"]
    holders = _holders(context, of, context.own.subject[mine])
    # Subjects whose own fact another edit changes no longer have that object.
    still = ~context.bystanders.concerned(context.probed[mine[holders.edit]], holders.facts.fact)
    rows, subjects = mine[holders.edit[still]], holders.facts.subject[still]
    old, new = context.own.object[rows], context.new[rows]
    after = np.where(new < 0, old, new).astype(np.uint32)
    ids = context.corpus.world.fact_ids(subjects, base)
    free = ~_set_by_another(context, ids)
    rows, subjects, ids, old, after = (each[free] for each in (rows, subjects, ids, old, after))
    return [
        _following(context, rows, ids, old, after, own=True),
        *_composed(context, base, rows, subjects, old, after),
    ]


def _composed(
    context: GroupContext,
    relation: int,
    rows: Index,
    subjects: Ids,
    old: NDArray[np.uint32],
    after: NDArray[np.uint32],
) -> Iterator[Asked]:
    """Iterate over facts composed of ones that an edit changes, down the chain.

    In a batch they follow through links as edited, as far as no other edit says the fact itself.
    """
    for composed in context.structure.composed(relation):
        ids = context.corpus.world.fact_ids(subjects, composed)
        free = ~_set_by_another(context, ids)
        own, map_ = rows[free], context.structure.map(composed)
        before, then = map_[old[free]], _map_after(context, composed)[after[free]]
        yield _following(context, own, ids[free], before, then)
        yield from _composed(context, composed, own, subjects[free], before, then)


def _set_by_another(context: GroupContext, facts: Ids) -> NDArray[np.bool_]:
    """Return a mask of facts that an edit of the batch changes itself: bool[n]."""
    if context.request.independent:
        return np.zeros(len(facts), bool)
    return among(facts, distinct(context.edits.facts.fact))


def _map_after(context: GroupContext, composed: int) -> NDArray[np.uint32]:
    """Return the map of a composed relation, in a batch with the edited links."""
    edits, map_ = context.edits, context.structure.map(composed)
    mine = edits.facts.relation == context.structure.link(composed)
    mine &= edits.new_object >= 0
    if context.request.independent or not mine.any():
        return map_
    map_ = map_.copy()
    map_[edits.facts.subject[mine].astype(np.int64)] = edits.new_object[mine]
    return map_


def _holders(context: GroupContext, relation: int, objects: Ids) -> Dealt:
    """Find subjects that have given objects in a relation, up to `probes` for each object."""
    order = np.argsort(objects)
    facts, place = relation_pool(context.corpus, relation).first_of_each(
        context.corpus,
        context.request.seed,
        f"holders {relation}",
        lambda facts: facts.object.astype(np.uint64),
        objects[order],
        np.full(len(objects), context.request.probes),
    )
    return Dealt(order[place], facts)


def nested_links(context: GroupContext) -> list[Asked]:
    """The links of the old and the new object, down the chain: true before and after the edit.

    For an edited composed fact, also the link through which it was inherited. For an edited link,
    only the links below it, as the link itself is what changes.
    """
    out = []
    for relation, mine in [*context.by_relation(links=False), *context.by_relation(links=True)]:
        base = context.structure.base(relation)
        old, new = context.own.object[mine], context.new[mine]
        out += _below(context, "object_nested", base, mine, old)
        some = new >= 0
        out += _below(context, "new_object_nested", base, mine[some], new[some].astype(np.uint32))
        row = context.structure.table[relation]
        if row["kind"] == "composed":
            above = context.corpus.world.objects(context.own.subject[mine], row["of"])
            facts, there = context.structure.link_facts(context.structure.link(relation), above)
            out.append(kept(context, "object_nested", mine[there], facts))
    return out


def _below(
    context: GroupContext, group: str, base: int, rows: Index, objects: NDArray[np.uint32]
) -> list[Asked]:
    out = []
    for composed, (start,), _ in context.structure.chain(base, objects):
        facts, there = context.structure.link_facts(context.structure.link(composed), start)
        out.append(kept(context, group, rows[there], facts))
    return out


def _following(
    context: GroupContext,
    rows: Index,
    facts: Ids,
    before: NDArray[np.uint32],
    after: NDArray[np.uint32],
    *,
    own: bool = False,
) -> Asked:
    """Composed facts that follow the edit; `own` if they have the edited fact's objects."""
    new = context.new[rows] if own else np.full(len(rows), NONE, np.int64)
    return Asked(
        "subject_nested",
        context.probed[rows],
        facts,
        after.astype(np.int64),
        before != after,
        new,
    )
