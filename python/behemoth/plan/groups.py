"""The probe groups of a plan, one function each.

What must change follows from the edit: the fact itself, what is composed of it, and, for
an edit that stands for a rule or a pair that agrees, what would be right if the model took
it so. All else must not. A correlated fact is asked for both ways: *kept* has the answer
of the world, in which it stays, *followed* the one that keeps the pair in agreement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus

from .bystanders import Bystanders, Dealt
from .choice import _ORDER, Edits
from .prompts import REFUSED
from .request import EditRequest
from .sampling import (
    Facts,
    Ids,
    Index,
    Pool,
    among,
    distinct,
    rank_within,
    relation_pool,
)
from .structure import Structure

GROUPS = (
    "edited",
    "edited_paraphrase",
    "edited_held_out",
    "edited_question",
    "same_object",
    "same_relation",
    "same_subject",
    "unrelated",
    "correlated_kept",
    "correlated_followed",
    "subject_nested",
    "object_nested",
    "new_object_nested",
    "implicit_remap",
    "forget",
    "retain",
)
"""All groups, in the order that a plan lists them."""
FOLLOWING = ("subject_nested", "correlated_followed", "implicit_remap")
"""Groups that follow from an edit, where they must change."""

NONE = -1  # no edit, no new object


@dataclass(frozen=True)
class Asked:
    """Facts to ask for in one group: parallel arrays.

    Parameters
    ----------
    group : str
        ``edited`` stands for all groups of the edited facts, by wording.
    edit : int64[n]
        -1 for the plan as a whole.
    fact : uint64[n]
    right : int64[n]
        Object that is right after the edit; `REFUSED` for a refusal.
    must_change : bool[n]
    new : int64[n]
        The edit's new object where the fact's relation has the same objects, else -1.
    """

    group: str
    edit: Index
    fact: Ids
    right: Index
    must_change: NDArray[np.bool_]
    new: Index


@dataclass(frozen=True)
class Setting:
    """What the functions of the groups need to know.

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
        """Give the relations of edited facts with the places of their edits in `probed`."""
        relations = self.own.relation
        return [
            (int(relation), np.flatnonzero(relations == relation))
            for relation in distinct(relations)
            if (relation >= self.corpus.world.relations) == links
        ]


def structured(setting: Setting) -> list[Asked]:
    """Give the groups that are tied to the edited facts themselves."""
    return [
        asked
        for asked in (
            *edited(setting),
            *same_subject(setting),
            *correlated(setting),
            *subject_nested(setting),
            *nested_links(setting),
        )
        if len(asked.fact)
    ]


def bystanding(setting: Setting) -> list[Asked]:
    """Give the groups that are drawn from the rest of the world."""
    if setting.request.by_rule:
        found = [*implicit_remap(setting), *of_the_plan(setting)]
    else:
        found = [same_object(setting), same_relation(setting), unrelated(setting), retain(setting)]
    return [asked for asked in found if len(asked.fact)]


def edited(setting: Setting) -> list[Asked]:
    """The edited facts in every wording, and once more as what is to be forgotten."""
    right = np.where(setting.new < 0, REFUSED, setting.new)
    change = np.ones(len(right), bool)
    return [
        Asked(group, setting.probed, setting.own.fact, right, change, setting.new)
        for group in ("edited", "forget")
    ]


def same_subject(setting: Setting) -> list[Asked]:
    """Other relations of the edited subject that do not follow from the edit.

    Of an edited link: the other links of that object.
    """
    world, table, out = setting.corpus.world, setting.structure.table, []
    for relation, mine in setting.by_relation(links=False):
        below = {c for c, _, _ in setting.structure.chain(relation)}
        partners = setting.structure.partners(relation)
        for other in range(world.relations):
            if other == relation or other in below:
                continue
            rows = mine[setting.structure.has(setting.own.subject[mine], other)]
            if other in partners:  # those that agree are a group of their own
                there = world.objects(setting.own.subject[rows], other)
                rows = rows[there != setting.own.object[rows]]
            facts = world.fact_ids(setting.own.subject[rows], other)
            out.append(_kept(setting, "same_subject", rows, facts))
    for relation, mine in setting.by_relation(links=True):
        for row in table:
            if row["link"] and row["of"] == table[relation]["of"] and row["relation"] != relation:
                facts, there = setting.structure.link_facts(
                    row["relation"], setting.own.subject[mine]
                )
                out.append(_kept(setting, "same_subject", mine[there], facts))
    return out


def correlated(setting: Setting) -> list[Asked]:
    """The fact of a correlated relation that agreed with the edited one, in both readings."""
    world, out = setting.corpus.world, []
    for relation, mine in setting.by_relation(links=False):
        for partner in setting.structure.partners(relation):
            there = world.objects(setting.own.subject[mine], partner)
            rows = mine[there == setting.own.object[mine]]
            facts = world.fact_ids(setting.own.subject[rows], partner)
            new = setting.new[rows]
            out.append(_kept(setting, "correlated_kept", rows, facts, new))
            some = new >= 0
            out.append(
                Asked(
                    "correlated_followed",
                    setting.probed[rows[some]],
                    facts[some],
                    new[some],
                    np.ones(int(some.sum()), bool),
                    new[some],
                )
            )
    return out


def subject_nested(setting: Setting) -> list[Asked]:
    """What subjects inherit from the edited fact, down the chain.

    Of an edited link: from subjects with that object, up to `probes` for each edit.
    """
    world, out = setting.corpus.world, []
    for relation, mine in setting.by_relation(links=False):
        facts = setting.own.subject[mine]
        old, new = setting.own.object[mine], setting.new[mine]
        after = np.where(new < 0, old, new).astype(np.uint32)
        for composed, _, (before, then) in setting.structure.chain(relation, old, after):
            ids = world.fact_ids(facts, composed)
            out.append(_following(setting, mine, ids, before, then))
    for relation, mine in setting.by_relation(links=True):
        out += _inherited(setting, relation, mine)
    return out


