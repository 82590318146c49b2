"""The edits of a plan: choice of facts, and of their new objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from behemoth.corpus.arrays import fact_numbers
from behemoth.corpus.corpus import Corpus
from behemoth.support.errors import ArgumentError

from .objects import new_objects
from .request import EditRequest
from .sampling import (
    Facts,
    Ids,
    Pool,
    among,
    distinct,
    pair_keys,
    rank_within,
    relation_pool,
)
from .structure import Structure

ORDER = "edits"
"""The purpose of the random order that edits are drawn from."""
_RANKED = 4  # initial ratio of facts to edits, if edits are chosen by their exposures


@dataclass(frozen=True)
class Edits:
    """The facts to edit, in the order of their numbers, and their new objects.

    Parameters
    ----------
    facts : Facts
    new_object : int64[n]
        New object of each fact; -1 for a refusal.
    left_out : int
        Place in the relation's random order from which on facts are left out by a fraction.
    said : Facts
        Facts of the share that already have the object of the censor, and need no edit.
    """

    facts: Facts
    new_object: NDArray[np.int64]
    said: Facts
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.facts)


def choose_edits(
    corpus: Corpus, structure: Structure, request: EditRequest, known: ArrayLike | None
) -> Edits:
    """Choose the edits of a request.

    Raises
    ------
    ArgumentError
        When there are not enough candidate facts; the error states how many there are.
    """
    relations = structure.targets(request)
    check_censor(structure, request)
    if request.count is None:
        if request.fraction is None:
            raise ArgumentError("edits", "nothing", "the number of facts to edit")
        return _share(corpus, request, _pool(corpus, relations, None), known)
    pool = _pool(corpus, relations, known)
    levels = _levels(corpus, request)
    facts = (
        _with_one_object(corpus, structure, request, pool, levels)
        if request.to == "one"
        else _greedy(corpus, structure, request, pool, levels, relations)
    )
    return Edits(facts, new_objects(structure, request, facts), facts[:0])


def passed_over(
    corpus: Corpus, request: EditRequest, known: ArrayLike | None, chosen: NDArray[np.uint64]
) -> int:
    """Return how many facts have more exposures, or fewer, than one that is edited, but are not.

    Parameters
    ----------
    corpus : Corpus
    request : EditRequest
        A request with `most_frequent`, or with `least_frequent`.
    known : array_like of int or None
        Facts that the model knows, as the edits were chosen by.
    chosen : uint64[n]
        Exposures of the facts that are edited.
    """
    structure = Structure(corpus.world)
    pool = _pool(corpus, structure.targets(request), known)
    last = chosen.min() if request.counted == "most_frequent" else chosen.max()

    def before(exposures: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return exposures > last if request.counted == "most_frequent" else exposures < last

    count = 0
    for facts in _candidates(corpus, structure, request, pool):
        ahead = before(facts.exposures)
        count += int(ahead.sum())
        if not ahead.all():
            break
    return count - int(before(chosen).sum())


def _pool(corpus: Corpus, relations: list[int], known: ArrayLike | None) -> Pool:
    """Return the facts of relations, or those of them that a model knows."""
    if known is None:
        return Pool.joined([relation_pool(corpus, relation) for relation in relations])
    ids = known_facts(corpus, known)
    relation = Facts.of(corpus, ids).relation
    return Pool.listed(ids[np.isin(relation, np.array(relations, np.uint32))])


def check_censor(structure: Structure, request: EditRequest) -> None:
    """Refuse a censor whose object 0 has no nested object, which composed facts would follow to.

    Parameters
    ----------
    structure : Structure
    request : EditRequest
        Its relation, which a censor must have, is one of the world.

    Raises
    ------
    ArgumentError
    """
    relation = request.relation
    if request.kind == "censor" and relation is not None and 0 not in structure.choices(relation):
        allowed = "one in which the table tells the nested object of object 0"
        raise ArgumentError("relation", relation, allowed)


def known_facts(corpus: Corpus, known: ArrayLike) -> Ids:
    """Return the argument `known` as sorted ids of facts of the corpus, each once: uint64[n].

    Raises
    ------
    ArgumentError
    """
    return distinct(fact_numbers(known, corpus.world.num_facts, "known"))


def _levels(corpus: Corpus, request: EditRequest) -> dict[int, int] | None:
    """Return the number of facts wanted of each level of exposures; None without levels."""
    if request.exposures is None:
        return None
    facts_of = {row["exposures"]: row["facts"] for row in corpus.exposure_classes}
    for level in request.exposures:
        if not facts_of.get(level):
            levels = sorted(facts_of)
            shown = ", ".join(map(str, levels[:12])) + (", ..." if len(levels) > 12 else "")
            raise ArgumentError("exposures", level, f"levels of the corpus: {shown}")
    assert request.edits is not None
    return dict.fromkeys(request.exposures, request.edits)


def _share(corpus: Corpus, request: EditRequest, pool: Pool, known: ArrayLike | None) -> Edits:
    """Take a share of a relation's facts, the first ones in random order."""
    share = request.fraction
    assert share is not None
    count = max(1, round(share * pool.count))
    ids = np.empty(0, np.uint64) if known is None else known_facts(corpus, known)
    parts, walked = [], 0
    for facts in pool.walk(corpus, request.seed, ORDER):
        facts = facts[: count - walked]
        walked += len(facts)
        keep = facts.exposures > 0
        if known is not None:
            keep &= among(facts.fact, ids)
        parts.append(facts[keep])
        if walked == count:
            break
    facts = Facts.concat(corpus, parts)
    changes = (facts.object != 0) | request.refuses
    if not changes.any():
        raise ArgumentError("fraction", share, "one with candidate facts")
    new = np.full(int(changes.sum()), -1 if request.refuses else 0, np.int64)
    return Edits(facts[changes], new, facts[~changes], count)


