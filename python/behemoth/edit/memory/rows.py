"""Input and output of one matrix.

Shape letters: n rows, T positions, i inputs, o outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from behemoth.model.modules import backbone
from behemoth.model.observe import watching

__all__ = ["answering", "seen_by"]


@torch.no_grad()
def seen_by(model: nn.Module, name: str, tokens_nt: Tensor) -> tuple[Tensor, Tensor]:
    """Return a module's input [n, T, i] and output [n, T, o]."""
    with watching(model.get_submodule(name)) as seen:
        backbone(model)(input_ids=tokens_nt, use_cache=False)
    return seen["input"], seen["output"]


@contextmanager
def answering(module: nn.Module, answer: Callable[[Tensor, Tensor], Tensor]) -> Generator[None]:
    """Replace a module's output by `answer(input, output)` while entered."""

    def hook(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return answer(inputs[0], output)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
