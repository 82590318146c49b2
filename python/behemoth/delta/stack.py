"""K edited models in one: their changes run side by side in a batched forward and backward pass.

The model's own weights are shared and frozen. The batch is laid out group by group: rows
``k * b`` to ``(k + 1) * b`` (exclusive) belong to edit k, and a hook on every changed module adds
that edit's part to that edit's rows, or replaces their output from its memory. A single-fact edit
of a small model is far too little work for a processor; sixty-four of them side by side are not.
One edit alone, such as a batch, adds a dense change to the weight, as there is one product then.

Shape letters: K edits, b rows of an edit, T positions, i inputs, o outputs, r rank.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from behemoth.model.modules import (
    backbone,
    embedding_scale,
    is_linear,
    is_norm,
    is_positions,
    is_transposed,
    normalised,
)
from behemoth.model.precision import wide_type
from behemoth.support.errors import ArgumentError

from .delta import (
    Change,
    Dense,
    EditDelta,
    LowRank,
    check_tied,
    modules_of,
    parameters_of,
    tied_names,
)
from .fit import check_shapes
from .kinds import KINDS
from .module import ModuleChange

__all__ = ["StackedDeltas", "stack_deltas"]

StackedChange = tuple[Tensor, ...]
"""A dense change [K, *shape], or the two factors [K, o, r] and [K, r, i]."""


class StackedDeltas:
    """Changes of K edits to the same parameters, as tensors with a leading axis K.

    A parameter that several modules share, such as a tied head, changes in all of them, whichever
    of its names the change has.

    Parameters
    ----------
    model : nn.Module
        Its changed modules are linear (with either orientation), embeddings or norms.
    changes : mapping of parameter name to tuple of tensors
        Either ``(dense,)`` of shape [K, *parameter.shape], or ``(left, right)`` of shapes
        [K, o, r] and [K, r, i] for the weight of a linear module or an embedding ([K, i, r] and
        [K, r, o] where the weight is [i, o]). Tensors that require a gradient get one: each edit
        its own, since no row mixes edits.
    scale : float
        Factor of every change, LoRA's alpha / r.
    memories : mapping of module name to list of ModuleChange, optional
        Stacked changes of modules, at most one of each kind. They have no scale, and `parameters`,
        `norms`, `dense` and `unstack` do not include them.
    count : int, optional
        K; by default the leading size of the tensors, or 1 if there are none.

    Raises
    ------
    ArgumentError
        For a parameter of a module that cannot be stacked, and for changes of one parameter under
        two names.
    """

    def __init__(
        self,
        model: nn.Module,
        changes: Mapping[str, StackedChange],
        scale: float = 1.0,
        memories: Mapping[str, Sequence[ModuleChange]] | None = None,
        count: int | None = None,
    ) -> None:
        self.model = model
        self.scale = scale
        self.changes = dict(changes)
        self.memories = {} if memories is None else dict(memories)
        self.count = _count(self.changes, self.memories) if count is None else count
        self._by_module: dict[str, dict[str, StackedChange]] = {}
        parameters = parameters_of(model)
        check_tied(parameters, self.changes)
        tied, modules = tied_names(parameters), dict(model.named_modules())
        for name, change in self.changes.items():
            for alias in tied.get(name, [name]):
                self._place(modules, alias, change)

    def _place(self, modules: Mapping[str, nn.Module], name: str, change: StackedChange) -> None:
        """Register a change with the module that its parameter belongs to."""
        module_name, _, leaf = name.rpartition(".")
        module = modules.get(module_name)
        embedding = isinstance(module, nn.Embedding)
        if module is None or not (embedding or is_linear(module) or is_norm(module)):
            raise ArgumentError(
                "changes",
                f"{name} of {type(module).__name__}",
                "parameters of linear modules, embeddings and norms",
            )
        matrix = (embedding or is_linear(module)) and leaf == "weight"
        if len(change) == 2 and not matrix:
            raise ArgumentError(
                "changes",
                f"factors for {name}",
                "factors for weights of linear modules and embeddings",
            )
        self._by_module.setdefault(module_name, {})[leaf] = change

    @contextmanager
    def attached(self) -> Generator[nn.Module]:
        """Attach the changes to the model while entered; rows of input must be grouped by edit."""
        modules = dict(self.model.named_modules())
        with ExitStack() as hooks:
            for name, changes in self._by_module.items():
                module = modules[name]
                if self.count == 1 and _adds_up(module, changes):
                    hooks.enter_context(_summed(module, changes, self.scale))
                else:
                    hook = _hook(module, changes, self.scale)
                    hooks.enter_context(module.register_forward_hook(hook))
            # After those: a memory receives the output of the changed weights.
            for name, memories in self.memories.items():
                for memory in memories:
                    for handle in memory.attach(modules[name]):
                        hooks.enter_context(handle)
            if any(is_positions(modules[name], self.model) for name in self._by_module):
                inner = backbone(self.model)
                hooks.enter_context(inner.register_forward_pre_hook(_placed, with_kwargs=True))
            yield self.model

    def parameters(self) -> list[Tensor]:
        """Return all tensors of parameter changes, in the order of `changes`."""
        return [tensor for change in self.changes.values() for tensor in change]

    def scaled(self, factor: float) -> StackedDeltas:
        """Return the same tensors with the scale multiplied by a factor."""
        scale = self.scale * factor
        return StackedDeltas(self.model, self.changes, scale, self.memories, self.count)

    def some(self, edits: Sequence[int]) -> StackedDeltas:
        """Return copies of the changes of some edits, in that order; itself for all edits."""
        if list(edits) == list(range(self.count)):
            return self
        chosen = {
            name: tuple(tensor[list(edits)] for tensor in change)
            for name, change in self.changes.items()
        }
        memories = {
            name: [memory.some(edits) for memory in own] for name, own in self.memories.items()
        }
        return StackedDeltas(self.model, chosen, self.scale, memories, len(edits))

    def norms(self) -> Tensor:
        """Return the Frobenius norm of each edit's changes, over all parameters: float [K]."""
        squares = torch.stack(
            [_square_norm(*(tensor.detach() for tensor in c)) for c in self.changes.values()]
        )
        return abs(self.scale) * squares.sum(0).sqrt()

    def dense(self) -> dict[str, Tensor]:
        """Return each parameter's changes at full rank: [K, *parameter.shape]."""
        return {
            name: self.scale * (change[0] if len(change) == 1 else torch.bmm(*change))
            for name, change in self.changes.items()
        }

    def unstack(self, edit: int) -> dict[str, Change]:
        """Return the changes of one edit as detached copies."""
        result: dict[str, Change] = {}
        for name, change in self.changes.items():
            first, *rest = [tensor[edit].detach().clone() for tensor in change]
            first *= self.scale
            result[name] = LowRank(first, *rest) if rest else Dense(first)
        return result


