"""The edits of a plan: which facts, and which objects they get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from behemoth.corpus.arrays import whole
from behemoth.corpus.corpus import Corpus
from behemoth.support.errors import ArgumentError

from .objects import new_objects
from .request import EditRequest
from .sampling import (
    Facts,
    Pool,
    among,
    distinct,
    rank_within,
    relation_pool,
)
from .structure import Structure

ORDER = "edits"
"""The purpose of the random order that edits are taken from."""
_RANKED = 4  # times as many facts as edits, at first, where they are taken by their exposures


@dataclass(frozen=True)
class Edits:
    """The facts to edit, in the order of their numbers, and their new objects.

    Parameters
    ----------
    facts : Facts
    new_object : int64[n]
        -1 for a refusal.
    left_out : int
        Where in the random order of the relation the facts begin that a fraction leaves out.
    said : Facts
        Facts of the share that say already what a censor has them say: nothing to edit.
    """

    facts: Facts
    new_object: NDArray[np.int64]
    said: Facts
    left_out: int = 0

    @property
    def touched(self) -> Facts:
        """All facts that a rule is about: those it changes, and those that say so already."""
        return Facts(
            *(
                np.concatenate([getattr(self.facts, field.name), getattr(self.said, field.name)])
                for field in fields(Facts)
            )
        )

    def __len__(self) -> int:
        return len(self.facts)


def choose_edits(
    corpus: Corpus, structure: Structure, request: EditRequest, known: ArrayLike | None
) -> Edits:
    """Choose the edits of a request.

    Raises
    ------
    ArgumentError
        When there are not enough candidate facts; it says how many there are.
    """
    relations = structure.targets(request)
    if request.kind == "censor" and 0 not in structure.choices(relations[0]):
        raise ArgumentError(
            "relation", relations[0], "one in which the table tells the nested object of object 0"
        )
    pool = Pool.joined([relation_pool(corpus, relation) for relation in relations])
    if request.count is None:
        if request.fraction is None:
            raise ArgumentError("edits", "nothing", "the number of facts to edit")
        return _share(corpus, request, pool, known)
    if known is not None:
        ids = distinct(whole(known, "known", np.uint64))
        relation = Facts.of(corpus, ids).relation
        pool = Pool.listed(ids[np.isin(relation, np.array(relations, np.uint32))])
    levels = _levels(corpus, request)
    chosen = (
        _with_one_object(corpus, structure, request, pool, levels)
        if request.to == "one"
        else _greedy(corpus, structure, request, pool, levels, relations)
    )
    return Edits(chosen, new_objects(structure, request, chosen), chosen[:0])


def _levels(corpus: Corpus, request: EditRequest) -> dict[int, int] | None:
    """Give how many facts of each level of exposures are wanted."""
    if request.exposures is None:
        return None
    there = {row["exposures"]: row["facts"] for row in corpus.exposure_classes}
    for level in request.exposures:
        if not there.get(level):
            levels = sorted(there)
            shown = ", ".join(map(str, levels[:12])) + (", ..." if len(levels) > 12 else "")
            raise ArgumentError("exposures", level, f"levels of the corpus: {shown}")
    assert request.edits is not None
    return dict.fromkeys(request.exposures, request.edits)


def _share(corpus: Corpus, request: EditRequest, pool: Pool, known: ArrayLike | None) -> Edits:
    """Take a share of a relation's facts, the first ones in random order."""
    share = request.fraction
    assert share is not None
    count = max(1, round(share * pool.count))
    ids = np.empty(0, np.uint64) if known is None else distinct(whole(known, "known", np.uint64))
    parts, there = [], 0
    for facts in pool.walk(corpus, request.seed, ORDER):
        facts = facts[: count - there]
        there += len(facts)
        keep = facts.exposures > 0
        if known is not None:
            keep &= among(facts.fact, ids)
        parts.append(facts[keep])
        if there == count:
            break
    chosen = Facts.concat(corpus, parts)
    changes = (chosen.object != 0) | request.refuses
    if not changes.any():
        raise ArgumentError("fraction", share, "one with candidate facts")
    new = np.full(int(changes.sum()), -1 if request.refuses else 0, np.int64)
    return Edits(chosen[changes], new, chosen[~changes], count)