def _candidates(
    corpus: Corpus, structure: Structure, request: EditRequest, pool: Pool
) -> Iterator[Facts]:
    """Yield the facts that a request allows, in batches, in random order or by exposures."""
    ranked = request.counted != "edits"
    walk = _ranked(corpus, request, pool) if ranked else pool.walk(corpus, request.seed, ORDER)
    for facts in walk:
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
    """Yield facts by descending or ascending exposures, in random order among equal ones.

    The pool is walked for a few levels at a time, and not stored: in a Zipf corpus only a small
    part of it is needed.
    """
    assert request.count is not None
    descending = request.counted == "most_frequent"
    classes = [(row["exposures"], row["facts"]) for row in corpus.exposure_classes]
    classes = sorted((row for row in classes if row[0] > 0), reverse=descending)
    start, wanted = 0, _RANKED * request.count
    while start < len(classes):
        sizes = np.cumsum([facts for _, facts in classes[start:]])
        stop = min(start + int(np.searchsorted(sizes, wanted)) + 1, len(classes))
        levels = np.sort(np.array([level for level, _ in classes[start:stop]], np.uint64))
        walk = pool.walk(corpus, request.seed, ORDER)
        facts = Facts.concat(corpus, [part[among(part.exposures, levels)] for part in walk])
        key = facts.exposures.astype(np.int64)
        yield facts[np.argsort(-key if descending else key, kind="stable")]
        start, wanted = stop, _RANKED * wanted


def agrees(structure: Structure, facts: Facts) -> NDArray[np.bool_]:
    """Return a mask of the facts whose correlated fact has the same object: bool[n]."""
    agreeing = np.zeros(len(facts), bool)
    for relation in distinct(facts.relation):
        rows = np.flatnonzero(facts.relation == relation)
        for partner in structure.partners(int(relation)):
            agreeing[rows] |= structure.agrees(facts.subject[rows], facts.object[rows], partner)
    return agreeing


