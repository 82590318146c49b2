"""Kinds of modules in models, whatever the class names of a family.

transformers has a class of root-mean-square norms for each family, and stores GPT-2's matrices
transposed; these classes are recognised by their names, without importing them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "backbone",
    "embedding_scale",
    "is_linear",
    "is_norm",
    "is_positions",
    "is_transposed",
    "normalised",
]


def backbone(model: nn.Module) -> nn.Module:
    """Return the model without its head; the logits of all positions would need the most memory."""
    inner = getattr(model, "base_model", model)
    assert isinstance(inner, nn.Module)
    return inner


def is_positions(module: nn.Module, model: nn.Module) -> bool:
    """Return whether a module is a model's table of positions: an embedding not of its tokens."""
    if not isinstance(module, nn.Embedding):
        return False
    words = getattr(model, "get_input_embeddings", None)
    return words is not None and module is not words()


def is_transposed(module: nn.Module) -> bool:
    """Return whether a module is linear with a weight of [in, out] (transformers' Conv1D)."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def is_linear(module: nn.Module) -> bool:
    """Return whether a module is a matrix, transposed or not, with or without a bias."""
    return isinstance(module, nn.Linear) or is_transposed(module)


def is_norm(module: nn.Module) -> bool:
    """Return whether a module is a norm over the last axis, with or without offsets."""
    return isinstance(module, nn.LayerNorm) or type(module).__name__.endswith("RMSNorm")


def normalised(norm: nn.Module, x: Tensor) -> Tensor:
    """Return the normalised input [..., D] of a norm, before its gains (weight or 1 + weight).

    Root-mean-square norms compute in float32 whatever the model's dtype, and so does this.
    """
    if isinstance(norm, nn.LayerNorm):
        return F.layer_norm(x, norm.normalized_shape, eps=norm.eps)
    epsilon: float = getattr(norm, "variance_epsilon", None) or norm.eps  # type: ignore[assignment]
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)).to(x.dtype)


def embedding_scale(embedding: nn.Embedding) -> Tensor | float:
    """Return the factor of an embedding's rows; in Gemma it is the root of the width, else 1."""
    return getattr(embedding, "embed_scale", 1.0)
