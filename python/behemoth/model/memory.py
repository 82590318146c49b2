"""Estimates of the memory that training needs.

They count the tensors of `FusedBlock` that are kept for the backward pass, and further memory of
torch; the constants are fits to peak resident memory (tests/model/test_memory.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .sizes import Size

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "LOADED", "activation_bytes", "dimensions", "is_estimated", "training_bytes", "weight_bytes",
]  # fmt: skip

LOADED = 2
"""Memory for loading a model, as a multiple of its weights: the weights and the data of their file.
"""

# Libraries that the first step loads, buffers of kernels, batches that are made in advance.
_FIXED = 96 << 20
# A weight, its gradient and AdamW's two moments, in float32.
_OF_A_WEIGHT = 16
# Numbers that a block keeps per token: per unit of width (the norm, queries, keys, values, output
# of attention, and their gradients) and per hidden unit (before and after the activation).
_BY_WIDTH, _BY_HIDDEN = 10, 4
# Factors for other families: autograd keeps the results of every operation, and the logits exist
# together with their logarithms and their gradients.
_UNFUSED, _LOGITS = 2, 3


def dimensions(model: nn.Module) -> tuple[Size, int]:
    """Return the size of a model of transformers, and that of its vocabulary."""
    config: Any = model.config
    return Size.of(config.to_dict(), "model"), int(config.vocab_size)


def training_bytes(size: Size, vocabulary: int, tokens: int) -> int:
    """Estimate the peak memory of a training step on a CPU, in bytes, beyond the process's own.

    For GPT-NeoX the estimate is within a factor of 1.5, as measured; for other families it is
    rougher.

    Parameters
    ----------
    size : Size
    vocabulary : int
        Number of rows of the embedding and of the head.
    tokens : int
        Number of tokens of a micro-batch: blocks times their length.
    """
    weights = _OF_A_WEIGHT * size.parameters_with(vocabulary)
    return _FIXED + weights + activation_bytes(size, vocabulary) * tokens


def activation_bytes(size: Size, vocabulary: int) -> int:
    """Estimate the bytes that autograd keeps per token, in float32; GPT-NeoX keeps no logits.

    Parameters
    ----------
    size : Size
    vocabulary : int
    """
    token = size.layers * (_BY_WIDTH * size.width + _BY_HIDDEN * size.hidden) + 4 * size.width
    if size.family != "gpt_neox":
        token = _UNFUSED * token + _LOGITS * vocabulary
    return 4 * token


def is_estimated(model: nn.Module) -> bool:
    """Return whether memory is estimated: of models on a CPU, and of those that are only shapes."""
    return next(model.parameters()).device.type in ("cpu", "meta")


def weight_bytes(model: nn.Module) -> int:
    """Return the bytes of a model's parameters."""
    return sum(each.numel() * each.element_size() for each in model.parameters())
