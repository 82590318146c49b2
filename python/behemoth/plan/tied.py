"""The probe groups that are tied to the edited facts themselves, one function each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .asked import NONE, Asked, Setting, kept
from .dealing import Dealt
from .prompts import REFUSED
from .sampling import Facts, Ids, Index, rank_within, relation_pool

__all__ = ["correlated", "edited", "nested_links", "same_subject", "subject_nested"]


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
        for other in range(world.num_relations):
            if other == relation or other in below:
                continue
            rows = mine[setting.structure.has(setting.own.subject[mine], other)]
            if other in partners:  # those that agree are a group of their own
                there = world.objects(setting.own.subject[rows], other)
                rows = rows[there != setting.own.object[rows]]
            facts = world.fact_ids(setting.own.subject[rows], other)
            out.append(kept(setting, "same_subject", rows, facts))
    for relation, mine in setting.by_relation(links=True):
        for row in table:
            if row["link"] and row["of"] == table[relation]["of"] and row["relation"] != relation:
                facts, there = setting.structure.link_facts(
                    row["relation"], setting.own.subject[mine]
                )
                out.append(kept(setting, "same_subject", mine[there], facts))
    return out


def correlated(setting: Setting) -> list[Asked]:
    """The fact of a correlated relation that agreed with the edited one, in both readings."""
    world, out = setting.corpus.world, []
    for relation, mine in setting.by_relation(links=False):
        for partner in setting.structure.partners(relation):
            held = mine[setting.structure.has(setting.own.subject[mine], partner)]
            there = world.objects(setting.own.subject[held], partner)
            rows = held[there == setting.own.object[held]]
            facts = world.fact_ids(setting.own.subject[rows], partner)
            new = setting.new[rows]
            out.append(kept(setting, "correlated_kept", rows, facts, new))
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
        subjects = setting.own.subject[mine]
        old, new = setting.own.object[mine], setting.new[mine]
        after = np.where(new < 0, old, new).astype(np.uint32)
        for composed, _, (before, then) in setting.structure.chain(relation, old, after):
            ids = world.fact_ids(subjects, composed)
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
            out.append(kept(setting, "object_nested", mine[there], facts))
    return out


def _below(
    setting: Setting, group: str, base: int, rows: Index, objects: NDArray[np.uint32]
) -> list[Asked]:
    out = []
    for composed, (start,), _ in setting.structure.chain(base, objects):
        facts, there = setting.structure.link_facts(setting.structure.link(composed), start)
        out.append(kept(setting, group, rows[there], facts))
    return out


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