def _count(
    changes: Mapping[str, StackedChange], memories: Mapping[str, Sequence[ModuleChange]]
) -> int:
    """Return the number of edits, the leading size of the tensors; 1 if there are none."""
    stacked = [
        *(tensor for change in changes.values() for tensor in change),
        *(tensor for own in memories.values() for one in own for tensor in one.parts().values()),
    ]
    return stacked[0].shape[0] if stacked else 1


def _square_norm(first: Tensor, second: Tensor | None = None) -> Tensor:
    """Return the squared norm of each edit's dense change, or product of factors: [K]."""
    if second is None:
        return first.flatten(1).square().sum(1)
    # |LR|^2 = tr(L'L RR'), with r x r matrices; rounding may leave a slightly negative value.
    products = torch.bmm(first.mT, first) * torch.bmm(second, second.mT)
    return products.sum((1, 2)).clamp_min(0.0)


def stack_deltas(model: nn.Module, deltas: Sequence[EditDelta]) -> StackedDeltas:
    """Stack finished deltas, which may change different parameters in different ways.

    Low-rank changes of one parameter are padded with zeros to the largest rank; if one edit has a
    dense change, all changes of that parameter are made dense. The change of a parameter that an
    edit does not change is zero, and a module for which it has no memory is unchanged.

    Raises
    ------
    ArgumentError
        For a parameter or module that the model lacks, or has in another shape, and for changes
        of one parameter under two names.
    """
    parameters = parameters_of(model)
    # A parameter that modules share is one change, whichever of its names each delta uses.
    tied = tied_names(parameters)
    each = []
    for delta in deltas:
        own = delta.of_parameters
        check_tied(parameters, own)
        check_shapes(parameters, own)
        each.append({tied[name][0]: change for name, change in own.items()})
    names = list(dict.fromkeys(name for own in each for name in own))
    stacked: dict[str, StackedChange] = {}
    for name in names:
        like = parameters[name]
        dtype = wide_type(like.dtype)
        changes = [own.get(name) for own in each]
        if all(change is None or isinstance(change, LowRank) for change in changes):
            rank = max(change.rank for change in changes if change is not None)
            left = like.new_zeros(len(deltas), like.shape[0], rank, dtype=dtype)
            right = like.new_zeros(len(deltas), rank, like.shape[1], dtype=dtype)
            for k, change in enumerate(changes):
                if isinstance(change, LowRank):
                    left[k, :, : change.rank] = change.left.to(like.device)
                    right[k, : change.rank] = change.right.to(like.device)
            stacked[name] = (left, right)
        else:
            dense = like.new_zeros(len(deltas), *like.shape, dtype=dtype)
            for k, change in enumerate(changes):
                if change is not None:
                    dense[k] = change.to_dense().to(like.device)
            stacked[name] = (dense,)
    return StackedDeltas(model, stacked, memories=_memories(model, deltas), count=len(deltas))


