"""Factors of a row's weight gradients: each token's input and output gradient.

The gradient of a weight [o, i] is the sum over tokens of the outer products of output gradient and
input.

Shape letters: n rows, T positions, i inputs, o outputs.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from behemoth.edit.memory.rows import answer_losses

__all__ = ["Factors", "factors_of", "watched"]

Factors = Mapping[str, tuple[Tensor, Tensor]]
"""By module: inputs [n, T, i], and gradients with respect to outputs [n, T, o]."""


def factors_of(
    model: nn.Module, tokens_nt: Tensor, labels_nt: Tensor, modules: Sequence[str]
) -> Factors:
    """Return the factors for each row's own loss, the mean over the tokens of its answer."""
    with torch.enable_grad(), watched(model, modules) as seen:
        loss = answer_losses(model, tokens_nt, labels_nt).sum()
        gradients = torch.autograd.grad(loss, [offset for _, offset in seen.values()])
    return {
        name: (inputs, gradient.detach())
        for (name, (inputs, _)), gradient in zip(seen.items(), gradients, strict=True)
    }


@contextmanager
def watched(
    model: nn.Module, modules: Sequence[str]
) -> Generator[dict[str, tuple[Tensor, Tensor]]]:
    """Keep inputs of modules, and add zeros to their outputs for gradients with respect to them."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    with ExitStack() as hooks:
        for name in modules:

            def keep(_: Any, inputs: Any, output: Tensor, name: str = name) -> Tensor:
                offset = output.new_zeros(output.shape, requires_grad=True)
                seen[name] = (inputs[0].detach(), offset)
                return output + offset

            handle = model.get_submodule(name).register_forward_hook(keep)
            hooks.callback(handle.remove)
        yield seen
