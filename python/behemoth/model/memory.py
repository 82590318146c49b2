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
    "LOADED", "activation_bytes", "dimensions", "is_estimated", "training_bytes",
    "weight_bytes",
]  # fmt: skip

LOADED = 2
"""Memory for loading a model, as a multiple of its weights: the weights and the data of their file.
"""

# Places per token where each document is a padded row (`Rows`): 1.02 if all have one length, 1.1
# to 1.3 if lengths vary.
_PADDING = 1.25
# Libraries that the first step loads, buffers of kernels, batches that are made in advance.
_FIXED = 96 << 20
# Numbers that a block keeps per token: per unit of width (the norm, queries, keys, values, output
# of attention, and their gradients) and per hidden unit (before and after the activation).
_BY_WIDTH, _BY_HIDDEN = 10, 4
# A model's own forward pass: autograd keeps the results of every operation, of which the families
# have between 0.96 (Llama) and 1.35 (Gemma 2) times as many. If logits are capped, they exist
# together with their logarithms and gradients; otherwise only those of a part of the tokens do.
_UNFUSED, _LOGITS = 1.25, 3
_SOFT_CAP = "final_logit_softcapping"
_CAPPED = ("gemma2",)  # families whose configurations have a cap by default


def dimensions(model: nn.Module) -> tuple[Size, int]:
    """Return the size of a model of transformers, and that of its vocabulary."""
    config: Any = model.config
    return Size.of(config.to_dict(), "model"), int(config.vocab_size)


def training_bytes(
    size: Size,
    vocabulary: int,
    tokens: int,
    *,
    weights: int,
    rows: bool = True,
    fused: bool = True,
) -> int:
    """Estimate the peak memory of a training step on a CPU, in bytes, beyond the process's own.

    The estimate is within a factor of 1.5, as measured for GPT-NeoX and Llama.

    Parameters
    ----------
    size : Size
    vocabulary : int
        Number of rows of the embedding and of the head.
    tokens : int
        Number of tokens of a micro-batch: blocks times their length.
    weights : int
        Bytes of the weights and of what belongs to them: gradients and moments of the optimiser.
    rows : bool
        Whether each document is a row of its own. In fused blocks it makes no difference.
    fused : bool
        Whether the blocks of a GPT-NeoX are fused.
    """
    fused = fused and size.family == "gpt_neox"
    step = activation_bytes(size, fused=fused) * tokens * (_PADDING if rows and not fused else 1)
    if size.settings.get(_SOFT_CAP, size.family in _CAPPED):
        step += 4 * _LOGITS * vocabulary * tokens
    return _FIXED + weights + int(step)


def activation_bytes(size: Size, *, fused: bool = True) -> int:
    """Estimate the bytes that autograd keeps per token, in float32, without logits.

    Parameters
    ----------
    size : Size
    fused : bool
        Whether the blocks of a GPT-NeoX are fused; those of other families are not.
    """
    token = size.layers * (_BY_WIDTH * size.width + _BY_HIDDEN * size.hidden) + 4 * size.width
    return int(4 * token * (1 if fused and size.family == "gpt_neox" else _UNFUSED))


def is_estimated(model: nn.Module) -> bool:
    """Return whether memory is estimated: of models on a CPU, and of those that are only shapes."""
    return next(model.parameters()).device.type in ("cpu", "meta")


def weight_bytes(model: nn.Module) -> int:
    """Return the bytes of a model's parameters."""
    return sum(each.numel() * each.element_size() for each in model.parameters())
