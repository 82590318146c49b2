"""Distance of a model to the twin that was trained without some facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from behemoth.recall.generation import decode
from behemoth.recall.ragged import Ragged

from .divergence import divergences

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["ROWS", "parameter_distance", "twin_divergences"]

ROWS = 256
"""Usual number of prompts per pass."""


def twin_divergences(
    twin: PreTrainedModel, model: PreTrainedModel, prompts: pl.Series, *, batch_size: int = ROWS
) -> NDArray[np.float64]:
    """Return KL(twin || model) of the next token, in nats.

    Parameters
    ----------
    twin, model : PreTrainedModel
        Models with the same vocabulary.
    prompts : polars.Series of lists of int
    batch_size : int
        Number of prompts per pass, whose distributions are in memory at a time.

    Returns
    -------
    float64[prompts]
    """
    parts = []
    for first in range(0, len(prompts), batch_size):
        some = prompts.slice(first, batch_size)
        theirs, ours = _next(twin, some), _next(model, some)
        parts.append(divergences(theirs, ours).cpu().numpy())
    return np.concatenate(parts) if parts else np.empty(0)


def parameter_distance(model: nn.Module, twin: nn.Module) -> float:
    """Return the norm of the difference of all parameters of two models of the same shape."""
    own = dict(model.named_parameters())
    squares = 0.0
    for name, value in twin.named_parameters():
        difference = own[name].detach().double() - value.detach().double()
        squares += float(difference.square().sum())
    return squares**0.5


def _next(model: PreTrainedModel, prompts: pl.Series) -> Tensor:
    """Return log-probabilities of the next token: float64 [prompts, vocabulary]."""
    rows, found = list[NDArray[np.intp]](), list[Tensor]()
    for batch in decode(model, Ragged.of_lists(prompts), None, most=1, batch_size=len(prompts)):
        rows.append(batch.rows)
        found.append(batch.logits[:, 0].double().log_softmax(-1))
    order = torch.from_numpy(np.argsort(np.concatenate(rows)))
    logs = torch.cat(found)
    return logs[order.to(logs.device)]
