"""One block of GPT-NeoX for CPUs, with hand-written forward and backward passes.

It uses the fact that both norms of a block read the same stream, so one normalisation serves
attention and MLP. The gains and offsets of the norms are folded into the matrices.

These measurements (Xeon with AMX, width 96 to 256, blocks of 128 to 512, torch 2.15) led to it:

- attention in bfloat16 takes half of a step, all of it in its backward: the CPU's flash attention
  is up to four times as slow there as in float32 with heads of 32, but twice as fast forward. So
  the forward pass uses bfloat16 and the backward pass float32, on the same numbers. Attention
  composed of batched matrix products, tile by tile, was not faster in either direction;
- with the matrix products in bfloat16 on AMX, passes over memory dominate. Views of
  autograd's slices add a third of them, as each is filled with zeros and added;
- a single matrix product for attention and MLP is no faster: operations on a slice of its
  columns then take longer (GELU four times as long) than the larger product saves;
- `torch.compile` is 1.1 to 1.2 times as fast as eager code, and this 1.7 to 2.1 times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .documents import Rows

_SHORTEST = 64  # tokens per row, below which attention is faster in float32


def available() -> bool:
    """Return whether this version of torch has the operations used here."""
    return hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward")


@dataclass(frozen=True)
class Angles:
    """Cosines and sines of the rotary positions, in the layout of queries and keys.

    Parameters
    ----------
    cosine, sine : float32[T or B * T, H * 2 * rotated] tensor
        For each head the values of its query, then of its key; of the positions of one block, which
        all blocks share, or of all tokens. Dimension i is rotated together with dimension
        i + rotated / 2; the sines of the first are negated.
    """

    cosine: Tensor
    sine: Tensor

    @classmethod
    def of(cls, positions: Tensor, frequencies: Tensor, heads: int) -> Angles:
        """Return the angles of positions, integers[T or B * T]."""
        angles = positions[:, None] * frequencies
        cosine, sine = angles.cos(), angles.sin()
        return cls(
            torch.cat((cosine, cosine), 1).repeat(1, 2 * heads),
            torch.cat((-sine, sine), 1).repeat(1, 2 * heads),
        )


def rotate(mixed: Tensor, angles: Angles, sign: int) -> None:
    """Rotate the first dimensions of queries and keys by the angles of their positions, in place.

    The numbers are copied out, rotated in float32 and copied back, because arithmetic on slices of
    a few numbers each is slow.

    Parameters
    ----------
    mixed : [N, H, 3, head] tensor
    angles : Angles
    sign : 1 or -1
        -1 rotates back.
    """
    rotated = angles.cosine.shape[1] // (2 * mixed.shape[1])
    if not rotated:  # a configuration whose rotary share is 0
        return
    turned = mixed[:, :, :2, :rotated]
    copy = torch.empty(turned.shape, dtype=torch.float32).copy_(turned)
    flat = copy.view(-1, *angles.cosine.shape)
    other = copy.roll(rotated // 2, -1).view_as(flat)
    flat.mul_(angles.cosine)
    # `addcmul_` takes three times as long as these two.
    flat.add_(other.mul_(angles.sine), alpha=sign)
    turned.copy_(copy)


class FusedBlock(Function):
    """stream + attention(norm(stream)) + mlp(norm(stream)).

    Shapes: B blocks of T tokens, N = B T, width D, H heads, hidden F.

    Inputs: stream float32[B, T, D]; weights and biases of `Architecture.attention_inputs` [3 D, D],
    `attention_out` [D, D], `mlp_inputs` [F, D] and `mlp_out` [D, F], with one output bias, the sum
    of those of `attention_out` and `mlp_out`; angles of the positions; rows, if attention stays
    inside documents. The dtype of the weights is that of the matrix products.
    """

    @staticmethod
    def forward(
        ctx: Any,
        stream: Tensor,
        attention_in: Tensor,
        attention_in_bias: Tensor,
        attention_out: Tensor,
        mlp_in: Tensor,
        mlp_in_bias: Tensor,
        mlp_out: Tensor,
        bias_out: Tensor,
        angles: Angles,
        rows: Rows | None,
        heads: int,
        epsilon: float,
    ) -> Tensor:
        """Return the stream after the block: float32[B, T, D]."""
        width = stream.shape[2]
        normed, mean, deviation = torch.native_layer_norm(stream, [width], None, None, epsilon)
        normed = normed.view(-1, width).to(mlp_in.dtype)
        mixed = torch.addmm(attention_in_bias, normed, attention_in.t())
        mixed = mixed.view(-1, heads, 3, width // heads)
        rotate(mixed, angles, 1)
        if rows is not None:
            mixed = mixed.index_select(0, rows.tokens)
        states = _groups(mixed, rows, stream.shape)
        joined = torch.empty(len(mixed), heads, width // heads, dtype=mlp_in.dtype)
        attended: list[Tensor] = []
        normalisers: list[Tensor] = []
        for group, target in zip(states, _groups(joined, rows, stream.shape), strict=True):
            output, normaliser = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                *_by_head(group if group.shape[1] >= _SHORTEST else group.float()), 0.0, True
            )
            target.copy_(output.transpose(1, 2))
            attended.append(output)
            normalisers.append(normaliser)
        joined = joined.view(-1, width)
        if rows is not None:
            joined = joined.index_select(0, rows.places)
        hidden = torch.addmm(mlp_in_bias, normed, mlp_in.t())
        active = torch.ops.aten.gelu(hidden)
        written = torch.addmm(bias_out, joined, attention_out.t()).addmm_(active, mlp_out.t())
        ctx.save_for_backward(
            stream, mean, deviation, normed, mixed, joined, hidden, active,
            attention_in, attention_out, mlp_in, mlp_out, *attended, *normalisers,
        )  # fmt: skip
        ctx.rows, ctx.angles = rows, angles
        return written.view_as(stream) + stream

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs, in their order."""
        (
            stream, mean, deviation, normed, mixed, joined, hidden, active,
            attention_in, attention_out, mlp_in, mlp_out, *outputs,
        ) = ctx.saved_tensors  # fmt: skip
        rows: Rows | None = ctx.rows
        width = stream.shape[2]
        written = gradient.reshape(-1, width).to(mlp_in.dtype)
        to_hidden = torch.ops.aten.gelu_backward(written @ mlp_out, hidden)
        from_attended = (written @ attention_out).float()
        if rows is not None:
            spread = from_attended.new_zeros(len(mixed), width)
            from_attended = spread.index_copy_(0, rows.places, from_attended)
        from_attended = from_attended.view(len(mixed), *mixed.shape[1::2])
        to_mixed = torch.empty_like(mixed)
        groups = (_groups(each, rows, stream.shape) for each in (mixed, from_attended, to_mixed))
        attended, normalisers = outputs[: len(outputs) // 2], outputs[len(outputs) // 2 :]
        for states, from_output, to_group, output, normaliser in zip(
            *groups, attended, normalisers, strict=True
        ):
            to_states = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                from_output.transpose(1, 2), *_by_head(states.float()), output.float(), normaliser,
                0.0, True,
            )  # fmt: skip
            for target, part in zip(_by_head(to_group), to_states, strict=True):
                target.copy_(part)
        if rows is not None:
            to_mixed = to_mixed.index_select(0, rows.places)
        rotate(to_mixed, ctx.angles, -1)
        to_mixed = to_mixed.view(-1, 3 * width)
        from_normed = (to_hidden @ mlp_in).addmm_(to_mixed, attention_in).view_as(stream).float()
        to_stream, _, _ = torch.ops.aten.native_layer_norm_backward(
            from_normed, stream, [width], mean, deviation, None, None, [True, False, False]
        )
        return (
            to_stream.add_(gradient),
            to_mixed.t() @ normed, to_mixed.sum(0), written.t() @ joined,
            to_hidden.t() @ normed, to_hidden.sum(0), written.t() @ active, written.sum(0),
            None, None, None, None,
        )  # fmt: skip


def _groups(laid: Tensor, rows: Rows | None, blocks: torch.Size) -> list[Tensor]:
    """Return views of [P, ...] as the groups of `rows`, or as the blocks [B, T, ...]."""
    return [laid.unflatten(0, blocks[:2])] if rows is None else rows.groups(laid)


def _by_head(mixed: Tensor) -> tuple[Tensor, ...]:
    """Return views of [B, T, H, 3, head] as queries, keys and values, each [B, H, T, head]."""
    return mixed.permute(3, 0, 2, 1, 4).unbind(0)
