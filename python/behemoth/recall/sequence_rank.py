"""The rank of an answer among all objects, by the probability of their whole names.

A name of several tokens has the product of their probabilities. Scoring every object for every
prompt would cost as many passes as there are objects; but a name is never more probable than its
beginning, so only those beginnings are followed that are still as probable as the answer. What a
model knows is ranked after a pass or two; the ranks are exact whatever it knows.
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

from .ragged import Ragged

RANKS = ("first", "sequence")
"""By what objects are ranked: the first token of their word, or all tokens of their names."""
# Scores of one name from two passes differ by rounding; what is as near to the answer is on a par.
_TOLERANCE = 1e-5


def check_rank(rank: str, corpus: Corpus) -> None:
    """Refuse what is no way to rank, or none with this corpus."""
    if rank not in RANKS:
        raise ArgumentError.unknown("rank", rank, RANKS)
    if rank == "sequence" and corpus.grammar is None:
        allowed = "'first': words of templates are ranked by their first token"
        raise ArgumentError("rank", rank, allowed)


@dataclass
class _Node:
    """What follows a beginning of names."""

    path: tuple[int, ...]
    children: dict[int, _Node] = field(default_factory=dict)
    object_: int | None = None


class NameTree:
    """The names of all objects of a relation by their beginnings.

    Parameters
    ----------
    objects : ObjectTokens

    Attributes
    ----------
    root : node
    beginnings : int
        How many there are, that of no token among them.
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
) -> NDArray[np.uint32]:
    """Rank answers among all objects of their relations.

    Parameters
    ----------
    model : PreTrainedModel
        In the mode in which it is to be asked.
    corpus : Corpus
        With a grammar, which has the names.
    prompts : Ragged
        One for each answer; the names follow them at once.
    relations, objects : uint32[rows]
        The answers.
    log_probability : float64[rows]
        Of the answers, natural logarithm.
    batch_size : int
        Beginnings that go through the model together.
    device : torch.device

    Returns
    -------
    uint32[rows]
        1 is best. Names as probable as the answer come before it, and so do names without a
        probability.
    """
    tree = cache(lambda relation: NameTree(corpus.object_tokens(relation)))
    ranks = np.ones(len(prompts), np.uint32)
    level = [
        (row, tree(relation).root, 0.0) for row, relation in enumerate(relations.tolist())
    ]  # rows, what follows, and the probability of the beginning
    while level:
        further: list[tuple[int, _Node, float]] = []
        for part in _parts(level, prompts, batch_size):
            logits = _next(model, prompts, part, device)
            for (row, node, score), line in zip(part, logits, strict=True):
                tokens = np.fromiter(node.children, np.int64, len(node.children))
                scores = score + line[tokens]
                # Not a number is kept: it must not make a rank good.
                kept = ~(scores < log_probability[row] - _TOLERANCE)
                for token, own in zip(tokens[kept].tolist(), scores[kept].tolist(), strict=True):
                    child = node.children[token]
                    if child.object_ is not None and child.object_ != objects[row]:
                        ranks[row] += 1
                    if child.children:
                        further.append((row, child, own))
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
    tolerance: float = 1e-3,
) -> NDArray[np.float64]:
    """Find how probable the other objects of relations are, in the mean over them.

    Beginnings are left aside where all of them together cannot add more than `tolerance` of what
    was found; what is given is never too much.

    Parameters
    ----------
    model, corpus, prompts, relations, batch_size, device
        As of `sequence_ranks`.
    objects : uint32[rows]
        The objects that are not among the others.
    tolerance : float

    Returns
    -------
    float64[rows]
        Natural logarithm of the mean probability, of all tokens of a name.
    """
    tree = cache(lambda relation: NameTree(corpus.object_tokens(relation)))
    trees = [tree(relation) for relation in relations.tolist()]
    found = np.full(len(prompts), -np.inf)
    least = np.log(tolerance) - np.log([own.beginnings for own in trees])
    level = [(row, own.root, 0.0) for row, own in enumerate(trees)]
    while level:
        further: list[tuple[int, _Node, float]] = []
        for part in _parts(level, prompts, batch_size):
            logits = _next(model, prompts, part, device)
            for (row, node, score), line in zip(part, logits, strict=True):
                for token, child in node.children.items():
                    own = score + line[token]
                    if child.object_ is not None and child.object_ != objects[row]:
                        found[row] = np.logaddexp(found[row], own)
                    if child.children:
                        further.append((row, child, own))
        # Not a number is followed to its end, where it shows. What is not likely at all is not.
        level = [
            (row, node, score)
            for row, node, score in further
            if not score <= found[row] + least[row] and score != -np.inf
        ]
    return found - np.log([own.names - 1 for own in trees])


def _parts(
    level: list[tuple[int, _Node, float]], prompts: Ragged, batch_size: int
) -> Iterator[list[tuple[int, _Node, float]]]:
    """Batches of about equal lengths."""
    ordered = sorted(level, key=lambda at: int(prompts.lengths[at[0]]) + len(at[1].path))
    for first in range(0, len(ordered), batch_size):
        yield ordered[first : first + batch_size]


def _next(
    model: PreTrainedModel,
    prompts: Ragged,
    part: list[tuple[int, _Node, float]],
    device: torch.device,
) -> NDArray[np.float64]:
    """Log-probabilities of all tokens behind each prompt and beginning: float64[part, tokens]."""
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
