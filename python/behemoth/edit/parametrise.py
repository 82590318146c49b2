"""Where a method may change the model: zero changes to chosen parameters, ready to be optimised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from behemoth.model.architecture import Architecture
from behemoth.model.precision import wide_type
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.delta.stack import StackedChange, StackedDeltas

__all__ = [
    "Part",
    "change_bytes",
    "check_layers",
    "chosen_layers",
    "dense_changes",
    "largest_entry",
    "low_rank_changes",
    "weight_names",
]

Part = Literal["mlp", "attention", "both", "embedding", "head", "all"]
"""Linear modules of the MLP, of attention, or of both; the embedding matrix from the vocabulary to
the residual stream, or the head matrix back to it; or every parameter of the model."""
OUTSIDE = ("embedding", "head", "all")
"""The parts that do not belong to single layers."""


def chosen_layers(model: nn.Module, layers: Sequence[int] | None) -> list[int]:
    """Return sorted layer numbers; negative ones count from the last, and None stands for all.

    Raises
    ------
    ArgumentError
        For a layer that the model lacks, or for none at all.
    """
    if layers is not None and not len(layers):
        raise ArgumentError("layers", "none", "at least one layer")
    count = Architecture.of(model).layers
    if layers is None:
        return list(range(count))
    for layer in layers:
        _check_layer("layers", layer, count)
    return sorted({layer % count for layer in layers})


def check_layers(method: object, count: int) -> None:
    """Refuse a method's `layers` or `layer` if a model of `count` layers lacks it.

    A method is given its model only when it edits; this is for a model that is not trained yet.

    Raises
    ------
    ArgumentError
    """
    layers = getattr(method, "layers", None)
    named = [("layers", layer) for layer in (layers if isinstance(layers, tuple) else ())]
    for name, layer in [*named, ("layer", getattr(method, "layer", None))]:
        if isinstance(layer, int):  # a method of another package may mean something else by it
            _check_layer(name, layer, count)


def _check_layer(name: str, layer: int, count: int) -> None:
    if not -count <= layer < count:
        raise ArgumentError(name, layer, f"{-count} to {count - 1}")


def weight_names(model: nn.Module, part: Part, layers: Sequence[int] | None) -> list[str]:
    """Return the parameter names of a part: weights of its modules, or all of the model."""
    if part == "all":
        return [name for name, _ in model.named_parameters()]
    architecture = Architecture.of(model)
    if part == "embedding" or part == "head":
        return [f"{architecture.embedding if part == 'embedding' else architecture.head}.weight"]
    modules = architecture.linear_modules(part, chosen_layers(model, layers))
    return [f"{module}.weight" for module in modules]


def dense_changes(model: nn.Module, count: int, names: Sequence[str]) -> StackedDeltas:
    """Return zero changes of full rank to parameters of these names, for `count` edits."""
    import torch

    from behemoth.delta.delta import parameters_of
    from behemoth.delta.stack import StackedDeltas

    parameters = parameters_of(model)
    changes: dict[str, StackedChange] = {}
    for name in names:
        like = parameters[name]
        zero = torch.zeros(count, *like.shape, dtype=wide_type(like.dtype), device=like.device)
        changes[name] = (zero.requires_grad_(),)
    return StackedDeltas(model, changes)


def low_rank_changes(
    model: nn.Module,
    count: int,
    part: Part,
    layers: Sequence[int] | None,
    rank: int,
    alpha: float,
    seed: int,
) -> StackedDeltas:
    """Return LoRA's initial changes for `count` edits: input factors drawn, output factors zero.

    The input factors, the right ones for a weight [out, in], are drawn once and are the same for
    all edits, so an edit starts from the same point alone and in a stack (Hu et al., 2021:
    uniform, Kaiming with a = sqrt 5).
    """
    import torch

    from behemoth.delta.delta import parameters_of
    from behemoth.delta.stack import StackedDeltas

    parameters = parameters_of(model)
    transposed = part not in OUTSIDE and Architecture.of(model).transposed
    generator = torch.Generator().manual_seed(seed)
    changes: dict[str, StackedChange] = {}
    for name in weight_names(model, part, layers):
        like = parameters[name]
        out, inputs = reversed(like.shape) if transposed else like.shape
        bound = inputs**-0.5
        right = torch.rand(rank, inputs, generator=generator) * (2 * bound) - bound
        right_kri = right.to(like.device, wide_type(like.dtype)).expand(count, -1, -1).clone()
        left_kor = right_kri.new_zeros(count, out, rank)
        factors = (left_kor, right_kri)
        if transposed:
            factors = (right_kri.mT.contiguous(), left_kor.mT.contiguous())
        changes[name] = tuple(factor.requires_grad_() for factor in factors)
    return StackedDeltas(model, changes, scale=alpha / rank)


def change_bytes(model: nn.Module, names: Sequence[str], rank: int | None) -> int:
    """Return the bytes of one edit's changes to these parameters, of a rank or of full rank."""
    from behemoth.delta.delta import parameters_of

    parameters, total = parameters_of(model), 0
    for name in names:
        like = parameters[name]
        numbers = like.numel() if rank is None else rank * sum(like.shape)
        total += numbers * wide_type(like.dtype).itemsize
    return total


def largest_entry(bound: float, stacked: StackedDeltas) -> None:
    """Clamp every entry of the changes to [-bound, bound], in place."""
    tensor: Tensor
    for tensor in stacked.parameters():
        tensor.clamp_(-bound, bound)