def _candidates(
    corpus: Corpus, structure: Structure, request: EditRequest, pool: Pool
) -> Iterator[Facts]:
    """Give the facts that a request allows one by one, in random order or by their exposures."""
    ranked = request.counted != "edits"
    walked = _ranked(corpus, request, pool) if ranked else pool.walk(corpus, request.seed, ORDER)
    for facts in walked:
        keep = ~facts.minority
        if request.exposures is None:
            keep &= facts.exposures > 0
        else:
            keep &= np.isin(facts.exposures, np.array(request.exposures, np.uint64))
        if request.kind == "censor":
            keep &= facts.object != 0
        if request.correlated_only:
            keep[keep] = agrees(structure, facts[keep])
        yield facts[keep]


def _ranked(corpus: Corpus, request: EditRequest, pool: Pool) -> Iterator[Facts]:
    """Give facts from the most exposures on, or from the fewest, at random among equal ones.

    The pool is walked for a few levels at a time, and not kept: of a Zipf corpus hardly any of it
    is wanted.
    """
    assert request.count is not None
    most = request.counted == "most_frequent"
    classes = [(row["exposures"], row["facts"]) for row in corpus.exposure_classes]
    classes = sorted((row for row in classes if row[0] > 0), reverse=most)
    start, wanted = 0, _RANKED * request.count
    while start < len(classes):
        sizes = np.cumsum([facts for _, facts in classes[start:]])
        stop = min(start + int(np.searchsorted(sizes, wanted)) + 1, len(classes))
        levels = np.sort(np.array([level for level, _ in classes[start:stop]], np.uint64))
        walk = pool.walk(corpus, request.seed, ORDER)
        facts = Facts.concat(corpus, [some[among(some.exposures, levels)] for some in walk])
        key = facts.exposures.astype(np.int64)
        yield facts[np.argsort(-key if most else key, kind="stable")]
        start, wanted = stop, _RANKED * wanted


def agrees(structure: Structure, facts: Facts) -> NDArray[np.bool_]:
    """Give which facts have the object of a fact that theirs is correlated with: bool[n]."""
    found = np.zeros(len(facts), bool)
    for relation in distinct(facts.relation):
        mine = np.flatnonzero(facts.relation == relation)
        for partner in structure.partners(int(relation)):
            held = mine[structure.has(facts.subject[mine], partner)]
            other = structure.world.objects(facts.subject[held], partner)
            found[held] |= other == facts.object[held]
    return found


def _greedy(
    corpus: Corpus,
    structure: Structure,
    request: EditRequest,
    pool: Pool,
    levels: dict[int, int] | None,
    relations: list[int],
) -> Facts:
    """Take facts in random order, each that goes with those taken before."""
    assert request.count is not None
    wanted = request.count * (1 if levels is None else len(levels))
    apart = request.distinct and not request.independent and request.kind == "remap"
    room = _room(structure, relations, apart)
    need = None if levels is None else dict(levels)
    parts: list[Facts] = []
    taken, candidates = 0, 0
    subjects: set[tuple[int, int]] = set()
    objects: set[tuple[int, int]] = set()
    limits = {relation: limit for relation, limit in room.items() if limit is not None}
    closed: set[int] = {relation for relation, limit in limits.items() if limit <= 0}
    for facts in _candidates(corpus, structure, request, pool):
        candidates += len(facts)
        if apart and objects:
            # Most of what would be refused one by one is refused at once.
            pairs = facts.relation.astype(np.uint64) << np.uint64(32) | facts.object
            gone = np.array(sorted(r << 32 | o for r, o in objects), np.uint64)
            facts = facts[~among(pairs, gone)]
        if closed:
            facts = facts[~np.isin(facts.relation, np.array(sorted(closed), np.uint32))]
        if need is not None:
            open_levels = np.array([level for level, n in need.items() if n > 0], np.uint64)
            facts = facts[np.isin(facts.exposures, open_levels)]
        keep = np.zeros(len(facts), bool)
        columns = (facts.subject, facts.relation, facts.object, facts.exposures)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for place, (subject, relation, object_, exposures) in enumerate(rows):
            if taken == wanted:
                break
            if need is not None and need[exposures] == 0:
                continue
            if not request.independent:
                whose = (relation if relation >= corpus.world.num_relations else -1, subject)
                what = (relation, object_)
                single = apart and not structure.binarised[relation]
                if whose in subjects or relation in closed or (single and what in objects):
                    continue
                subjects.add(whose)
                if single:
                    objects.add(what)
                if relation in limits:
                    limits[relation] -= 1
                    if limits[relation] == 0:
                        closed.add(relation)
            if need is not None:
                need[exposures] -= 1
            keep[place] = True
            taken += 1
        parts.append(facts[keep])
        if taken == wanted or len(closed) == len(relations):
            break
    if taken < wanted:
        _too_few(request, taken, candidates, pool.count, need, closed)
    return Facts.concat(corpus, parts)


