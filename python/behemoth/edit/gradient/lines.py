"""Prompts of plans, with the tokens of old answers that decide what an edit has achieved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from behemoth.corpus.tokens import PADDING
from behemoth.delta.stack import StackedDeltas
from behemoth.edit.batch import first_difference
from behemoth.model.labels import IGNORED

from .feeder import Fed
from .step import edited_logits

__all__ = ["Line", "Lines", "line_of"]


class Line(NamedTuple):
    """A prompt and the tokens of the old answer that are evaluated after it.

    Attributes
    ----------
    tokens : list of int
    old : list of int
        What may follow the last tokens, as many as there are.
    place, new : int
        Number of the token of `old` where the new answer differs, and the new answer's token there.
    """

    tokens: list[int]
    old: list[int]
    place: int = 0
    new: int = 0


def line_of(
    prompt: Sequence[int], new: Sequence[int], old: Sequence[int], *, forgets: bool
) -> Line:
    """Return a prompt with the tokens of its old answer that decide.

    They are all of its tokens if a method forgets it, else the one where the new answer differs, or
    the first if one of the answers begins the other.
    """
    place, token, _ = first_difference(new, old) or (0, new[0], old[0])
    if forgets:
        return Line([*prompt, *old[:-1]], [*old], place, token)
    return Line([*prompt, *old[:place]], [old[place]], 0, token)


class Lines:
    """Prompts of K plans, padded to the same number for each.

    Attributes
    ----------
    there : list of int
        Numbers of the plans that have prompts.
    tokens : int64 [K, b, T]
    places : int64 [K, b, A]
        Positions at which the tokens of `old` are predicted; 0 beyond the ends.
    place, new : int64 [K, b]
    old : int64 [K, b, A]
        `IGNORED` beyond their ends.
    weight : float [K, b]
        One over the number of a plan's prompts; 0 for padding.
    """

    def __init__(self, each: Sequence[Sequence[Line]], device: torch.device) -> None:
        self.there = sorted(k for k, lines in enumerate(each) if lines)
        most = max(map(len, each), default=0)
        length = max((len(line.tokens) for lines in each for line in lines), default=1)
        asked = max((len(line.old) for lines in each for line in lines), default=1)
        tokens = torch.full((len(each), most, length), PADDING)
        places = torch.zeros(len(each), most, asked, dtype=torch.int64)
        old = torch.full((len(each), most, asked), IGNORED)
        at = torch.zeros(2, len(each), most, dtype=torch.int64)
        weight = torch.zeros(len(each), most)
        for k, lines in enumerate(each):
            for row, line in enumerate(lines):
                tokens[k, row, : len(line.tokens)] = torch.tensor(line.tokens)
                first = len(line.tokens) - len(line.old)
                places[k, row, : len(line.old)] = torch.arange(first, len(line.tokens))
                old[k, row, : len(line.old)] = torch.tensor(line.old)
                at[:, k, row] = torch.tensor([line.place, line.new])
                weight[k, row] = 1.0 / len(lines)
        self.tokens, self.places = tokens.to(device), places.to(device)
        self.place, self.new = at.to(device)
        self.old, self.weight = old.to(device), weight.to(device)

    def logits(
        self, model: nn.Module, stacked: StackedDeltas | None, which: list[int] | None
    ) -> Tensor:
        """Return the logits where tokens of old answers of plans are predicted: [n, b, A, V]."""
        tokens, places = self.tokens, self.places
        if which is not None:
            tokens, places = tokens[which], places[which]
        text = torch.arange(tokens.shape[2], device=places.device) <= places.amax(-1, keepdim=True)
        return edited_logits(model, stacked, Fed(tokens, places, places, text), tokens.shape[1])
