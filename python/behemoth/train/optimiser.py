"""AdamW with weight decay on matrices only, and its state by parameter name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from .config import TrainConfig
from .sharding import part_of, whole

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def make_optimiser(named: Mapping[str, nn.Parameter], config: TrainConfig) -> AdamW:
    """Return the optimiser of parameters, fused if the device has a kernel for it."""
    parameters = list(named.values())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    fused = parameters[0].device.type in ("cpu", "cuda")
    return AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=fused)


def optimiser_tensors(
    named: Mapping[str, nn.Parameter], optimiser: AdamW, *, kept: bool = True
) -> dict[str, Tensor]:
    """Return the optimiser's state as complete tensors named ``PARAMETER.MOMENT``.

    If the model is sharded, all processes must call this; without `kept` a process only takes part
    in gathering, and gets an empty dict.
    """
    found: dict[str, Tensor] = {}
    for name, parameter in named.items():
        for moment, tensor in optimiser.state.get(parameter, {}).items():
            full = whole(tensor)
            if kept:
                # Gathered tensors go to the CPU, so that a device needs no room for all of them.
                found[f"{name}.{moment}"] = full if full is tensor else full.cpu()
    return found


@torch.no_grad()
def load_optimiser(
    named: Mapping[str, nn.Parameter], optimiser: AdamW, tensors: Mapping[str, Tensor]
) -> None:
    """Load the output of `optimiser_tensors`."""
    for name, parameter in named.items():
        state = {moment: tensors[f"{name}.{moment}"] for moment in _MOMENTS}
        optimiser.state[parameter] = {
            moment: (tensor if moment == "step" else part_of(tensor, parameter)).to(
                parameter.device
            )
            for moment, tensor in state.items()
        }
