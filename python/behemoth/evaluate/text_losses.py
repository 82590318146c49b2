"""What a model makes of running text: perplexity, and how far an edit moved it.

Documents are read as they are trained on with the document mask: each by itself, from its start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from behemoth.corpus.tokens import PADDING
from behemoth.delta.context import positions_left
from behemoth.model.architecture import Architecture
from behemoth.model.modules import backbone
from behemoth.recall.generation import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.delta.delta import EditDelta

__all__ = ["document_divergences", "document_losses", "perplexity"]

_TOKENS = 1 << 13  # of a pass
_LOGITS = 1 << 20  # that are there at a time: 4 MB in float32, about a second-level cache


def document_losses(
    model: PreTrainedModel, documents: Sequence[NDArray[np.integer]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Negative log-likelihood of documents, in nats.

    Parameters
    ----------
    model : GPTNeoXForCausalLM
    documents : sequence of int[tokens]
        What is longer than the model reads is cut.

    Returns
    -------
    float64[n], int64[n]
        The sum over a document's tokens but the first, and how many they are.
    """
    sums, counts = np.zeros(len(documents)), np.zeros(len(documents), np.int64)
    with evaluating(model), torch.no_grad():
        for chosen, tokens, inside in _batches(model, documents):
            own = torch.zeros(inside.shape, dtype=torch.float64, device=inside.device)
            own[inside] = _losses(model, tokens, inside)
            sums[chosen] = own.sum(1).cpu().numpy()
            counts[chosen] = inside.sum(1).cpu().numpy()
    return sums, counts


def document_divergences(
    model: PreTrainedModel, delta: EditDelta, documents: Sequence[NDArray[np.integer]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """KL(unedited || edited) over documents, in nats.

    Returns
    -------
    float64[n], int64[n]
        The sum over what is predicted of each document, and how many tokens that are.
    """
    sums, counts = np.zeros(len(documents)), np.zeros(len(documents), np.int64)
    with evaluating(model), torch.no_grad():
        for chosen, tokens, inside in _batches(model, documents, delta):
            before = _log_probabilities(model, tokens)
            with delta.apply(model):
                after = _log_probabilities(model, tokens)
            own = (before.exp() * (before - after)).sum(2).masked_fill(~inside, 0.0)
            sums[chosen] = own.sum(1).cpu().numpy()
            counts[chosen] = inside.sum(1).cpu().numpy()
    return sums, counts


def perplexity(losses: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """The exponential of the mean loss of a token."""
    mean = float(losses.sum() / counts.sum())
    return math.exp(mean) if mean < 700 else math.inf


def _batches(
    model: PreTrainedModel,
    documents: Sequence[NDArray[np.integer]],
    delta: EditDelta | None = None,
) -> Iterator[tuple[NDArray[np.intp], Tensor, Tensor]]:
    """Documents of about one length: which they are, tokens [B, T], what is predicted [B, T-1]."""
    device = next(model.parameters()).device
    most = positions_left(model, delta)
    lengths = np.array([min(len(document), most) for document in documents])
    order = np.argsort(lengths, kind="stable")
    first = 0
    while first < len(order):
        last = first + 1
        while last < len(order) and (last + 1 - first) * lengths[order[last]] <= _TOKENS:
            last += 1
        chosen = order[first:last]
        width = max(int(lengths[chosen].max()), 2)
        tokens = torch.full((len(chosen), width), PADDING)
        for row, number in enumerate(chosen):
            own = np.asarray(documents[number][: lengths[number]], np.int64)
            tokens[row, : len(own)] = torch.from_numpy(own)
        inside = torch.arange(1, width) < torch.from_numpy(lengths[chosen])[:, None]
        yield chosen, tokens.to(device), inside.to(device)
        first = last


def _losses(model: PreTrainedModel, tokens: Tensor, inside: Tensor) -> Tensor:
    """Of what is predicted inside documents, in order: float64 [predicted].

    Logits of padding are not worked out, and those of a few rows are there at a time: of a text's
    tokenizer they are many, and memory is what such a pass would wait for.
    """
    architecture = Architecture.of(model)
    head = model.get_submodule(architecture.head)
    states = backbone(model)(input_ids=tokens, use_cache=False)[0][:, :-1][inside]
    wanted = tokens[:, 1:][inside][:, None]
    rows = max(64, _LOGITS // model.config.vocab_size)
    found = []
    for part, own in zip(states.split(rows), wanted.split(rows), strict=True):
        logits = architecture.logits(head, part).float()
        found.append((logits.logsumexp(1) - logits.gather(1, own)[:, 0]).double())
    return torch.cat(found) if found else states.new_empty(0, dtype=torch.float64)


def _log_probabilities(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    """Of all tokens that can come next, in float64: differences of small ones are looked at."""
    return model(input_ids=tokens, use_cache=False).logits[:, :-1].double().log_softmax(-1)
