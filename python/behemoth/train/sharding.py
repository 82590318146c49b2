"""Models whose weights, gradients and optimiser are sharded over the processes (FSDP2).

Each process keeps a part of every tensor, and a layer is gathered only while it computes. The
complete model is what is saved and evaluated; the first process gathers it in addition to its part.
Checkpoints are therefore the same as those of an unsharded run, and either can resume the other's.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from behemoth.model.architecture import Architecture

from .device import Machine

__all__ = ["Whole", "part_of", "shard_model", "whole"]


def shard_model(model: PreTrainedModel, loss: nn.Module, machine: Machine) -> None:
    """Shard a model over the processes, block by block, and the rest with its loss.

    Parameters
    ----------
    model : PreTrainedModel
        Model whose blocks are called as modules, as in `behemoth.model.plain_loss`.
    loss : nn.Module
        Module that contains the model.
    machine : Machine
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(machine.device.type, (machine.world_size,))
    names = Architecture.of(model)
    for layer in range(names.layers):
        fully_shard(model.get_submodule(names.block(layer)), mesh=mesh)
    fully_shard(loss, mesh=mesh)


class Whole:
    """Access to the complete model, sharded or not.

    Parameters
    ----------
    model : PreTrainedModel
        Model before it is sharded.
    machine : Machine
    shared : bool
        Whether it is sharded.
    """

    def __init__(self, model: PreTrainedModel, machine: Machine, *, shared: bool) -> None:
        self._model, self._machine, self._shared = model, machine, shared
        self._copy = copy.deepcopy(model) if shared and machine.main else None

    def model(self) -> PreTrainedModel:
        """Return the model; if it is sharded, a complete copy, in the first process only.

        The other processes then get their sharded model, and all must call this.
        """
        if not self._shared:
            return self._model
        own: dict[str, Tensor] = {} if self._copy is None else self._copy.state_dict()
        for name, tensor in self._model.state_dict().items():
            full = whole(tensor)
            if name in own:
                own[name].copy_(full)
        return self._model if self._copy is None else self._copy

    @contextmanager
    def placed(self) -> Generator[PreTrainedModel]:
        """Yield `model` on the device of the machine; a copy is on the CPU otherwise."""
        model = self.model()
        if self._copy is None:
            yield model
            return
        try:
            nn.Module.to(self._copy, self._machine.device)
            yield self._copy
        finally:
            nn.Module.to(self._copy, "cpu")


def whole(tensor: Tensor) -> Tensor:
    """Return a sharded tensor gathered, and any other as it is."""
    full: Any = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """Return the part of a complete tensor that this process has of `like`, if that is sharded."""
    placements: Any = getattr(like, "placements", None)
    if placements is None:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    mesh: Any = like.device_mesh  # pyright: ignore[reportAttributeAccessIssue]
    return distribute_tensor(tensor.to(like.device), mesh, placements)
