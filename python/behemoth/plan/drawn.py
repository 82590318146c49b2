"""The probe groups that are drawn from the rest of the world, one function each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .asked import NONE, Asked, Setting
from .choice import ORDER
from .dealing import Dealt
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


def same_object(setting: Setting) -> Asked:
    """Facts of the edit's relation with its old object."""
    dealt = setting.bystanders.same_object(setting.probed, setting.request.probes, probes=True)
    return _dealt(setting, "same_object", dealt, leak=True)


def new_object(setting: Setting) -> Asked:
    """Facts of the edit's relation that had its new object before."""
    dealt = setting.bystanders.new_object(setting.probed, setting.request.probes, probes=True)
    return _dealt(setting, "new_object", dealt)


def same_relation(setting: Setting) -> Asked:
    """Facts of the edit's relation with other objects."""
    dealt = setting.bystanders.same_relation(setting.probed, setting.request.probes, probes=True)
    return _dealt(setting, "same_relation", dealt, leak=True)


def unrelated(setting: Setting) -> Asked:
    """Facts of other relations and of untouched subjects."""
    dealt = setting.bystanders.other_relations(
        setting.probed, setting.request.probes, "unrelated", probes=True
    )
    return _dealt(setting, "unrelated", dealt)


def retain(setting: Setting) -> Asked:
    """Facts of any relation about untouched subjects: a sample of all that is to be kept."""
    dealt = setting.bystanders.other_relations(
        setting.probed, setting.request.probes, "retain", probes=True, any_relation=True
    )
    return _dealt(setting, "retain", dealt)


def implicit_remap(setting: Setting) -> list[Asked]:
    """Facts of the relation that the edits left out, answered as the rule has it."""
    (relation,) = distinct(setting.edits.facts.relation)
    right = REFUSED if setting.request.refuses else 0
    pool = relation_pool(setting.corpus, int(relation))
    edited_facts = np.sort(setting.edits.facts.fact)
    parts: list[Facts] = []
    wanted = _plan_wide(setting)
    walk = pool.walk(setting.corpus, setting.request.seed, ORDER, setting.edits.left_out)
    for facts in walk:
        keep = (facts.exposures > 0) & ~among(facts.fact, edited_facts)
        if right != REFUSED:
            keep &= facts.object != right
        parts.append(facts[keep][:wanted])
        wanted -= len(parts[-1])
        if wanted <= 0:
            break
    found = Facts.concat(setting.corpus, parts)
    count = len(found)
    none = np.full(count, NONE, np.int64)
    answers = np.full(count, right, np.int64)
    new = none if right == REFUSED else answers
    return [Asked("implicit_remap", none, found.fact, answers, np.ones(count, bool), new)]


def of_the_plan(setting: Setting) -> list[Asked]:
    """Unrelated and retained facts of a plan whose edits stand for a rule."""
    out = []
    for group in ("unrelated", "retain"):
        found = regular(setting, _plan_wide(setting), group, probes=True)
        none = np.full(len(found), NONE, np.int64)
        stay = np.zeros(len(found), bool)
        out.append(Asked(group, none, found.fact, found.object.astype(np.int64), stay, none))
    return out


def regular(
    setting: Setting, count: int, purpose: str, *, probes: bool, untouched: bool | None = None
) -> Facts:
    """Draw facts of the relations that a rule about one does not concern.

    About subjects without an edit where `untouched` is true, about those with one where it is
    false, else about any.
    """
    relation = int(setting.edits.facts.relation[0])
    beyond = {relation, *setting.structure.rests_on(relation)}
    world = setting.corpus.world
    pools = [
        relation_pool(setting.corpus, other)
        for other in range(world.num_relations)
        if other not in beyond
    ]
    pool = Pool.joined(pools) if pools else Pool.span(0, 0)
    if untouched is None:
        return setting.bystanders.draw(pool, count, purpose, probes=probes)
    edited = distinct(setting.edits.touched.subject)

    def keep(facts: Facts) -> NDArray[np.bool_]:
        return among(facts.subject, edited) != untouched

    return setting.bystanders.draw(pool, count, purpose, probes=probes, keep=keep)


def _plan_wide(setting: Setting) -> int:
    """Give how many probes a group of the whole plan has."""
    return setting.request.probes * min(len(setting.probed), 100)


def _dealt(setting: Setting, group: str, dealt: Dealt, *, leak: bool = False) -> Asked:
    new = setting.edits.new_object[dealt.edit] if leak else np.full(len(dealt.edit), NONE, np.int64)
    stay = np.zeros(len(dealt.edit), bool)
    right = dealt.facts.object.astype(np.int64)
    return Asked(group, dealt.edit, dealt.facts.fact, right, stay, new)
