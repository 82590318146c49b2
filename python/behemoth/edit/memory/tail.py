"""The part of a model after one MLP output matrix, with everything before it computed once.

A search for other outputs of a matrix changes nothing before it, and no other token in its layer.
So rows go through the complete model once, and at each step only through the later blocks, from the
first token that may change: the keys and values of those before it are kept. A step of one edit
with ten tokens, of which the last changes, computes one.

Shape letters: n rows, T positions, p places, i inputs, o outputs, d residual stream.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from behemoth.edit.batch import deciding, mean_losses
from behemoth.model.architecture import Architecture
from behemoth.model.blocks import LastBlocks
from behemoth.model.modules import backbone
from behemoth.model.observe import watching
from behemoth.model.prefix import cache_argument, unchanged

__all__ = ["Tail", "inputs_at"]


@torch.no_grad()
def inputs_at(model: nn.Module, name: str, tokens_nt: Tensor) -> Tensor:
    """Return a module's input for rows of tokens: [n, T, i]."""
    with watching(model.get_submodule(name)) as seen:
        backbone(model)(input_ids=tokens_nt, use_cache=False)
    return seen["input"]


class Tail:
    """Rows with answers, and their losses as a function of a matrix's outputs at some tokens.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    layer : int
        Layer of the MLP output matrix.
    tokens_nt, labels_nt : int64 [n, T]
        Rows, and the labels of their answers.
    places : pair of int64 [p]
        Rows and columns of the tokens at which the outputs of the matrix may be replaced, none
        after the last token that predicts one of an answer.
    answer : callable
        Function of the matrix's input that replaces its output at all tokens in the initial pass.

    Attributes
    ----------
    inputs : float [p, i]
        Inputs of the matrix at the places.
    outputs : float [p, o]
        Its outputs there.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: int,
        tokens_nt: Tensor,
        labels_nt: Tensor,
        places: tuple[Tensor, Tensor],
        answer: Callable[[Tensor], Tensor],
    ) -> None:
        architecture = Architecture.of(model)
        self._blocks = LastBlocks(model, layer + 1)
        name = architecture.mlp_post_norm(layer)
        self._behind = nn.Identity() if name is None else model.get_submodule(name)
        self._head, self._logits = model.get_submodule(architecture.head), architecture.logits
        rows, columns = deciding(labels_nt)
        first = int(torch.cat([places[1], columns]).min())
        tokens_nt = tokens_nt[:, : int(columns.max()) + 1]  # later ones are not attended to
        self._labels, self._asking = labels_nt[rows, columns + 1], (rows, columns - first)
        self._places = places[0], places[1] - first
        shape = (len(tokens_nt), tokens_nt.shape[1] - first)
        self._everywhere = _is_all(self._places, shape)
        self._asking_all = _is_all(self._asking, shape)
        module = model.get_submodule(architecture.mlp_out(layer))
        self._cache = DynamicCache() if first else None
        said: dict[str, Any] = {"use_cache": first > 0, cache_argument(): self._cache}
        with torch.no_grad(), ExitStack() as entered:
            entered.enter_context(
                module.register_forward_hook(lambda _, inputs, __: answer(inputs[0]))
            )
            inner = entered.enter_context(watching(module))
            outer = entered.enter_context(watching(model.get_submodule(architecture.block(layer))))
            if first:
                backbone(model)(input_ids=tokens_nt[:, :first], **said)
            self._calls = entered.enter_context(self._blocks.noting())
            entered.enter_context(unchanged(self._cache))
            backbone(model)(input_ids=tokens_nt[:, first:], **said)
            self.inputs = inner["input"][self._places]
            self.outputs = inner["output"][self._places]
            self._stream, self._from = outer["output"], self._behind(self.outputs)

    def losses(self, given_po: Tensor) -> Tensor:
        """Return the mean negative log-likelihood of each row's answer tokens, in nats: [n].

        Parameters
        ----------
        given_po : float [p, o]
            Outputs of the matrix at the places.
        """
        added_pd = self._behind(given_po) - self._from
        if self._everywhere:
            stream = self._stream + added_pd.view_as(self._stream)
        else:
            stream = self._stream.index_put(self._places, added_pd, accumulate=True)
        with unchanged(self._cache):
            stream = self._blocks(stream, self._calls)
        asking = stream.flatten(0, 1) if self._asking_all else stream[self._asking]
        logits = self._logits(self._head, self._blocks.normed(asking))
        return mean_losses(logits, self._labels, self._asking[0], len(stream))


def _is_all(places: tuple[Tensor, Tensor], shape: tuple[int, int]) -> bool:
    """Return whether places are all of a batch's, in their order."""
    rows, columns = places
    numbers = rows * shape[1] + columns
    everything = torch.arange(shape[0] * shape[1], device=numbers.device)
    return torch.equal(numbers, everything)
