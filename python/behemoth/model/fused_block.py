"""One block of GPT-NeoX for CPUs, forward and backward by hand.

What it knows: that both norms of a block read the same stream, so that one normalisation and one
matrix product (to queries, keys, values and the MLP's hidden units) serve attention and MLP, and
one more brings both back. The gains and offsets of the norms are folded into the matrices.

What was measured (Xeon with AMX, one core, width 96 to 256, torch 2.15) and led here:

- attention in bfloat16 takes half of a step: the backward of the CPU's flash attention is five
  times as slow as in float32 at heads of 24 to 32. So attention alone stays in float32;
- with the matrix products in bfloat16 on AMX, passes over memory are what is left; views of
  autograd's slices add a third of them, as each is filled with zeros and added;
- `torch.compile` gives 1.1 to 1.2 times the speed of eager code, and this 1.7 to 2.1 times.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .documents import Rows


def available() -> bool:
    """Whether this torch has the operations used here."""
    return hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward")


def rotate(states: Tensor, cosine: Tensor, sine: Tensor) -> None:
    """Turn the first dimensions of each head by the angles of its position, in place.

    Parameters
    ----------
    states : [..., T, head] tensor
    cosine, sine : [..., T, rotated / 2] tensor
        Dimension i turns with dimension i + rotated / 2.
    """
    half = cosine.shape[-1]
    first, second = states[..., :half], states[..., half : 2 * half]
    turned = first * cosine - second * sine
    second.mul_(cosine).addcmul_(first, sine)
    first.copy_(turned)


class FusedBlock(Function):
    """stream + attention(norm(stream)) + mlp(norm(stream)).

    Shapes: B blocks of T tokens, N = B T, width D, H heads, hidden F.

    Inputs: stream float32[B, T, D]; weight_in [3 D + F, D], the rows of `Architecture.
    attention_in` above those of `mlp_in`, and bias_in; weight_out [D, D + F], the columns of
    `attention_out` beside those of `mlp_out`, and bias_out; cosine and sine float32, broadcast
    to [B, H, T, rotated / 2]; mask, float32 to add to scores broadcast to [B, H, T, T], or None
    for causal attention. The dtype of the weights is that of the matrix products.
    """

    @staticmethod
    def forward(
        ctx: Any,
        stream: Tensor,
        weight_in: Tensor,
        bias_in: Tensor,
        weight_out: Tensor,
        bias_out: Tensor,
        cosine: Tensor,
        sine: Tensor,
        rows: Rows | None,
        heads: int,
        epsilon: float,
    ) -> Tensor:
        """The stream after the block: float32[B, T, D]."""
        count, length, width = stream.shape
        dtype = weight_in.dtype
        normed, mean, deviation = torch.native_layer_norm(stream, [width], None, None, epsilon)
        normed = normed.view(-1, width).to(dtype)
        inner = torch.addmm(bias_in, normed, weight_in.t())
        mixed = inner[:, : 3 * width]
        if rows is not None:
            count, length, mixed = rows.count, rows.length, mixed.index_select(0, rows.tokens)
        states = torch.empty(3, count, heads, length, width // heads)  # queries, keys, values
        states.copy_(_interleaved(mixed, states.shape).permute(3, 0, 2, 1, 4))
        rotate(states[:2], cosine[:length], sine[:length])
        attended, normaliser = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            *states, 0.0, True
        )
        outer = torch.empty(len(normed), weight_out.shape[1], dtype=dtype)
        joined = attended.transpose(1, 2).reshape(-1, width)
        outer[:, :width] = joined if rows is None else joined.index_select(0, rows.places)
        torch.ops.aten.gelu.out(inner[:, 3 * width :], out=outer[:, width:])
        result = torch.addmm(bias_out, outer, weight_out.t()).view_as(stream) + stream
        ctx.save_for_backward(
            stream, mean, deviation, normed, inner, states, attended, normaliser, outer,
            weight_in, weight_out, cosine, sine,
        )  # fmt: skip
        ctx.rows = rows
        return result

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Gradients of the inputs, in their order."""
        (
            stream, mean, deviation, normed, inner, states, attended, normaliser, outer,
            weight_in, weight_out, cosine, sine,
        ) = ctx.saved_tensors  # fmt: skip
        rows: Rows | None = ctx.rows
        length, width, dtype = attended.shape[2], stream.shape[2], weight_in.dtype
        written = gradient.reshape(-1, width).to(dtype)
        from_outer = written @ weight_out
        to_inner = torch.empty_like(inner)
        torch.ops.aten.gelu_backward.grad_input(
            from_outer[:, width:], inner[:, 3 * width :], grad_input=to_inner[:, 3 * width :]
        )
        from_attended = from_outer[:, :width].float()
        if rows is not None:
            spread = from_attended.new_zeros(len(rows.tokens), width)
            from_attended = spread.index_copy_(0, rows.places, from_attended)
        count, heads, _, head = attended.shape
        to_states = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            from_attended.view(count, length, heads, head).transpose(1, 2),
            *states, attended, normaliser, 0.0, True,
        )  # fmt: skip
        mixed = to_inner[:, : 3 * width] if rows is None else inner.new_empty(
            count * length, 3 * width
        )  # fmt: skip
        places = _interleaved(mixed, states.shape)
        for place, part in enumerate(to_states):
            if place < 2:
                rotate(part, cosine[:length], -sine[:length])
            places[:, :, :, place].copy_(part.transpose(1, 2))
        if rows is not None:
            to_inner[:, : 3 * width] = mixed.index_select(0, rows.places)
        from_normed = (to_inner @ weight_in).view_as(stream).float()
        to_stream, _, _ = torch.ops.aten.native_layer_norm_backward(
            from_normed, stream, [width], mean, deviation, None, None, [True, False, False]
        )
        return (
            to_stream.add_(gradient),
            to_inner.t() @ normed, to_inner.sum(0),
            written.t() @ outer, written.sum(0),
            None, None, None, None, None,
        )  # fmt: skip


def _interleaved(mixed: Tensor, shape: torch.Size) -> Tensor:
    """Queries, keys and values as GPT-NeoX lays them, [rows, T, H, 3, head]; shape of `states`."""
    _, count, heads, length, head = shape
    return mixed.view(count, length, heads, 3, head)
