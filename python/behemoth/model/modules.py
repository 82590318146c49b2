"""Kinds of modules that models are made of, whatever a family calls its classes.

transformers has a class of root-mean-square norms for each family, and keeps GPT-2's matrices the
other way round; they are known here by their names, since what is looked at has been made already.
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
    "weight_of",
]


def backbone(model: nn.Module) -> nn.Module:
    """The model without its head: the logits of all positions are far larger than all else."""
    inner = getattr(model, "base_model", model)
    assert isinstance(inner, nn.Module)
    return inner


def is_positions(module: nn.Module, model: nn.Module) -> bool:
    """Whether a module is a model's table of positions: an embedding that is not of its words."""
    if not isinstance(module, nn.Embedding):
        return False
    words = getattr(model, "get_input_embeddings", None)
    return words is not None and module is not words()


def is_transposed(module: nn.Module) -> bool:
    """Whether a module is linear with a weight of [in, out] (transformers' Conv1D)."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a matrix and perhaps a bias, either way round."""
    return isinstance(module, nn.Linear) or is_transposed(module)


def weight_of(module: nn.Module) -> Tensor:
    """The weight of a linear module as [out, in], a view of it where it is kept otherwise."""
    weight: Tensor = module.get_parameter("weight")
    return weight.T if is_transposed(module) else weight


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm over the last axis, with gains and perhaps offsets."""
    return isinstance(module, nn.LayerNorm) or type(module).__name__.endswith("RMSNorm")


def normalised(norm: nn.Module, x: Tensor) -> Tensor:
    """What the gains of a norm multiply, [..., D]; they are a family's 1 + weight or weight.

    Root-mean-square norms work in float32 whatever the model is, and so does this.
    """
    if isinstance(norm, nn.LayerNorm):
        return F.layer_norm(x, norm.normalized_shape, eps=norm.eps)
    epsilon: float = getattr(norm, "variance_epsilon", None) or norm.eps  # type: ignore[assignment]
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)).to(x.dtype)


def embedding_scale(embedding: nn.Embedding) -> Tensor | float:
    """What the rows of an embedding are multiplied by; Gemma's are, by the root of the width."""
    return getattr(embedding, "embed_scale", 1.0)
