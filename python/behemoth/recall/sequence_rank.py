"""The rank of an answer among all objects, by the probability of their complete names.

The probability of a name is the product of those of its tokens. Scoring every object for every
prompt would cost as many passes as there are objects; but a name is never more probable than its
beginning, so only beginnings that are still as probable as the answer are extended. Answers that a
model knows are ranked after one or two passes; the ranks are exact in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.objects import ObjectTokens
from behemoth.corpus.tokens import PADDING
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import Advance, silent

from .ragged import Ragged

RANKS = ("first", "sequence")
"""Ways to rank objects: by the first token of their word, or by all tokens of their names."""
# Scores of one name from two passes differ by rounding; scores this close to the answer are ties.
_TOLERANCE = 1e-5
# At most this share of a sum of probabilities is left out.
_LEFT_OUT = 1e-3


def check_rank(rank: str, corpus: Corpus) -> None:
    """Refuse an unknown way to rank, or one that this corpus does not support."""
    if not isinstance(rank, str) or rank not in RANKS:
        raise ArgumentError.unknown("rank", rank, RANKS)
    if rank == "sequence" and corpus.grammar is None:
        allowed = "'first': words of templates are ranked by their first token"
        raise ArgumentError("rank", rank, allowed)


@dataclass
class _Node:
    """A beginning of names, with the tokens that may follow it."""

    path: tuple[int, ...]
    children: dict[int, _Node] = field(default_factory=dict)
    object_: int | None = None


class _Waiting:
    """Beginnings that each row has yet to follow; a row without any is done."""

    def __init__(self, rows: int, step: Advance) -> None:
        self._beginnings, self._step, self._done = [1] * rows, step, 0

    def more(self, row: int) -> None:
        self._beginnings[row] += 1

    def less(self, row: int) -> None:
        self._beginnings[row] -= 1
        if not self._beginnings[row]:
            self._done += 1
            self._step(self._done, len(self._beginnings))


class NameTree:
    """Prefix tree of the names of all objects of a relation.

    Parameters
    ----------
    objects : ObjectTokens

    Attributes
    ----------
    root : node
    beginnings : int
        Number of beginnings that some token follows, including the empty one.
    names : int
        Number of objects.
    """

    def __init__(self, objects: ObjectTokens) -> None:
        self.root = _Node(())
        self.names = len(objects.lengths)
        for number in range(len(objects.lengths)):
            node = self.root
            for token in objects.of(number):
                if token not in node.children:
                    node.children[token] = _Node((*node.path, token))
                node = node.children[token]
            node.object_ = number
        self.beginnings = _count_beginnings(self.root)


def _count_beginnings(node: _Node) -> int:
    return sum(map(_count_beginnings, node.children.values()), int(bool(node.children)))


def sequence_ranks(
    model: PreTrainedModel,
    corpus: Corpus,
    prompts: Ragged,
    relations: NDArray[np.uint32],
    objects: NDArray[np.uint32],
    log_probability: NDArray[np.float64],
    *,
    batch_size: int,
    device: torch.device,
    step: Advance = silent,
) -> NDArray[np.uint32]:
    """Rank answers among all objects of their relations.

    Parameters
    ----------
    model : PreTrainedModel
        A model that is already in the mode in which it is to be queried.
    corpus : Corpus
        A corpus with a grammar, which defines the names.
    prompts : Ragged
        One prompt per answer; names follow directly.
    relations, objects : uint32[rows]
        Relations and objects of the answers.
    log_probability : float64[rows]
        Natural logarithm of the probabilities of the answers.
    batch_size : int
        Number of beginnings per pass.
    device : torch.device
    step : callable, optional
        Called with (rows done, rows).

    Returns
    -------
    uint32[rows]
        Ranks, 1 is best. Names as probable as the answer, and names whose probability is NaN, count
        against it.
    """
    tree = cache(lambda relation: NameTree(corpus.object_tokens(relation)))
    ranks = np.ones(len(prompts), np.uint32)
    waiting = _Waiting(len(prompts), step)
    level = [
        (row, tree(relation).root, 0.0) for row, relation in enumerate(relations.tolist())
    ]  # rows, nodes, and log-probabilities of their beginnings
    while level:
        further: list[tuple[int, _Node, float]] = []
        for row, node, score, line in _followed(model, prompts, level, batch_size, device):
            tokens = np.fromiter(node.children, np.int64, len(node.children))
            scores = score + line[tokens]
            # NaN is kept: it must not improve a rank.
            kept = ~(scores < log_probability[row] - _TOLERANCE)
            for token, own in zip(tokens[kept].tolist(), scores[kept].tolist(), strict=True):
                child = node.children[token]
                if child.object_ is not None and child.object_ != objects[row]:
                    ranks[row] += 1
                if child.children:
                    further.append((row, child, own))
                    waiting.more(row)
            waiting.less(row)
        level = further
    return ranks


def wrong_probabilities(
    model: PreTrainedModel,
    corpus: Corpus,
    prompts: Ragged,
    relations: NDArray[np.uint32],
    objects: NDArray[np.uint32],
    *,
    batch_size: int,
    device: torch.device,
) -> NDArray[np.float64]:
    """Return the mean probability of the other objects of each relation.

    Beginnings are dropped if all of them together cannot add more than a thousandth of the sum
    found so far; so the result is a lower bound.

    Parameters
    ----------
    model, corpus, prompts, relations, batch_size, device
        See `sequence_ranks`.
    objects : uint32[rows]
        Objects that are excluded from the mean.

    Returns
    -------
    float64[rows]
        Natural logarithm of the mean probability of a name, over all of its tokens.
    """
    tree = cache(lambda relation: NameTree(corpus.object_tokens(relation)))
    trees = [tree(relation) for relation in relations.tolist()]
    found = np.full(len(prompts), -np.inf)
    least = np.log(_LEFT_OUT) - np.log([own.beginnings for own in trees])
    level = [(row, own.root, 0.0) for row, own in enumerate(trees)]
    while level:
        further: list[tuple[int, _Node, float]] = []
        for row, node, score, line in _followed(model, prompts, level, batch_size, device):
            for token, child in node.children.items():
                own = score + line[token]
                if child.object_ is not None and child.object_ != objects[row]:
                    found[row] = np.logaddexp(found[row], own)
                if child.children:
                    further.append((row, child, own))
        # NaN is followed to the end of names, so that it shows. Probability 0 is not followed.
        level = [
            (row, node, score)
            for row, node, score in further
            if not score <= found[row] + least[row] and score != -np.inf
        ]
    return found - np.log([own.names - 1 for own in trees])


def _followed(
    model: PreTrainedModel,
    prompts: Ragged,
    level: list[tuple[int, _Node, float]],
    batch_size: int,
    device: torch.device,
) -> Iterator[tuple[int, _Node, float, NDArray[np.float64]]]:
    """Yield each beginning with the log-probabilities of the token after it, float64[V].

    Beginnings of about equal lengths share a pass.
    """
    ordered = sorted(level, key=lambda at: int(prompts.lengths[at[0]]) + len(at[1].path))
    for first in range(0, len(ordered), batch_size):
        part = ordered[first : first + batch_size]
        logits = _next(model, prompts, part, device)
        for beginning, line in zip(part, logits, strict=True):
            yield *beginning, line


def _next(
    model: PreTrainedModel,
    prompts: Ragged,
    part: list[tuple[int, _Node, float]],
    device: torch.device,
) -> NDArray[np.float64]:
    """Return log-probabilities of the token after each prompt and beginning: float64[part, V]."""
    rows = np.array([row for row, _, _ in part])
    before = prompts.lengths[rows]
    ends = before + np.array([len(node.path) for _, node, _ in part])
    tokens = prompts.padded(rows, int(ends.max()), PADDING)
    for line, start, (_, node, _) in zip(tokens, before.tolist(), part, strict=True):
        line[start : start + len(node.path)] = node.path
    base = int(ends.min()) - 1
    kept = torch.arange(base, int(ends.max()), device=device)
    logits = model(input_ids=torch.from_numpy(tokens).to(device), logits_to_keep=kept).logits
    places = torch.from_numpy(ends - 1 - base).to(device)
    last = logits[torch.arange(len(part), device=device), places].float()
    return torch.log_softmax(last, 1).double().cpu().numpy()
