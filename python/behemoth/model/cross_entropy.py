"""Head and cross-entropy in one operation, which never stores all logits.

Rows are processed in chunks whose logits stay in the cache; the gradient replaces the logits in
place, in the same pass (as Liger Kernel, arXiv 2410.10989, does on GPUs). Compared to
`lm_head` and `cross_entropy` this saves two passes over float32[tokens, vocabulary] and the
memory for it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_CHUNK_LOGITS = 1 << 20  # float32 logits of a chunk on a CPU: 4 MB, about a second-level cache
_CHUNK_LOGITS_GPU = 1 << 28


def cross_entropy_sum(hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the negative log-likelihoods of labels.

    Parameters
    ----------
    hidden : [N, D] tensor
        Output of the last norm, float32 or bfloat16.
    head : [V, D] tensor
        Weight of the head, in the same dtype.
    labels : int64[N] tensor
        Token ids without -100: the caller excludes rows without loss.

    Returns
    -------
    float32 scalar tensor
    """
    return _HeadLoss.apply(hidden, head, labels)


class _HeadLoss(Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
        logits = _CHUNK_LOGITS if hidden.device.type == "cpu" else _CHUNK_LOGITS_GPU
        rows = max(64, logits // head.shape[0])
        # The head's is not wanted if low-rank changes of other weights are all that is trained.
        hidden_wanted, head_wanted = ctx.needs_input_grad[:2]
        hidden_gradient = torch.empty_like(hidden) if hidden_wanted else None
        head_gradient = None
        if head_wanted:
            head_gradient = torch.zeros(head.shape, dtype=torch.float32, device=head.device)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        minus_one = torch.full((rows, 1), -1.0, device=hidden.device)
        for start in range(0, hidden.shape[0], rows):
            chunk = hidden[start : start + rows]
            label = labels[start : start + rows, None]
            scores = torch.log_softmax(chunk @ head.t(), 1, dtype=torch.float32)
            total -= scores.gather(1, label).sum()
            if hidden_wanted or head_wanted:
                # d loss / d logits = p - onehot(label)
                gradient = scores.exp_().scatter_add_(1, label, minus_one[: len(label)])
                gradient = gradient.to(hidden.dtype)
                if hidden_gradient is not None:
                    torch.mm(gradient, head, out=hidden_gradient[start : start + rows])
                if head_gradient is not None:
                    head_gradient += gradient.t() @ chunk
        ctx.save_for_backward(hidden_gradient, head_gradient)
        ctx.head_dtype = head.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None]:
        hidden, head = ctx.saved_tensors
        if hidden is not None:
            # A list of one number: with a scalar, the product would be made in the dtype of the
            # states, and the scale of all gradients but the head's be rounded to it.
            hidden = torch.mul(hidden, gradient.view(1), out=torch.empty_like(hidden))
        return (
            hidden,
            None if head is None else (head * gradient).to(ctx.head_dtype),
            None,
        )
