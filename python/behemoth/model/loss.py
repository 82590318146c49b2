"""The loss of a batch, computed in the fastest way for a device.

`TrainingLoss` computes ``model(input_ids, labels=labels).loss`` of a GPT-NeoX, as a sum instead of
a mean, from the same parameters and with fewer copies: on a CPU through `FusedBlock`, elsewhere
through torch's own operations, which `torch.compile` captures as one graph. Evaluation and other
families (`PlainLoss`) use the model's own forward pass; `training_loss` chooses between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GPTNeoXForCausalLM, PreTrainedModel

from .architecture import Architecture
from .architectures import is_pythias
from .cross_entropy import cross_entropy_sum
from .documents import Rows
from .fused_block import Angles, FusedBlock, available
from .plain_loss import PlainLoss, predicting


def training_loss(
    model: PreTrainedModel, dtype: torch.dtype = torch.float32, *, compiled: bool = False
) -> TrainingLoss | PlainLoss:
    """Return the loss of a model: `TrainingLoss` if its blocks are Pythia's, else `PlainLoss`.

    `TrainingLoss` reads weights without calling their modules, so a model with forward hooks, such
    as those of an editing memory, gets `PlainLoss`.

    Parameters
    ----------
    model : PreTrainedModel
        Model to train; `TrainingLoss` requires weights in float32 and no forward hooks.
    dtype : torch.dtype
        dtype of the matrix products: float32 or bfloat16.
    compiled : bool
        If true, use `torch.compile` up to the last norm.
    """
    fits = model.dtype == torch.float32 and not _has_hooks(model)
    if fits and isinstance(model, GPTNeoXForCausalLM) and is_pythias(model.config.to_dict()):
        return TrainingLoss(model, dtype, compiled=compiled)
    return PlainLoss(model, dtype, compiled=compiled)


def _has_hooks(model: nn.Module) -> bool:
    # torch.nn has no public interface for this.
    return any(own._forward_hooks or own._forward_pre_hooks for own in model.modules())


@dataclass(frozen=True)
class _Block:
    attention_norm: nn.LayerNorm
    mlp_norm: nn.LayerNorm
    attention_in: nn.Linear
    attention_out: nn.Linear
    mlp_in: nn.Linear
    mlp_out: nn.Linear


class TrainingLoss(nn.Module):
    """Sum of the negative log-likelihoods of a batch.

    Parameters
    ----------
    model : GPTNeoXForCausalLM
        Model with weights in float32.
    dtype : torch.dtype
        dtype of the matrix products: float32 or bfloat16.
    fused : bool, optional
        Whether to use `FusedBlock`; by default on a CPU, unless `compiled`.
    compiled : bool
        If true, use `torch.compile` up to the last norm.
    """

    def __init__(
        self,
        model: GPTNeoXForCausalLM,
        dtype: torch.dtype = torch.float32,
        *,
        fused: bool | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        names = Architecture.of(model)
        parts: dict[str | None, Any] = dict(model.named_modules())
        self._names, self._dtype = names, dtype
        # A tuple prevents that modules are registered twice.
        self._blocks = tuple(
            _Block(
                *(parts[name] for name in (
                    names.attention_norm(layer), names.mlp_norm(layer),
                    *names.attention_inputs(layer), names.attention_out(layer),
                    *names.mlp_inputs(layer), names.mlp_out(layer),
                ))
            )
            for layer in range(names.layers)
        )  # fmt: skip
        self._parts = (parts[names.embedding], parts[names.final_norm], parts[names.head])
        if fused is None:
            fused = model.device.type == "cpu" and available() and not compiled
        self._through = self._fused if fused else self._composed
        if compiled:
            self._through = torch.compile(self._through, dynamic=False)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the sum over the labels that are not -100: a float32 scalar.

        Parameters
        ----------
        batch : mapping
            ``input_ids`` and ``labels`` (not shifted), int64[B, T], and optionally
            ``position_ids``, int32[B, T], with which attention stays inside documents, and
            ``label_places``, as `predicting` takes it.
        """
        ids, labels = batch["input_ids"], batch["labels"]
        embedding, final_norm, head = self._parts
        stream = self._through(
            F.embedding(ids, embedding.weight),
            batch.get("position_ids"),
            self.model.get_buffer(self._names.frequencies),
        )
        stream, shifted = predicting(stream, ids, labels, batch.get("label_places"))
        hidden = final_norm(stream).to(self._dtype)
        return cross_entropy_sum(hidden, head.weight.to(self._dtype), shifted)

    def _fused(
        self,
        stream: Tensor,
        positions: Tensor | None,
        frequencies: Tensor,
    ) -> Tensor:
        dtype = self._dtype
        rows = None if positions is None else Rows.of(positions)
        place = torch.arange(stream.shape[1]) if positions is None else positions.flatten()
        angles = Angles.of(place, frequencies, self._names.heads)
        for block in self._blocks:
            attention_in, attention_in_bias = _folded(block.attention_in, block.attention_norm)
            mlp_in, mlp_in_bias = _folded(block.mlp_in, block.mlp_norm)
            stream = FusedBlock.apply(
                stream,
                attention_in.to(dtype), attention_in_bias.to(dtype),
                block.attention_out.weight.to(dtype),
                mlp_in.to(dtype), mlp_in_bias.to(dtype),
                block.mlp_out.weight.to(dtype),
                (block.attention_out.bias + block.mlp_out.bias).to(dtype),
                angles, rows, self._names.heads, block.mlp_norm.eps,
            )  # fmt: skip
        return stream

    def _composed(
        self,
        stream: Tensor,
        positions: Tensor | None,
        frequencies: Tensor,
    ) -> Tensor:
        heads, device = self._names.heads, stream.device.type
        place = torch.arange(stream.shape[1], device=stream.device).unsqueeze(0)
        place = place if positions is None else positions
        angles = place[:, None, :, None] * frequencies
        cosine, sine = angles.cos(), angles.sin()
        mask = None if positions is None else _mask(positions)
        with torch.autocast(device, self._dtype, enabled=self._dtype != torch.float32):
            for block in self._blocks:
                states = block.attention_in(block.attention_norm(stream))
                states = states.unflatten(2, (heads, 3, -1)).transpose(1, 2)
                query, key, value = states.unbind(3)
                attended = F.scaled_dot_product_attention(
                    _rotated(query, cosine, sine), _rotated(key, cosine, sine), value,
                    attn_mask=mask, is_causal=mask is None,
                )  # fmt: skip
                hidden = F.gelu(block.mlp_in(block.mlp_norm(stream)))
                attended = attended.transpose(1, 2).flatten(2)
                stream = stream + block.attention_out(attended) + block.mlp_out(hidden)
        return stream


def _folded(linear: nn.Linear, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a linear map with the gains and offsets of a norm folded in.

    The matrices are small: folding costs little compared to a batch, and autograd passes the
    gradients on to both.
    """
    return linear.weight * norm.weight, torch.addmv(linear.bias, linear.weight, norm.bias)


def _rotated(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return what `fused_block.rotate` computes in place, differentiable by autograd."""
    half = cosine.shape[-1]
    cosine, sine = cosine.to(states.dtype), sine.to(states.dtype)
    first, second, rest = states.split((half, half, states.shape[-1] - 2 * half), -1)
    turned = (first * cosine - second * sine, second * cosine + first * sine, rest)
    return torch.cat(turned, -1)


def _mask(positions: Tensor) -> Tensor:
    """Return the mask of the tokens that each token may attend to: bool[B, 1, T, T]."""
    length = positions.shape[1]
    documents = (positions == 0).cumsum(1)
    causal = torch.ones(length, length, dtype=torch.bool, device=positions.device).tril()
    return (documents[:, None, :, None] == documents[:, None, None, :]) & causal
