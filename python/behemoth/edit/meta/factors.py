"""Factors of a row's weight gradients: each token's input and output gradient.

The gradient of a weight [o, i] is the sum over tokens of the outer products of output gradient and
input.

Shape letters: n rows, T positions, i inputs, o outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from behemoth.edit.batch import answer_losses
from behemoth.model.observe import with_offsets

__all__ = ["Factors", "factors_of"]

Factors = Mapping[str, tuple[Tensor, Tensor]]
"""By module: inputs [n, T, i], and gradients with respect to outputs [n, T, o]."""


def factors_of(
    model: nn.Module, tokens_nt: Tensor, labels_nt: Tensor, modules: Sequence[str]
) -> Factors:
    """Return the factors for each row's own loss, the mean over the tokens of its answer."""
    with torch.enable_grad(), with_offsets(model, modules) as seen:
        loss = answer_losses(model, tokens_nt, labels_nt).sum()
        gradients = torch.autograd.grad(loss, [offset for _, offset in seen.values()])
    return {
        name: (inputs, gradient.detach())
        for (name, (inputs, _)), gradient in zip(seen.items(), gradients, strict=True)
    }


def contributing(inputs_nti: Tensor, gradients_nto: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of the tokens whose gradients are not zero, first in each row.

    T becomes the largest number of such tokens of a row, and shorter rows are padded with zeros. In
    the last block they are the tokens before those of the answer alone.
    """
    there_nt = (gradients_nto != 0).any(-1)
    longest = max(1, int(there_nt.sum(1).max()))
    order = there_nt.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    places = order[:, :longest, None]
    kept = there_nt.gather(1, places[..., 0])[..., None]
    return tuple(
        factor.gather(1, places.expand(-1, -1, factor.shape[-1])) * kept
        for factor in (inputs_nti, gradients_nto)
    )  # type: ignore[return-value]
