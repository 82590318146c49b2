"""Loss of a model on running text: perplexity, and divergence caused by an edit.

Documents are read as in training with the document mask: each by itself, from its start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from behemoth._gen import digest
from behemoth.corpus.tokens import PADDING
from behemoth.delta.context import context_tokens, positions_left
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating
from behemoth.model.modules import backbone

from .divergence import divergences

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.delta.delta import EditDelta

    from .unedited import Unedited

__all__ = ["LOGITS", "TOKENS", "WAITING", "document_divergences", "document_losses",
           "model_divergences", "perplexity"]  # fmt: skip

TOKENS = 1 << 13
"""Maximum number of tokens per pass."""
LOGITS = 1 << 20
"""Logits in memory at a time: 4 MB in float32, about a second-level cache."""
WAITING = 1 << 26
"""Unedited logits that are kept for the edited pass: 256 MB in float32."""


def document_losses(
    model: PreTrainedModel, documents: Sequence[NDArray[np.integer]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the negative log-likelihood of documents, in nats.

    Parameters
    ----------
    model : PreTrainedModel
    documents : sequence of int[tokens]
        Documents; they are truncated to the maximum length of the model.

    Returns
    -------
    float64[n], int64[n]
        The sum over a document's tokens except the first, and the number of these tokens.
    """
    with evaluating(model):
        batches = _batches(model, documents)
        return _summed(len(documents), batches, partial(_losses, model))


def document_divergences(
    model: PreTrainedModel,
    delta: EditDelta,
    documents: Sequence[NDArray[np.integer]],
    unedited: Unedited | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return KL(unedited || edited) over documents, in nats.

    Parameters
    ----------
    model : PreTrainedModel
        The model without the edit.
    delta : EditDelta
    documents : sequence of int[tokens]
        Documents; they are truncated to the maximum length of the edited model.
    unedited : Unedited, optional
        What is known of the model without edits.

    Returns
    -------
    float64[n], int64[n]
        The sum over the predicted tokens of each document, and the number of these tokens.
    """
    return _compared(model, model, documents, delta, unedited)


def model_divergences(
    reference: PreTrainedModel, model: PreTrainedModel, documents: Sequence[NDArray[np.integer]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return KL(reference || model) over documents, in nats.

    Parameters
    ----------
    reference, model : PreTrainedModel
        Models with the same vocabulary.
    documents : sequence of int[tokens]
        Documents; they are truncated to the maximum length of `model`.

    Returns
    -------
    float64[n], int64[n]
        The sum over the predicted tokens of each document, and the number of these tokens.
    """
    return _compared(reference, model, documents, None)


def _compared(
    reference: PreTrainedModel,
    model: PreTrainedModel,
    documents: Sequence[NDArray[np.integer]],
    delta: EditDelta | None,
    unedited: Unedited | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the divergence of a model from a reference, with a delta applied if there is one."""

    def divergences(tokens: Tensor, inside: Tensor) -> Tensor:
        states = _known_states(reference, tokens, inside, unedited)
        before = torch.cat([*_logits(reference, states)])
        with nullcontext() if delta is None else delta.apply(model):
            return _divergences(before, _logits(model, _states(model, tokens, inside)))

    # The logits of the reference's pass are kept until those of the model exist.
    most = max(64, WAITING // model.config.vocab_size)
    with evaluating(reference), evaluating(model):
        batches = _batches(model, documents, delta, min(most, TOKENS))
        return _summed(len(documents), batches, divergences)


def _summed(
    count: int,
    batches: Iterable[tuple[NDArray[np.intp], Tensor, Tensor]],
    measure: Callable[[Tensor, Tensor], Tensor],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sum of a measure over each document's predicted tokens, and their number.

    `measure` maps the tokens and the predicted mask of a batch to float64 [predicted], in order.
    """
    sums, counts = np.zeros(count), np.zeros(count, np.int64)
    with torch.no_grad():
        for chosen, tokens, inside in batches:
            own = torch.zeros(inside.shape, dtype=torch.float64, device=inside.device)
            own[inside] = measure(tokens, inside)
            sums[chosen] = own.sum(1).cpu().numpy()
            counts[chosen] = inside.sum(1).cpu().numpy()
    return sums, counts


def perplexity(losses: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Return the exponential of the mean loss per token."""
    mean = float(losses.sum() / counts.sum())
    return math.exp(mean) if mean < 700 else math.inf


def _batches(
    model: PreTrainedModel,
    documents: Sequence[NDArray[np.integer]],
    delta: EditDelta | None = None,
    most_tokens: int = TOKENS,
) -> Iterator[tuple[NDArray[np.intp], Tensor, Tensor]]:
    """Yield documents of similar length: indices [B], tokens [B, T], predicted mask [B, T-1].

    The tokens of a context, which each row reads first, count among those of a pass.
    """
    device = next(model.parameters()).device
    most, context = positions_left(model, delta), context_tokens(model, delta)
    lengths = np.array([min(len(document), most) for document in documents])
    order = np.argsort(lengths, kind="stable")
    first = 0
    while first < len(order):
        last = first + 1
        while last < len(order):
            row = context + lengths[order[last]]
            if (last + 1 - first) * row > most_tokens:
                break
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
    """Return the losses of the predicted tokens, in order: float64 [predicted]."""
    wanted = tokens[:, 1:][inside][:, None]
    found, first = [wanted.new_empty(0, dtype=torch.float64)], 0
    for logits in _logits(model, _states(model, tokens, inside)):
        own = wanted[first : first + len(logits)]
        found.append((logits.logsumexp(1) - logits.gather(1, own)[:, 0]).double())
        first += len(logits)
    return torch.cat(found)


def _divergences(before_pv: Tensor, edited: Iterator[Tensor]) -> Tensor:
    """Return KL(reference || model) of the predicted tokens, in order: float64 [predicted].

    Parameters
    ----------
    before_pv : float [p, V]
        Logits of the reference.
    edited : iterator of float [rows, V]
        Logits of the model, in parts.
    """
    found, first = [before_pv.new_empty(0, dtype=torch.float64)], 0
    for logits in edited:
        own = before_pv[first : first + len(logits)].double().log_softmax(1)
        found.append(divergences(own, logits.double().log_softmax(1)))
        first += len(logits)
    return torch.cat(found)


def _known_states(
    model: PreTrainedModel, tokens: Tensor, inside: Tensor, unedited: Unedited | None
) -> Tensor:
    """Return `_states` of a model without edits, which may be known."""
    if unedited is None:
        return _states(model, tokens, inside)
    batch = (each.cpu().numpy().tobytes() for each in (tokens, inside))
    question = ("text", *tokens.shape, *map(digest, batch))
    known = unedited.find(question, Tensor)
    if known is None:
        known = _states(model, tokens, inside)
        unedited.keep(question, known)
    return known


def _states(model: PreTrainedModel, tokens: Tensor, inside: Tensor) -> Tensor:
    """Return what the head is given for the predicted tokens, in order: float [predicted, D]."""
    return backbone(model)(input_ids=tokens, use_cache=False)[0][:, :-1][inside]


def _logits(model: PreTrainedModel, states: Tensor) -> Iterator[Tensor]:
    """Yield the logits of the predicted tokens, in order, some rows at a time: float [rows, V].

    Logits of padding are not computed, and only those of a few rows are in memory at a time: with a
    text tokenizer they are large, and the pass would be limited by memory.
    """
    architecture = Architecture.of(model)
    head = model.get_submodule(architecture.head)
    rows = max(64, LOGITS // model.config.vocab_size)
    for part in states.split(rows):
        yield architecture.logits(head, part).float()
