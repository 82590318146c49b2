"""Dealing of facts to edits: each edit gets a share of its bucket, of facts that fit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .sampling import Facts, Index, Mask, rank_within

__all__ = ["Dealt", "deal"]

_CELLS = 1 << 22  # pairs of an edit and a fact that are examined at a time


@dataclass(frozen=True)
class Dealt:
    """Bystanders and the edits that they were dealt to: parallel arrays."""

    edit: Index
    facts: Facts


def deal(
    edits: Index,
    bucket: Index,
    facts: Facts,
    lengths: Index,
    count: int,
    fits: Callable[[Index, Facts], Mask],
    *,
    once: bool,
) -> Dealt:
    """Deal each edit up to `count` facts of its bucket that fit it.

    Parameters
    ----------
    edits, bucket : int64[n]
        Edits, and the bucket that each draws from.
    facts : Facts
        Facts of all buckets, one bucket after the other.
    lengths : int64[buckets]
        Number of facts in each bucket.
    count : int
        Maximum number of facts per edit; if `once`, the maximum mean over the edits of a bucket.
    fits : callable
        Takes edits and facts of one shape; returns a mask of the pairs that fit.
    once : bool
        Deal each fact to at most one edit. Otherwise several edits may get the same fact.
    """
    if not len(facts) or not count or not len(edits):
        return Dealt(np.empty(0, np.int64), facts[:0])
    starts = np.cumsum(lengths) - lengths
    if once:
        return _deal_out(edits, bucket, facts, lengths, count, fits)
    turn = rank_within(bucket)
    done_edit: list[Index] = []
    done_place: list[Index] = []
    rows = np.flatnonzero(lengths[bucket] > 0)
    width = max(64, 2 * count)
    while len(rows):
        waiting: list[Index] = []
        step = max(1, _CELLS // width)
        for some in (rows[first : first + step] for first in range(0, len(rows), step)):
            length = lengths[bucket[some]]
            widest = min(width, int(length.max()))
            steps = np.arange(widest)
            place = (turn[some] * count % length)[:, None] + steps
            place = starts[bucket[some]][:, None] + place % length[:, None]
            owner = np.broadcast_to(edits[some][:, None], place.shape)
            good = fits(owner, facts[place]) & (steps < length[:, None])
            good &= np.cumsum(good, axis=1) <= count
            finished = (good.sum(axis=1) == count) | (length <= widest)
            done_edit.append(owner[finished][good[finished]])
            done_place.append(place[finished][good[finished]])
            waiting.append(some[~finished])
        rows, width = np.concatenate(waiting), width * 8
    edit, where = np.concatenate(done_edit), np.concatenate(done_place)
    order = np.argsort(edit, kind="stable")
    return Dealt(edit[order], facts[where[order]])


def _deal_out(
    edits: Index,
    bucket: Index,
    facts: Facts,
    lengths: Index,
    count: int,
    fits: Callable[[Index, Facts], Mask],
) -> Dealt:
    """Deal each fact to one edit of its bucket, in turn, or to the next edit that it fits."""
    order = np.argsort(bucket, kind="stable")
    sizes = np.bincount(bucket, minlength=len(lengths))
    firsts = np.cumsum(sizes) - sizes
    home = np.repeat(np.arange(len(lengths)), lengths)
    number = rank_within(home)
    dealt = np.full(len(facts), -1, np.int64)
    waiting = np.arange(len(facts))
    for step in range(min(int(sizes.max()), 64)):
        mine = home[waiting]
        at = firsts[mine] + (number[waiting] + step) % sizes[mine]
        edit = edits[order[at]]
        good = fits(edit, facts[waiting])
        dealt[waiting[good]] = edit[good]
        waiting = waiting[~good]
        if not len(waiting):
            break
    keep = dealt >= 0
    limit = count * sizes[home]
    keep[keep] = rank_within(home[keep]) < limit[keep]
    return Dealt(dealt[keep], facts[np.flatnonzero(keep)])
