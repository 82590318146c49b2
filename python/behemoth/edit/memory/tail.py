"""What comes behind one MLP output matrix, with everything up to it worked out once.

A search for what a matrix should give moves nothing before it, and in its layer no other token. So
rows go through the model once, and at each step through the blocks behind alone.

Shape letters: n rows, T positions, p places, i inputs, o outputs, d residual stream.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext

import torch
from torch import Tensor, nn

from behemoth.edit.locate.keys import watching
from behemoth.model.architecture import Architecture
from behemoth.model.blocks import LastBlocks
from behemoth.model.modules import backbone

from .rows import answering, deciding, mean_losses

__all__ = ["Tail"]

_Answer = Callable[[Tensor, Tensor], Tensor]


class Tail:
    """Rows of answers, and their losses by what a matrix gives at some of their tokens.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    layer : int
        Whose MLP output matrix it is.
    tokens_nt, labels_nt : int64 [n, T]
        Rows, and the answers that count.
    places : pair of int64 [p]
        Rows and columns of the tokens at which the matrix may give something else.
    answer : callable, optional
        What the matrix gives of its input and output at all other tokens, in place of what it does.

    Attributes
    ----------
    inputs : float [p, i]
        What goes into the matrix at the places.
    outputs : float [p, o]
        What it gives there.
    seen : float [n, T, i]
        What goes into it at all tokens.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: int,
        tokens_nt: Tensor,
        labels_nt: Tensor,
        places: tuple[Tensor, Tensor],
        answer: _Answer | None = None,
    ) -> None:
        architecture = Architecture.of(model)
        self._places = places
        self._blocks = LastBlocks(model, layer + 1)
        name = architecture.mlp_post_norm(layer)
        self._behind = nn.Identity() if name is None else model.get_submodule(name)
        self._head, self._logits = model.get_submodule(architecture.head), architecture.logits
        rows, columns = deciding(labels_nt)
        self._labels, self._asking = labels_nt[rows, columns + 1], (rows, columns)
        module = model.get_submodule(architecture.mlp_out(layer))
        with torch.no_grad(), ExitStack() as entered:
            entered.enter_context(nullcontext() if answer is None else answering(module, answer))
            inner = entered.enter_context(watching(module))
            outer = entered.enter_context(watching(model.get_submodule(architecture.block(layer))))
            self._calls = entered.enter_context(self._blocks.noting())
            backbone(model)(input_ids=tokens_nt, use_cache=False)
            self.seen = inner["input"]
            self.inputs, self.outputs = self.seen[places], inner["output"][places]
            self._stream, self._from = outer["output"], self._behind(self.outputs)

    def losses(self, given_po: Tensor) -> Tensor:
        """Mean negative log-likelihood over each row's answer tokens, in nats: [n].

        Parameters
        ----------
        given_po : float [p, o]
            What the matrix is to give at the places.
        """
        added_pd = self._behind(given_po) - self._from
        stream = self._stream.index_put(self._places, added_pd, accumulate=True)
        stream = self._blocks(stream, self._calls)
        logits = self._logits(self._head, self._blocks.normed(stream[self._asking]))
        return mean_losses(logits, self._labels, self._asking[0], len(stream))