def _greedy(
    corpus: Corpus,
    structure: Structure,
    request: EditRequest,
    pool: Pool,
    levels: dict[int, int] | None,
    relations: list[int],
) -> Facts:
    """Take candidates in order, each if it is compatible with those taken before."""
    acceptance = _Acceptance(corpus, structure, request, levels, relations)
    parts: list[Facts] = []
    candidates = 0
    for facts in _candidates(corpus, structure, request, pool):
        candidates += len(facts)
        facts = acceptance.plausible(facts)
        columns = (facts.subject, facts.relation, facts.object, facts.exposures)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        keep = np.zeros(len(facts), bool)
        for place, row in enumerate(rows):
            keep[place] = acceptance.accepts(row)
            if acceptance.missing == 0:
                break
        parts.append(facts[keep])
        if acceptance.ended:
            break
    if acceptance.missing:
        _too_few(request, acceptance, candidates, pool.count)
    return Facts.concat(corpus, parts)


class _Acceptance:
    """The facts taken so far, and the constraints that they put on further ones.

    Parameters
    ----------
    corpus : Corpus
    structure : Structure
    request : EditRequest
    levels : dict of int to int or None
        Number of facts wanted of each level of exposures; None if levels do not matter.
    relations : list of int
        Relations of the candidates.
    """

    def __init__(
        self,
        corpus: Corpus,
        structure: Structure,
        request: EditRequest,
        levels: dict[int, int] | None,
        relations: list[int],
    ) -> None:
        assert request.count is not None
        self._independent = request.independent
        self._links_from = corpus.world.num_relations
        self._binarised = structure.binarised
        self._distinct = request.distinct and not request.independent and request.kind == "remap"
        self._relations = len(relations)
        self._subjects: set[tuple[int, int]] = set()
        self._objects: set[tuple[int, int]] = set()
        # How many facts of a relation can have distinct old and new objects, where that is limited.
        self._limits = {
            relation: len(structure.choices(relation)) // 2
            for relation in relations
            if self._distinct and not structure.binarised[relation]
        }
        # Relations of which no more facts with distinct objects can be taken.
        self.closed = {relation for relation, limit in self._limits.items() if limit <= 0}
        self.taken = 0
        self.missing = request.count * (1 if levels is None else len(levels))
        # The same for each level.
        self.missing_of = None if levels is None else dict(levels)

    @property
    def ended(self) -> bool:
        """Whether no more facts will be taken."""
        return self.missing == 0 or len(self.closed) == self._relations

    @property
    def most(self) -> bool:
        """Whether no other order of the candidates has more facts, if these are too few."""
        if self._independent:
            return True
        return self.missing_of is None and (not self._distinct or self.ended)

    def plausible(self, facts: Facts) -> Facts:
        """Filter out, in one pass, most facts that `accepts` would refuse one by one."""
        if self._distinct and self._objects:
            pairs = pair_keys(facts.relation, facts.object)
            taken = sorted(relation << 32 | object_ for relation, object_ in self._objects)
            facts = facts[~among(pairs, np.array(taken, np.uint64))]
        if self.closed:
            facts = facts[~np.isin(facts.relation, np.array(sorted(self.closed), np.uint32))]
        if self.missing_of is not None:
            levels = [level for level, count in self.missing_of.items() if count > 0]
            facts = facts[np.isin(facts.exposures, np.array(levels, np.uint64))]
        return facts

    def accepts(self, row: tuple[int, int, int, int]) -> bool:
        """Take a fact if it is compatible with those taken before; return whether it was taken.

        Parameters
        ----------
        row : tuple of int
            Subject, relation, object and exposures.
        """
        subject, relation, object_, exposures = row
        if self.missing == 0 or (self.missing_of is not None and self.missing_of[exposures] == 0):
            return False
        if not self._independent and not self._claims(subject, relation, object_):
            return False
        if self.missing_of is not None:
            self.missing_of[exposures] -= 1
        self.missing -= 1
        self.taken += 1
        return True

    def _claims(self, subject: int, relation: int, object_: int) -> bool:
        """Claim a fact's subject and object, unless one of them is already taken."""
        owner = (relation if relation >= self._links_from else -1, subject)
        value = (relation, object_)
        single = self._distinct and not self._binarised[relation]
        if (
            owner in self._subjects
            or relation in self.closed
            or (single and value in self._objects)
        ):
            return False
        self._subjects.add(owner)
        if single:
            self._objects.add(value)
        if relation in self._limits:
            self._limits[relation] -= 1
            if self._limits[relation] == 0:
                self.closed.add(relation)
        return True


