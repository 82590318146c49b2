"""What an edit costs: the operations it takes, and the memory that it has in use at once.

Both are counted on edits that are made for that alone, since counting takes time of its own. Memory
is that of tensors beside the model. What a process takes from its system would not tell: memory
that was freed stays with the process (`behemoth.support.process`), so that of a second edit it
would say nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from .protocol import EditContext, EditMethod, answers

if TYPE_CHECKING:
    from torch import nn

    from behemoth.plan.edit_plan import EditPlan

__all__ = ["EditCost", "edit_cost"]


@dataclass(frozen=True)
class EditCost:
    """What one application of a method took.

    Attributes
    ----------
    flops : float
        Floating-point operations of matrix products and attention, forward and backward, a
        multiplication and an addition being two. What is worked out elementwise does not count,
        nor do decompositions of matrices.
    memory : int
        Bytes of tensors that were in use at once, at most, beside the model. On a GPU what torch's
        allocator says; on a CPU tensors alone are counted, and not what a kernel needs meanwhile.
    """

    flops: float
    memory: int


def edit_cost(
    method: EditMethod, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
) -> EditCost | None:
    """Apply a method once more, and count.

    Parameters
    ----------
    method : EditMethod
    model : nn.Module
        Stays as it is.
    plans : sequence of EditPlan
    context : EditContext
        What is kept in its cache, such as covariances, costs nothing any more.

    Returns
    -------
    EditCost or None
        None of a method that trains a model from its beginning: it would take as long again.
    """
    if answers(method).effort().trainings:
        return None
    device = next(model.parameters()).device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with _Counted() as counted:
            method.apply(model, plans, context)
        memory = torch.cuda.max_memory_allocated(device) - before
    else:
        # Without this the model itself would be among what is new when it is first changed.
        with _Tensors(model) as counted:
            method.apply(model, plans, context)
        memory = counted.peak
    return EditCost(float(counted.flops), memory)


class _Counted(TorchDispatchMode):
    """Floating-point operations, by torch's own table of formulas.

    torch's `FlopCounterMode` counts the same by modules, and looks into every operation that is in
    no table: small edits took three times as long as with the table alone.
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
    """The same, and bytes of the storages that come into being, from first operation to end."""

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