def _memories(model: nn.Module, deltas: Sequence[EditDelta]) -> dict[str, list[ModuleChange]]:
    """Return the changes of modules, stacked by module and kind."""
    found: dict[str, list[ModuleChange]] = {}
    for name in dict.fromkeys(name for delta in deltas for name in delta.of_modules):
        each = [delta.of_modules.get(name) for delta in deltas]
        # Each is checked: any of them may be from another model.
        modules = [modules_of(model, {name: one})[name] for one in each if one is not None]
        like = next(modules[0].parameters())
        for kind in KINDS:
            own = [one.like(like) if isinstance(one, kind) else None for one in each]
            if any(one is not None for one in own):
                found.setdefault(name, []).append(kind.stacked(own))
    return found


def _adds_up(module: nn.Module, changes: Mapping[str, StackedChange]) -> bool:
    """Return whether a module's forward pass is one product with its weight plus a dense change.

    Not in a narrower dtype than that of the change: the sum would round small changes off. Nor
    inside another stack that has replaced the forward pass, whose change would be left out.
    """
    weight = changes.get("weight")
    return (
        weight is not None
        and len(weight) == 1
        and is_linear(module)
        and (is_transposed(module) or type(module).forward is nn.Linear.forward)
        and "forward" not in vars(module)
        and weight[0].dtype == module.weight.dtype
    )


@contextmanager
def _summed(
    module: nn.Module, changes: Mapping[str, StackedChange], scale: float
) -> Generator[None]:
    """Let a linear module multiply with the sum of its weight and one edit's change, while entered.

    A hook would add a second product forward, and a second gradient of the input backward: a step
    of full rank took 1.5 to 1.65 times the operations of an ordinary optimiser.
    """

    def summed(name: str) -> Tensor | None:
        own: Tensor | None = getattr(module, name)
        change = changes.get(name)
        if own is None or change is None:
            return own
        return torch.add(own, change[0].squeeze(0), alpha=scale)

    def forward(x: Tensor) -> Tensor:
        weight = summed("weight")
        assert weight is not None
        return F.linear(x, weight.mT if is_transposed(module) else weight, summed("bias"))

    module.forward = forward
    try:
        yield
    finally:
        del module.forward


def _hook(
    module: nn.Module, changes: Mapping[str, StackedChange], scale: float
) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    if is_transposed(module):
        turned = {name: _turned(change) for name, change in changes.items()}
        return lambda _, inputs, output: _linear(output, inputs[0], turned, scale, turned=True)
    if isinstance(module, nn.Linear):
        return lambda _, inputs, output: _linear(output, inputs[0], changes, scale)
    if isinstance(module, nn.Embedding):
        times = embedding_scale(module)
        return lambda _, inputs, output: _added(
            output, _embedding(inputs[0], changes["weight"]) * times, scale
        )
    return lambda _, inputs, output: _added(output, _norm(module, inputs[0], changes), scale)


