"""The probe groups that are drawn from the rest of the world, one function each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .choice import ORDER
from .dealing import Dealt
from .group_rows import NONE, Asked, GroupContext
from .prompts import REFUSED
from .sampling import Facts, Pool, among, distinct, relation_pool

__all__ = [
    "implicit_remap",
    "new_object",
    "of_the_plan",
    "regular",
    "retain",
    "same_object",
    "same_relation",
    "unrelated",
]


def same_object(context: GroupContext) -> Asked:
    """Facts of the edit's relation with its old object."""
    dealt = context.bystanders.same_object(context.probed, context.request.probes, probes=True)
    return _dealt(context, "same_object", dealt, leak=True)


def new_object(context: GroupContext) -> Asked:
    """Facts of the edit's relation that had its new object before."""
    dealt = context.bystanders.new_object(context.probed, context.request.probes, probes=True)
    return _dealt(context, "new_object", dealt)


def same_relation(context: GroupContext) -> Asked:
    """Facts of the edit's relation with other objects."""
    dealt = context.bystanders.same_relation(context.probed, context.request.probes, probes=True)
    return _dealt(context, "same_relation", dealt, leak=True)


def unrelated(context: GroupContext) -> Asked:
    """Facts of other relations and of untouched subjects."""
    dealt = context.bystanders.other_relations(
        context.probed, context.request.probes, "unrelated", probes=True
    )
    return _dealt(context, "unrelated", dealt)


def retain(context: GroupContext) -> Asked:
    """Facts of any relation about untouched subjects: a sample of all facts to be retained."""
    dealt = context.bystanders.other_relations(
        context.probed, context.request.probes, "retain", probes=True, any_relation=True
    )
    return _dealt(context, "retain", dealt)


def implicit_remap(context: GroupContext) -> list[Asked]:
    """Facts of the relation that the edits left out, with the answers that the rule implies."""
    (relation,) = distinct(context.edits.facts.relation)
    right = REFUSED if context.request.refuses else 0
    pool = relation_pool(context.corpus, int(relation))
    edited_facts = np.sort(context.edits.facts.fact)

    def left_out(facts: Facts) -> NDArray[np.bool_]:
        keep = (facts.exposures > 0) & ~among(facts.fact, edited_facts)
        return keep if right == REFUSED else keep & (facts.object != right)

    found = pool.first(
        context.corpus, context.request.seed, ORDER, _plan_wide(context), left_out,
        start=context.edits.left_out,
    )  # fmt: skip
    count = len(found)
    none = np.full(count, NONE, np.int64)
    answers = np.full(count, right, np.int64)
    new = none if right == REFUSED else answers
    return [Asked("implicit_remap", none, found.fact, answers, np.ones(count, bool), new)]


def of_the_plan(context: GroupContext) -> list[Asked]:
    """Unrelated and retained facts of a plan whose edits stand for a rule."""
    out = []
    for group in ("unrelated", "retain"):
        found = regular(context, _plan_wide(context), group, probes=True)
        none = np.full(len(found), NONE, np.int64)
        stay = np.zeros(len(found), bool)
        out.append(Asked(group, none, found.fact, found.object.astype(np.int64), stay, none))
    return out


def regular(
    context: GroupContext, count: int, purpose: str, *, probes: bool, untouched: bool | None = None
) -> Facts:
    """Draw facts of the relations that a rule about one relation does not concern.

    They are about subjects without an edit if `untouched` is true, about subjects with one if it
    is false, and about any by default.
    """
    relation = int(context.edits.facts.relation[0])
    beyond = {relation, *context.structure.rests_on(relation)}
    world = context.corpus.world
    pools = [
        relation_pool(context.corpus, other)
        for other in range(world.num_relations)
        if other not in beyond
    ]
    pool = Pool.joined(pools) if pools else Pool.span(0, 0)
    if untouched is None:
        return context.bystanders.draw(pool, count, purpose, probes=probes)
    # All facts that a rule covers: those it changes, and those that already agree with it.
    touched = Facts.concat(context.corpus, [context.edits.facts, context.edits.said])
    # The subjects of link facts are numbers of objects.
    edited = distinct(touched.subject[touched.relation < world.num_relations])

    def keep(facts: Facts) -> NDArray[np.bool_]:
        return among(facts.subject, edited) != untouched

    return context.bystanders.draw(pool, count, purpose, probes=probes, keep=keep)


def _plan_wide(context: GroupContext) -> int:
    """Return the number of probes of a group of the plan as a whole."""
    return context.request.probes * min(len(context.probed), 100)


def _dealt(context: GroupContext, group: str, dealt: Dealt, *, leak: bool = False) -> Asked:
    new = context.edits.new_object[dealt.edit] if leak else np.full(len(dealt.edit), NONE, np.int64)
    stay = np.zeros(len(dealt.edit), bool)
    right = dealt.facts.object.astype(np.int64)
    return Asked(group, dealt.edit, dealt.facts.fact, right, stay, new)