def _inherited(setting: Setting, relation: int, mine: Index) -> list[Asked]:
    """What subjects inherit through an edited link."""
    base, of = setting.structure.base(relation), setting.structure.table[relation]["of"]
    holders = _holders(setting, of, setting.own.subject[mine])
    rows, subjects = mine[holders.edit], holders.facts.subject
    old, new = setting.own.object[rows], setting.new[rows]
    after = np.where(new < 0, old, new).astype(np.uint32)
    ids = setting.corpus.world.fact_ids(subjects, base)
    out = [_following(setting, rows, ids, old, after, own=True)]
    for composed, _, (before, then) in setting.structure.chain(base, old, after):
        ids = setting.corpus.world.fact_ids(subjects, composed)
        out.append(_following(setting, rows, ids, before, then))
    return out


def _holders(setting: Setting, relation: int, objects: Ids) -> Dealt:
    """Find subjects that have each object in a relation, up to `probes` of each."""
    most = setting.request.probes
    order = np.argsort(objects)
    counts = np.zeros(len(objects), np.int64)
    parts: list[Facts] = []
    rows: list[Index] = []
    pool = relation_pool(setting.corpus, relation)
    for facts in pool.walk(setting.corpus, setting.request.seed, f"holders {relation}"):
        if (counts >= most).all():
            break
        place = np.searchsorted(objects, facts.object, sorter=order)
        place = order[np.minimum(place, len(objects) - 1)]
        held = (objects[place] == facts.object) & (counts[place] < most)
        facts, place = facts[held], place[held]
        few = counts[place] + rank_within(place) < most
        parts.append(facts[few])
        rows.append(place[few])
        counts += np.bincount(place[few], minlength=len(objects))
    edit = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return Dealt(edit, Facts.concat(setting.corpus, parts))


def nested_links(setting: Setting) -> list[Asked]:
    """What the old and the new object map to, down the chain: true before and after.

    Of an edited composed fact also the link that it was inherited through. Of an edited
    link only what lies below it, as the link itself is what changes.
    """
    out = []
    for relation, mine in [*setting.by_relation(links=False), *setting.by_relation(links=True)]:
        base = setting.structure.base(relation)
        old, new = setting.own.object[mine], setting.new[mine]
        out += _below(setting, "object_nested", base, mine, old)
        some = new >= 0
        out += _below(setting, "new_object_nested", base, mine[some], new[some].astype(np.uint32))
        row = setting.structure.table[relation]
        if row["kind"] == "composed":
            above = setting.corpus.world.objects(setting.own.subject[mine], row["of"])
            facts, there = setting.structure.link_facts(setting.structure.link(relation), above)
            out.append(_kept(setting, "object_nested", mine[there], facts))
    return out


def _below(
    setting: Setting, group: str, base: int, rows: Index, objects: NDArray[np.uint32]
) -> list[Asked]:
    out = []
    for composed, (start,), _ in setting.structure.chain(base, objects):
        facts, there = setting.structure.link_facts(setting.structure.link(composed), start)
        out.append(_kept(setting, group, rows[there], facts))
    return out


def same_object(setting: Setting) -> Asked:
    """Facts of the edit's relation with its old object."""
    dealt = setting.bystanders.same_object(setting.probed, setting.request.probes, probes=True)
    return _dealt(setting, "same_object", dealt, leak=True)


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
    walk = pool.walk(setting.corpus, setting.request.seed, _ORDER, setting.edits.left_out)
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


def regular(setting: Setting, count: int, purpose: str, *, probes: bool) -> Facts:
    """Draw facts of the relations that a rule about one does not concern."""
    relation = int(setting.edits.facts.relation[0])
    beyond = {relation, *setting.structure.rests_on(relation)}
    world = setting.corpus.world
    pools = [
        relation_pool(setting.corpus, other)
        for other in range(world.relations)
        if other not in beyond
    ]
    pool = Pool.joined(pools) if pools else Pool.span(0, 0)
    return setting.bystanders.draw(pool, count, purpose, probes=probes)


def _plan_wide(setting: Setting) -> int:
    """Give how many probes a group of the whole plan has."""
    return setting.request.probes * min(len(setting.probed), 100)


def _kept(setting: Setting, group: str, rows: Index, facts: Ids, new: Index | None = None) -> Asked:
    """Facts that say after the edit what they said before."""
    right = setting.corpus.world._native.facts_of(facts)[2].astype(np.int64)
    none = np.full(len(facts), NONE, np.int64)
    stay = np.zeros(len(facts), bool)
    return Asked(group, setting.probed[rows], facts, right, stay, none if new is None else new)


def _following(
    setting: Setting,
    rows: Index,
    facts: Ids,
    before: NDArray[np.uint32],
    after: NDArray[np.uint32],
    *,
    own: bool = False,
) -> Asked:
    """Composed facts that follow the edit; `own` when they have the edited fact's objects."""
    new = setting.new[rows] if own else np.full(len(rows), NONE, np.int64)
    return Asked(
        "subject_nested",
        setting.probed[rows],
        facts,
        after.astype(np.int64),
        before != after,
        new,
    )


def _dealt(setting: Setting, group: str, dealt: Dealt, *, leak: bool = False) -> Asked:
    new = setting.edits.new_object[dealt.edit] if leak else np.full(len(dealt.edit), NONE, np.int64)
    stay = np.zeros(len(dealt.edit), bool)
    right = dealt.facts.object.astype(np.int64)
    return Asked(group, dealt.edit, dealt.facts.fact, right, stay, new)