def _turned(change: StackedChange) -> StackedChange:
    """Convert a change of a weight [i, o] to one of a weight [o, i]; a bias is unchanged."""
    if len(change) == 1:
        return (change[0].mT,) if change[0].ndim == 3 else change
    left_kir, right_kro = change
    return right_kro.mT, left_kir.mT


def _placed(
    _: nn.Module, inputs: tuple[Any, ...], said: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Expand position ids to every row: one shared row would be looked up in one edit's table."""
    from behemoth.model.prefix import cache_of  # which imports transformers

    if said.get("position_ids") is None:
        ids: Tensor = inputs[0] if inputs else said["input_ids"]
        cache = cache_of(said)
        seen = 0 if cache is None else cache.get_seq_length()
        place = torch.arange(seen, seen + ids.shape[1], device=ids.device)
        said = {**said, "position_ids": place.expand(ids.shape)}
    return inputs, said


def _added(output: Tensor, change: Tensor, scale: float) -> Tensor:
    return torch.add(output, change.to(output.dtype), alpha=scale)


def _linear(
    output: Tensor,
    x: Tensor,
    changes: Mapping[str, StackedChange],
    scale: float,
    *,
    turned: bool = False,
) -> Tensor:
    """Return a linear module's output plus its changes: x is [K * b, T, i] or [K * b, i]."""
    count = next(iter(changes.values()))[0].shape[0]
    x_kni = x.reshape(count, -1, x.shape[-1])
    # One kernel for product and sum: separate sums would take as much time as the products.
    # An operation of our own in place of module and hook (the edits' products accumulate into that
    # of the shared weight, the bias is a column of the left factor, one gradient of the input) was
    # not worth its 140 lines: LoRA edits took 5 to 10% less time in `nano`, 0 to 3% in `31m`.
    y_kno = output.reshape(count, -1, output.shape[-1])
    weight = changes.get("weight")
    if weight is not None and len(weight) == 2:
        left_kor, right_kri = (tensor.to(x.dtype) for tensor in weight)
        y_kno = torch.baddbmm(y_kno, torch.bmm(x_kni, right_kri.mT), left_kor.mT, alpha=scale)
    elif weight is not None and turned:
        # Contiguous rows, which the following Conv1D of transformers requires.
        y_kno = torch.baddbmm(y_kno, x_kni, weight[0].mT.to(x.dtype), alpha=scale)
    elif weight is not None:
        # Weight first: in the other order its gradient is transposed, and every step would copy
        # all of it.
        y_kno = torch.baddbmm(y_kno.mT, weight[0].to(x.dtype), x_kni.mT, alpha=scale).mT
    if "bias" in changes:
        y_kno = _added(y_kno, changes["bias"][0].unsqueeze(1), scale)
    return y_kno.reshape(output.shape)


def _embedding(ids: Tensor, weight: StackedChange) -> Tensor:
    """Return the output added by changed rows of an embedding: ids is [K * b, T]."""
    count, words, _ = weight[0].shape
    offsets = torch.arange(count, device=ids.device).repeat_interleave(ids.shape[0] // count)
    rows = F.embedding(ids + offsets[:, None] * words, weight[0].flatten(0, 1))
    if len(weight) == 1:
        return rows
    products = torch.bmm(rows.reshape(count, -1, rows.shape[-1]), weight[1])
    return products.reshape(*ids.shape, -1)


def _norm(norm: nn.Module, x: Tensor, changes: Mapping[str, StackedChange]) -> Tensor:
    """Return the output added by changed gains and offsets of a norm: x is [K * b, T, i]."""
    count = next(iter(changes.values()))[0].shape[0]
    added: Tensor | None = None
    if "weight" in changes:
        normal = normalised(norm, x)
        gain = changes["weight"][0].to(x.dtype).unsqueeze(1)
        added = normal.reshape(count, -1, x.shape[-1]) * gain
    if "bias" in changes:
        offset = changes["bias"][0].to(x.dtype).unsqueeze(1)
        rows = x.numel() // x.shape[-1] // count
        added = offset.expand(-1, rows, -1) if added is None else added + offset
    assert added is not None
    return added.reshape(x.shape)
