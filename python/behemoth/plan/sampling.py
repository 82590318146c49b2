"""Random order without lists: facts in an exact random order, computed on demand."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus

Ids: TypeAlias = NDArray[np.uint64]
Mask: TypeAlias = NDArray[np.bool_]
Index: TypeAlias = NDArray[np.int64]

_ROUNDS = 8
_FIRST_BATCH = 1 << 12
_LAST_BATCH = 1 << 18


def round_keys(seed: int, purpose: str) -> Ids:
    """Make the keys of one purpose: uint64[8]."""
    data = blake2b(f"behemoth edit/{seed}/{purpose}".encode(), digest_size=8 * _ROUNDS).digest()
    return np.frombuffer(data, "<u8").astype(np.uint64)


def mixed(values: Ids, key: np.uint64) -> Ids:
    """Hash uint64 values with a key (two multiplies, as the engine does)."""
    x = values ^ key
    x = (x ^ (x >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    x = (x ^ (x >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    return x ^ (x >> np.uint64(32))


class Order:
    """A keyed bijection of ``0..count``: a generalised Feistel network with cycle walking.

    Parameters
    ----------
    count : int
    seed : int
    purpose : str
        Orders for different purposes are independent.
    """

    def __init__(self, count: int, seed: int, purpose: str) -> None:
        self._count = count
        self._keys = round_keys(seed, purpose)
        side = 1 + int(max(count - 1, 0) ** 0.5)  # at least the root, rounding included
        self._left = np.uint64(side)
        self._right = np.uint64(max(1, -(-count // side)))

    def __call__(self, places: NDArray[Any]) -> Ids:
        """Return the values at `places`, each below the count: uint64 of the same shape."""
        out = self._pass(places.astype(np.uint64))
        while (outside := out >= np.uint64(self._count)).any():
            out[outside] = self._pass(out[outside])
        return out

    def _pass(self, x: Ids) -> Ids:
        left, right = x // self._right, x % self._right
        for number, key in enumerate(self._keys):
            if number % 2 == 0:
                left = (left + mixed(right, key) % self._left) % self._left
            else:
                right = (right + mixed(left, key) % self._right) % self._right
        return left * self._right + right


@dataclass(frozen=True)
class Facts:
    """Facts as parallel arrays.

    Parameters
    ----------
    fact, subject : uint64[n]
    relation, object : uint32[n]
    exposures : uint64[n]
    minority : bool[n]
        Whether the fact has a second object.
    """

    fact: Ids
    subject: Ids
    relation: NDArray[np.uint32]
    object: NDArray[np.uint32]
    exposures: Ids
    minority: Mask

    @classmethod
    def of(cls, corpus: Corpus, facts: NDArray[Any]) -> Facts:
        """Look up facts by id."""
        ids = np.ascontiguousarray(facts, dtype=np.uint64)
        of = corpus.world.arrays_of(ids)
        exposures = corpus.exposures(ids)
        return cls(ids, of.subject, of.relation, of.object, exposures, of.minority >= 0)

    @classmethod
    def concat(cls, corpus: Corpus, parts: list[Facts]) -> Facts:
        """Concatenate facts."""
        if not parts:
            return cls.of(corpus, np.empty(0, np.uint64))
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.fact)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Facts:
        return Facts(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Pool:
    """Facts to choose from: their number, and the fact at each place.

    Parameters
    ----------
    count : int
    ids : callable
        Maps places (uint64[n], below `count`) to fact ids.
    """

    count: int
    ids: Callable[[Ids], Ids]

    @classmethod
    def span(cls, start: int, stop: int, step: int = 1) -> Pool:
        """Fact ids start, start + step, ... below `stop`."""
        first, stride = np.uint64(start), np.uint64(step)
        return cls(len(range(start, stop, step)), lambda places: first + places * stride)

    @classmethod
    def listed(cls, facts: Ids) -> Pool:
        """The facts of an array."""
        return cls(len(facts), lambda places: facts[places.astype(np.int64)])

    @classmethod
    def joined(cls, pools: list[Pool]) -> Pool:
        """The facts of several pools."""
        if len(pools) == 1:
            return pools[0]
        ends = np.cumsum([pool.count for pool in pools], dtype=np.uint64)

        def ids(places: Ids) -> Ids:
            which = np.searchsorted(ends, places, side="right")
            out = np.empty(len(places), np.uint64)
            for number, pool in enumerate(pools):
                mine = which == number
                out[mine] = pool.ids(places[mine] - (ends[number] - np.uint64(pool.count)))
            return out

        return cls(int(ends[-1]) if len(ends) else 0, ids)

    def walk(self, corpus: Corpus, seed: int, purpose: str, start: int = 0) -> Iterator[Facts]:
        """Yield all facts from place `start` on, in random order, in growing batches."""
        order = Order(self.count, seed, purpose)
        size = _FIRST_BATCH
        while start < self.count:
            stop = min(start + size, self.count)
            yield Facts.of(corpus, self.ids(order(np.arange(start, stop, dtype=np.uint64))))
            start, size = stop, min(size * 2, _LAST_BATCH)

    def first(
        self,
        corpus: Corpus,
        seed: int,
        purpose: str,
        count: int,
        keep: Callable[[Facts], Mask],
        start: int = 0,
    ) -> Facts:
        """Return the first `count` facts from place `start` on that `keep` allows, if there are."""
        parts: list[Facts] = []
        walk = self.walk(corpus, seed, purpose, start)
        while count > 0 and (facts := next(walk, None)) is not None:
            parts.append(facts[keep(facts)][:count])
            count -= len(parts[-1])
        return Facts.concat(corpus, parts)

    def first_of_each(
        self,
        corpus: Corpus,
        seed: int,
        purpose: str,
        key: Callable[[Facts], NDArray[Any]],
        keys: NDArray[Any],
        wanted: Index,
        keep: Callable[[Facts], Mask] | None = None,
    ) -> tuple[Facts, Index]:
        """Return the first `wanted` facts of each of some ascending keys, and the key's place."""
        counts = np.zeros(len(keys), np.int64)
        parts: list[Facts] = []
        places = [np.empty(0, np.int64)]
        walk = self.walk(corpus, seed, purpose)
        while (counts < wanted).any() and (facts := next(walk, None)) is not None:
            own = key(facts)
            place = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
            rows = np.flatnonzero((keys[place] == own) & (counts[place] < wanted[place]))
            if keep is not None:
                rows = rows[keep(facts[rows])]
            rows = rows[counts[place[rows]] + rank_within(place[rows]) < wanted[place[rows]]]
            parts.append(facts[rows])
            places.append(place[rows])
            counts += np.bincount(places[-1], minlength=len(keys))
        return Facts.concat(corpus, parts), np.concatenate(places)