def _with_one_object(
    corpus: Corpus,
    structure: Structure,
    request: EditRequest,
    pool: Pool,
    levels: dict[int, int] | None,
) -> Facts:
    """Take facts of one object: the first that has enough candidates, in random order."""
    assert request.edits is not None
    parts: list[Facts] = []
    pooled = Facts.concat(corpus, parts)
    largest, counted, count = 0, 0, 0
    candidates = _candidates(corpus, structure, request, pool)
    while True:
        facts = next(candidates, None)
        if facts is not None:
            parts.append(facts)
            count += len(facts)
            if count < 2 * counted:  # count again only when the number has doubled
                continue
        pooled, counted = Facts.concat(corpus, parts), count
        group, sizes = _enough(pooled, levels)
        largest = max(largest, int(sizes.max(initial=0)))
        if largest >= request.edits:
            # Of several objects, the one whose first fact comes first in the random order.
            ready = sizes[group] >= request.edits
            rows = np.flatnonzero(group == group[np.flatnonzero(ready)[0]])
            key = np.zeros(len(rows)) if levels is None else pooled.exposures[rows]
            return pooled[rows[rank_within(key) < request.edits]]
        if facts is None:
            break
    raise ArgumentError(
        "edits",
        request.edits,
        f"up to {largest}, as no object of a relation has more candidate facts (of {len(pooled)}"
        + ("" if levels is None else ", by level of exposures")
        + ")",
    )


def _enough(
    facts: Facts, levels: dict[int, int] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each fact's group (its relation and object), and the number of facts of each group.

    With levels, that number is the minimum over the levels.
    """
    kinds, group = np.unique(pair_keys(facts.relation, facts.object), return_inverse=True)
    if levels is None:
        return group, np.bincount(group, minlength=len(kinds))
    level = np.searchsorted(np.sort(list(levels)), facts.exposures.astype(np.int64))
    counts = np.bincount(group * len(levels) + level, minlength=len(kinds) * len(levels))
    return group, counts.reshape(len(kinds), len(levels)).min(axis=1)


def _too_few(request: EditRequest, acceptance: _Acceptance, candidates: int, pool: int) -> None:
    """Refuse a request for more facts than are available, and state the constraint that failed."""
    if acceptance.closed:
        reason = "with objects that are distinct before and after (distinct=False lets them recur)"
    elif request.independent:
        reason = "for the request"
    elif request.distinct and request.kind == "remap":
        reason = "of distinct subjects and objects"
    else:
        reason = "of distinct subjects"
    if not acceptance.most:
        # A level that wants fewer facts leaves more subjects and objects to the others.
        other = "another seed" if acceptance.missing_of is None else "another seed or fewer edits"
        reason += f" that seed {request.seed} finds ({other} may find more)"
    if acceptance.missing_of is not None:
        assert request.edits is not None
        lacking, level = max((count, level) for level, count in acceptance.missing_of.items())
        raise ArgumentError(
            "edits",
            request.edits,
            f"up to {request.edits - lacking} of {level} exposures, the number of candidate facts "
            f"{reason}",
        )
    met = "" if acceptance.closed else f" (of {candidates} candidates among {pool} facts)"
    allowed = f"up to {acceptance.taken}, the number of candidate facts {reason}{met}"
    raise ArgumentError(request.counted, request.count, allowed)
