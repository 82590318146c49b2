"""A model whose weights, gradients and optimiser are shared out over the processes: FSDP2.

Each process holds a part of every tensor, and the layer that computes is put together for as long
as it does. What is saved, and asked for facts, is the whole model, which the first process puts
together beside its part; so a checkpoint is the same as of a run that shares nothing, and either
goes on with the other's.
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
    """Share out a model over the processes, block by block, and the rest with its loss.

    Parameters
    ----------
    model : PreTrainedModel
        Its blocks are called as modules, as `behemoth.model.plain_loss` does.
    loss : nn.Module
        Holds the model.
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
    """The whole of a model, where it is wanted.

    Parameters
    ----------
    model : PreTrainedModel
        Before it is shared out, if it is to be.
    machine : Machine
    shared : bool
        Whether it is.
    """

    def __init__(self, model: PreTrainedModel, machine: Machine, *, shared: bool) -> None:
        self._model, self._machine, self._shared = model, machine, shared
        self._copy = copy.deepcopy(model) if shared and machine.main else None

    def model(self) -> PreTrainedModel:
        """The model; of one that is shared out a copy, which is only whole in the first process.

        Then all processes must call this.
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
        """Have `model` where it computes for a while; a copy lies on the CPU else."""
        model = self.model()
        if self._copy is not None:
            nn.Module.to(self._copy, self._machine.device)
        yield model
        if self._copy is not None:
            nn.Module.to(self._copy, "cpu")


def whole(tensor: Tensor) -> Tensor:
    """A tensor of a model that is shared out, put together; any other as it is."""
    full: Any = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """Cut the part of a whole tensor that this process has of `like`, which may be whole too."""
    placements: Any = getattr(like, "placements", None)
    if placements is None:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    mesh: Any = like.device_mesh  # pyright: ignore[reportAttributeAccessIssue]
    return distribute_tensor(tensor.to(like.device), mesh, placements)