def pair_keys(relations: NDArray[np.uint32], objects: NDArray[np.uint32]) -> Ids:
    """Pack relation and object into one number: uint64, same shape."""
    return relations.astype(np.uint64) << np.uint64(32) | objects.astype(np.uint64)


def relation_pool(corpus: Corpus, relation: int) -> Pool:
    """Return the facts of one relation, by arithmetic unless the world lacks some facts."""
    world = corpus.world
    if relation >= world.num_relations:
        first = _first_link(corpus, relation)
        return Pool.span(first, _first_link(corpus, relation + 1))
    if world.num_subject_facts == world.num_subjects * world.num_relations:
        return Pool.span(relation, world.num_subject_facts, world.num_relations)
    return Pool.listed(world.subject_facts_in(relation))


def _first_link(corpus: Corpus, relation: int) -> int:
    """Return the first fact of a link relation; links are stored in the order of relations."""
    world = corpus.world
    links = range(world.num_subject_facts, world.num_facts)
    own = bisect_left(links, relation, key=lambda fact: int(world.arrays_of(fact).relation[0]))
    return world.num_subject_facts + own


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct values in ascending order.

    This sorts: the hash table of `np.unique` needs seconds for a million even ids.
    """
    ordered = np.sort(values, axis=None)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def among(values: NDArray[Any], ordered: NDArray[Any]) -> Mask:
    """Return a mask of the values that occur in an ascending array: bool, of their shape.

    `np.isin` sorts its arguments in each call, which took two thirds of the time of a plan of a
    million edits.
    """
    if not len(ordered):
        return np.zeros(values.shape, bool)
    place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return ordered[place] == values


def rank_within(keys: NDArray[Any]) -> Index:
    """Return the number of equal elements before each element: int64[n]."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.ones(len(keys), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(first)
    ranks = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    out = np.empty(len(keys), np.int64)
    out[order] = ranks
    return out
