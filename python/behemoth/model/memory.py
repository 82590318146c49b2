"""Memory that training takes, reckoned before it is taken.

Counted are the tensors of `FusedBlock` that live until they are used backward, and what torch has
beside them; the constants are fits to the peak of resident memory (tests/model/test_memory.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sizes import Size

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LOADED", "activation_bytes", "training_bytes", "weight_bytes"]

LOADED = 2
"""What loading a model takes, in its weights: they themselves, and what is read of their file."""

# Libraries that the first step loads, buffers of kernels, batches that are made beforehand.
_FIXED = 96 << 20
# A weight, its gradient and AdamW's two moments, in float32.
_OF_A_WEIGHT = 16
# Numbers that a block keeps of a token: by the width (the norm, queries, keys, values, what
# attention gives, and their gradients) and by the hidden units (before and behind the activation).
_BY_WIDTH, _BY_HIDDEN = 10, 4
# What autograd keeps of other families, whose operations are taken one by one, and their logits,
# which are there with their logarithms and their gradients.
_UNFUSED, _LOGITS = 2, 3


def training_bytes(size: Size, vocabulary: int, tokens: int) -> int:
    """Bytes that a step of training takes at its peak, on a CPU, beside what the process has.

    Of a GPT-NeoX within a factor of 1.5, as measured; of other families more roughly.

    Parameters
    ----------
    size : Size
    vocabulary : int
        Rows of the embedding and of the head.
    tokens : int
        Tokens of a micro-batch: blocks times their length.
    """
    weights = _OF_A_WEIGHT * size.parameters_with(vocabulary)
    return _FIXED + weights + activation_bytes(size, vocabulary) * tokens


def activation_bytes(size: Size, vocabulary: int) -> int:
    """Bytes that autograd keeps of a token, in single precision; logits but of GPT-NeoX apart.

    Parameters
    ----------
    size : Size
    vocabulary : int
    """
    token = size.layers * (_BY_WIDTH * size.width + _BY_HIDDEN * size.hidden) + 4 * size.width
    if size.family != "gpt_neox":
        token = _UNFUSED * token + _LOGITS * vocabulary
    return 4 * token


def weight_bytes(model: nn.Module) -> int:
    """Bytes of a model's parameters."""
    return sum(each.numel() * each.element_size() for each in model.parameters())
