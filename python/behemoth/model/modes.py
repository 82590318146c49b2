"""Temporary modes of a model: evaluation, and no gradients of its parameters."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["evaluating", "frozen"]


@contextmanager
def evaluating(model: nn.Module) -> Generator[None]:
    """Put a model in evaluation mode, without dropout, and restore its mode at the end."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def frozen(model: nn.Module) -> Generator[None]:
    """Exclude a model's parameters from gradients, which a backward pass would compute."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