def _room(structure: Structure, relations: list[int], apart: bool) -> dict[int, int | None]:
    """Give how many facts of each relation can have distinct objects before and after."""
    if not apart:
        return dict.fromkeys(relations)
    return {
        relation: None
        if structure.binarised[relation]
        else max(len(structure.choices(relation)) // 2, 0)
        for relation in relations
    }


def _with_one_object(
    corpus: Corpus,
    structure: Structure,
    request: EditRequest,
    pool: Pool,
    levels: dict[int, int] | None,
) -> Facts:
    """Take the facts of the first object of which enough have been met, in random order."""
    assert request.edits is not None
    parts: list[Facts] = []
    met = Facts.concat(corpus, parts)
    most, looked_at, count = 0, 0, 0
    candidates = _candidates(corpus, structure, request, pool)
    while True:
        facts = next(candidates, None)
        if facts is not None:
            parts.append(facts)
            count += len(facts)
            if count < 2 * looked_at:  # counting anew only when there is much that is new
                continue
        met, looked_at = Facts.concat(corpus, parts), count
        group, enough = _enough(met, levels)
        most = max(most, int(enough.max(initial=0)))
        if most >= request.edits:
            # Of several, the one whose first fact stands first in the random order.
            ready = enough[group] >= request.edits
            mine = group == group[np.flatnonzero(ready)[0]]
            rank = rank_within(met.exposures[mine] if levels is not None else np.zeros(mine.sum()))
            return met[np.flatnonzero(mine)[rank < request.edits]]
        if facts is None:
            break
    raise ArgumentError(
        "edits",
        request.edits,
        f"up to {most}, as no object of a relation has more candidate facts (of {len(met)}"
        + ("" if levels is None else ", by level of exposures")
        + ")",
    )


def _enough(
    facts: Facts, levels: dict[int, int] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give each fact's group of one object, and of how many facts the groups have enough.

    With levels, that is the least of what a group has at any of them.
    """
    pairs = facts.relation.astype(np.uint64) << np.uint64(32) | facts.object
    kinds, group = np.unique(pairs, return_inverse=True)
    if levels is None:
        return group, np.bincount(group, minlength=len(kinds))
    level = np.searchsorted(np.sort(list(levels)), facts.exposures.astype(np.int64))
    counts = np.bincount(group * len(levels) + level, minlength=len(kinds) * len(levels))
    return group, counts.reshape(len(kinds), len(levels)).min(axis=1)


def _too_few(
    request: EditRequest,
    taken: int,
    candidates: int,
    pool: int,
    need: dict[int, int] | None,
    closed: set[int],
) -> None:
    """Refuse a request for more facts than there are, and say what it ran out of."""
    if closed:
        why = (
            "with objects that are distinct before and after (distinct=False, or --any-objects, "
            "lets them recur)"
        )
    elif request.independent:
        why = "for the request"
    elif request.distinct and request.kind == "remap":
        why = "of distinct subjects and objects"
    else:
        why = "of distinct subjects"
    if need is not None:
        short = {level: request.edits - n for level, n in need.items() if n and request.edits}
        level, there = next(iter(short.items()))
        raise ArgumentError(
            "edits",
            request.edits,
            f"up to {there} of {level} exposures, the number of candidate facts {why}",
        )
    met = "" if closed else f" (of {candidates} candidates among {pool} facts)"
    allowed = f"up to {taken}, the number of candidate facts {why}{met}"
    raise ArgumentError(request.counted, request.count, allowed)
