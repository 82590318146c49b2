"""The cost of an edit: floating-point operations, and peak memory.

Both are counted on edits that are made only for that purpose, since counting takes time. The steps
of a gradient method are all alike unless it stops early, so that it is counted with few of them.
Memory is that of tensors in addition to the model. The memory of the process would not show it:
freed memory stays with the process (`behemoth.support.process`), so that a second edit would appear
free.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from .gradient.budget import COUNTED_STEPS, Budget, counted_share
from .protocol import EditContext, EditMethod, answers

if TYPE_CHECKING:
    from torch import nn

    from behemoth.plan.edit_plan import EditPlan

__all__ = ["EditCost", "edit_cost"]

_SAME = 1e-3  # share of memory by which steps differ: not all rows have as many labels


@dataclass(frozen=True)
class EditCost:
    """The cost of one application of a method.

    Attributes
    ----------
    flops : float
        Floating-point operations of matrix products and attention, forward and backward, that the
        application carries out, its last pass and its checks included; a multiplication and an
        addition count as two. Elementwise operations, such as an optimiser's and the sum of a
        weight and its dense change, and matrix decompositions are not counted. So a change of full
        rank to a float32 model costs what an ordinary optimiser of the same rows does. In a
        narrower dtype, and in a stack of several plans, it is a second product.
    memory : int
        Peak bytes of tensors in addition to the model. On a GPU as reported by torch's allocator;
        on a CPU only tensors are counted, without the workspace of kernels.
    """

    flops: float
    memory: int


def edit_cost(
    method: EditMethod, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
) -> EditCost | None:
    """Count the cost of a method's edits, on edits that are made once more for that.

    Parameters
    ----------
    method : EditMethod
    model : nn.Module
        Left unchanged.
    plans : sequence of EditPlan
    context : EditContext
        Tensors in its cache, such as covariances, are not computed again and so cost nothing.

    Returns
    -------
    EditCost or None
        None for a method that trains a model from its initial weights, since it would take as long
        again, and for an edit that breaks down while it is counted, since it ends early. Of a
        gradient method only the first steps are made, and the cost is that of all of them, even if
        these edits would break down in a later one. With `stop_loss` a method ends early as well,
        so its count is that of these edits only.
    """
    if answers(method).effort().trainings:
        return None
    return _of_few_steps(method, model, plans, context) or _counted(method, model, plans, context)


def _of_few_steps(
    method: EditMethod, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
) -> EditCost | None:
    """Return what follows from edits of a few steps, or None if nothing does.

    The steps of a gradient method that does not stop early are all alike. Counted in full they were
    a seventh of the time of a leaderboard.
    """
    if not isinstance(method, Budget) or counted_share(method) == 1:
        return None
    try:
        shorter = [cast("EditMethod", replace(method, steps=steps)) for steps in COUNTED_STEPS]
    except Exception:  # a method of another package may allow other steps only
        return None
    few = [_counted(short, model, plans, context) for short in shorter]
    costs = [cost for cost in few if cost is not None]
    if len(costs) < len(few):
        return None
    first, second, third = costs
    each = second.flops - first.flops
    grows = third.memory - second.memory > _SAME * second.memory
    if third.flops - second.flops != each or grows:
        return None
    memory = max(cost.memory for cost in costs)
    return EditCost(third.flops + (method.steps - COUNTED_STEPS[-1]) * each, memory)


def _counted(
    method: EditMethod, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
) -> EditCost | None:
    """Return the cost of one application, or None if it broke down."""
    device = next(model.parameters()).device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with _Counted() as counted:
            deltas = method.apply(model, plans, context)
        memory = torch.cuda.max_memory_allocated(device) - before
    else:
        # The model is passed so that its own storages are not counted as new ones.
        with _Tensors(model) as counted:
            deltas = method.apply(model, plans, context)
        memory = counted.peak
    if any(delta.failure is not None for delta in deltas):
        return None
    return EditCost(float(counted.flops), memory)


class _Counted(TorchDispatchMode):
    """Count floating-point operations with torch's table of formulas.

    torch's `FlopCounterMode` counts the same by module, but decomposes every operation that is not
    in the table: small edits took three times as long as with the table alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        found = func(*args, **named)
        formula = flop_registry.get(getattr(func, "overloadpacket", None))
        if formula is not None:
            self.flops += formula(*args, **named, out_val=found)
        return found


class _Tensors(_Counted):
    """Also count the bytes of new storages, each from its first operation until it is freed."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        own = [*model.parameters(), *model.buffers()]
        self._seen: dict[int, weakref.ref[Any]] = {}
        self._model = {tensor.untyped_storage()._cdata for tensor in own}
        self.now = self.peak = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = super().__torch_dispatch__(func, types, args, kwargs)
        for each in (found,) if isinstance(found, torch.Tensor) else tree_iter(found):
            if isinstance(each, torch.Tensor):
                self._add(each.untyped_storage())
        return found

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._model or key in self._seen:
            return
        size = storage.nbytes()

        def gone(_: object) -> None:
            del self._seen[key]
            self.now -= size

        self._seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)
