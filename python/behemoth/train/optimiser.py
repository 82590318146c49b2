"""AdamW, with weight decay on matrices alone, and its state by the names of parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from .config import TrainConfig

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def make_optimiser(named: Mapping[str, nn.Parameter], config: TrainConfig) -> AdamW:
    """Make the optimiser of parameters, fused where the device has a kernel for that."""
    parameters = list(named.values())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    fused = parameters[0].device.type in ("cpu", "cuda", "mps")
    return AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=fused)


def optimiser_tensors(named: Mapping[str, nn.Parameter], optimiser: AdamW) -> dict[str, Tensor]:
    """Give the optimiser's state as tensors named ``PARAMETER.MOMENT``."""
    return {
        f"{name}.{moment}": optimiser.state[parameter][moment]
        for name, parameter in named.items()
        for moment in _MOMENTS
        if parameter in optimiser.state
    }


@torch.no_grad()
def load_optimiser(
    named: Mapping[str, nn.Parameter], optimiser: AdamW, tensors: Mapping[str, Tensor]
) -> None:
    """Put back what `optimiser_tensors` gave."""
    for name, parameter in named.items():
        optimiser.state[parameter] = {
            moment: tensors[f"{name}.{moment}"].to(
                parameter.device if moment != "step" or parameter.device.type != "cpu" else "cpu"
            )
            for moment in _MOMENTS
        }
