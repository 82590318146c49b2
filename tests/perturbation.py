"""Arithmetic as another processor would round it: to find tests that hold on to noise.

Which of two neighbouring numbers a product or a sum comes out as depends on the processor, on the
number of threads and on where a row stands in its batch. `pytest --perturb SEED` moves every such
result by one unit in the last place, up, down or not at all, forward and backward, anew each time.
A test that then fails compares rounding errors, and is red on somebody's machine.

Shape letters: none; every function takes tensors of any shape.
"""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Operations whose results are rounded in an order that is not fixed. What is exact everywhere
# (copies, picks, comparisons), or rounded once and the same by IEEE 754 (+, -, *, /), is not here.
ROUNDING = {
    "mm", "bmm", "addmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "vdot", "linear",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention_for_cpu_backward",
    "_softmax", "_softmax_backward_data", "_log_softmax", "_log_softmax_backward_data",
    "native_layer_norm", "native_layer_norm_backward", "gelu", "gelu_backward",
    "exp", "log", "log1p", "log_sigmoid_forward", "log_sigmoid_backward", "rsqrt", "tanh",
    "sum", "mean", "linalg_vector_norm", "embedding_dense_backward", "logsumexp",
    "linalg_solve_ex", "_linalg_solve_ex", "_linalg_svd", "_linalg_eigh",
}  # fmt: skip


def neighbours(values, generator):
    """The values, each moved by one unit in the last place: up, down or not; 0 and inf stay."""
    way = torch.randint(-1, 2, values.shape, generator=generator).to(values)
    moved = torch.nextafter(values, values + way * values.abs().clamp_min(1))
    return torch.where((values == 0) | ~values.isfinite(), values, moved)


class Perturbed(TorchDispatchMode):
    """While it is entered, what `ROUNDING` names gives neighbours of what it would give."""

    def __init__(self, seed):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)
        self.moved = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        if function._overloadpacket.__name__ not in ROUNDING or "out" in (keywords or {}):
            return result
        if isinstance(result, tuple | list):
            return type(result)(self._move(part) for part in result)
        return self._move(result)

    def _move(self, value):
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return value
        if value.device.type != "cpu":
            return value
        self.moved += 1
        return neighbours(value, self.generator)
